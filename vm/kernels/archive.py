"""Kernels of Debian's archive, and their sources: found, fetched and unpacked, never installed.

apt does it, with the machine's own mirror, proxy settings and signatures; only its lists and downloads are in
directories of our own, so that other suites can be named without a change to the machine.
"""

from __future__ import annotations

import fnmatch
import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cmp_to_key
from pathlib import Path

from vm import CannotRun, cache, temporary
from vm.architectures import ARCHITECTURES
from vm.kernels.kernel import Kernel, from_image
from vm.processes import carried_out

#: Seconds for one command of apt's, or for unpacking one package.
COMMAND_LIMIT = 900
#: Packages that hold parts of a kernel, by the beginnings of their names. Since 7.x the image has only Depends.
_PARTS = re.compile(r"linux-(image|binary|modules)-")
#: How the names of packages begin that hold a kernel's sources.
SOURCES = "linux-source-"
#: The first words of what apt says when it can't reach an archive.
_UNREACHABLE = re.compile(
    r"(Could not (resolve|connect|wait)|Temporary failure|Connection|Cannot initiate|Unable to conn)"
)
#: What apt says of a file that isn't the one that was announced; the first when the other side hangs up.
_DAMAGED = re.compile(r"Undetermined Error|unexpected size|Hash Sum mismatch")


def succeeded(command: Sequence[str]) -> None:
    """Raises CannotRun when a command fails, with the last thing that it said."""
    done = carried_out(command, COMMAND_LIMIT)
    if done.returncode:
        said = (done.stderr.strip() or f"status {done.returncode}").splitlines()[-1]
        raise CannotRun(f"{' '.join(command[:2])} failed: {said}")


@dataclass(frozen=True)
class Package:
    """A package of a certain version."""

    name: str
    version: str

    def __str__(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def directory(self) -> str:
        """A name for its directory; a version's tilde is one of the characters that virtme-ng doesn't quote."""
        return f"{self.name}_{self.version}".replace("~", "-")


def reason_of_apt(said: str) -> str:
    """The first error among all that apt says, of which the rest is mostly the same once more."""
    errors = [line.removeprefix("E: ") for line in said.splitlines() if line.startswith("E: ")]
    first = (errors or said.strip().splitlines()[-1:] or ["it doesn't say why"])[0]
    return re.sub(r" \[IP: [^]]*\]$", "", re.sub(r"  +", ": ", first)).rstrip(".")


def machine_sources(suite: str) -> str:
    """A line for apt that names another suite on the machine's own mirror.

    Raises CannotRun on a machine that has no apt, or whose apt knows no archive of Debian's.
    """
    if not shutil.which("apt-get"):
        raise CannotRun("deb: needs Debian's apt, which this machine hasn't: name an image or a source tree instead")
    form = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)"
    told = carried_out(["apt-get", "indextargets", "Created-By: Packages", "--format", form], COMMAND_LIMIT).stdout
    targets = [line.split("|") for line in told.splitlines() if line.startswith("Debian|")]
    is_security = suite.endswith("-security")
    for _, codename, uri, component in targets:
        if component == "main" and codename.endswith("-security") == is_security:
            return f"deb {uri} {suite} main\n"
    raise CannotRun(f"deb: apt on this machine knows no Debian archive for {suite}: name an image or a source tree")


def machine_suite() -> str:
    """The suite that this machine is of."""
    try:
        lines = Path("/etc/os-release").read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    words = dict(line.partition("=")[::2] for line in lines if "=" in line)
    return words.get("VERSION_CODENAME", "stable").strip('"')


class Archive:
    """One suite of the archive. ``sources`` is what stands in a sources.list, ``architecture`` that of the packages
    where it isn't the machine's own."""

    def __init__(self, suite: str, sources: str, root: Path, architecture: str = "") -> None:
        self.suite = suite
        self.sources = sources
        self.architecture = architecture
        self.directory = root / "apt" / (f"{suite}-{architecture}" if architecture else suite)
        self.kernels = root / "kernels" / suite
        self.trees = root / "trees" / suite

    # --- Asking apt -------------------------------------------------------------------------------------

    def apt(self, *command: str, cwd: Path | None = None) -> str:
        """What a command of apt's prints. Raises CannotRun with the reason in a sentence."""
        done = carried_out(command, COMMAND_LIMIT, cwd, {"APT_CONFIG": str(self.directory / "apt.conf")})
        if done.returncode == 0:
            return done.stdout
        said = reason_of_apt(done.stdout + done.stderr)
        if _UNREACHABLE.search(said):
            raise CannotRun(f"the archive of {self.suite} can't be reached: {said}")
        if _DAMAGED.search(said):
            raise CannotRun(f"the download from {self.suite} broke off or is damaged: {said}")
        raise CannotRun(f"{' '.join(command[:2])} for {self.suite} failed: {said}")

    def update(self) -> None:
        """Reads the archive's lists anew."""
        for part in ("lists/partial", "cache/archives/partial"):
            (self.directory / part).mkdir(parents=True, exist_ok=True)
        (self.directory / "sources.list").write_text(self.sources)
        (self.directory / "apt.conf").write_text(
            f'Dir::Etc::sourcelist "{self.directory}/sources.list";\n'
            'Dir::Etc::sourceparts "/dev/null";\n'
            f'Dir::State::Lists "{self.directory}/lists";\n'
            f'Dir::Cache "{self.directory}/cache";\n'
            'APT::Update::Error-Mode "any";\n'
            'APT::Sandbox::User "root";\n'
            'Acquire::Retries "1";\n' + self._foreign()
        )
        self.apt("apt-get", "update", "-q")

    def _foreign(self) -> str:
        """For packages that aren't this machine's: apt is to know of no others."""
        name = self.architecture
        return f'APT::Architecture "{name}";\nAPT::Architectures {{ "{name}"; }};\n' if name else ""

    def candidates(self, pattern: str) -> list[Package]:
        """The packages whose names match, the newest first. Needs update()."""
        names = self.apt("apt-cache", "pkgnames").split()
        matching = [name for name in names if fnmatch.fnmatchcase(name, pattern)]
        if not matching:
            return []
        told = self.apt("apt-cache", "show", "--no-all-versions", *matching)
        found = []
        for stanza in told.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in stanza.splitlines() if re.match(r"[\w-]+: ", line))
            if "Package" in fields:
                found.append(Package(fields["Package"], fields["Version"]))
        return newest_first(found)

    def newest(self, pattern: str) -> Package | None:
        """The newest package that matches, by the archive's present lists; None without any. Raises CannotRun."""
        with cache.locked(self.directory):
            self.update()
            return next(iter(self.candidates(pattern)), None)

    # --- Fetching ---------------------------------------------------------------------------------------

    def cached(self, pattern: str) -> list[Kernel]:
        """The kernels that were fetched before and match, the newest first."""
        found = []
        for meta in self.kernels.glob("*/kernel.json"):
            try:
                package = Package(**json.loads(meta.read_text()))
            except (OSError, ValueError, TypeError):
                continue  # Whoever wants it fetches it anew.
            if fnmatch.fnmatchcase(package.name, pattern) and self._is_whole(package):
                found.append(package)
        return [self._kernel(package) for package in newest_first(found)]

    def fetch(self, pattern: str) -> Kernel:
        """The newest kernel that matches, fetched unless it is here already. Raises CannotRun."""
        with cache.locked(self.directory):
            package = self._newest_that_matches(pattern)
            if not self._is_whole(package):
                self._unpack(package)
            return self._kernel(package)

    def source_tree(self, pattern: str, fresh: bool = False) -> Path:
        """The source tree of the newest package that matches: one that was fetched before, unless ``fresh``.

        Raises CannotRun."""
        with cache.locked(self.directory):
            there = [Package(*path.name.split("_")) for path in self.trees.glob(f"{SOURCES}*_*")]
            matching = [package for package in there if fnmatch.fnmatchcase(package.name, pattern)]
            package = newest_first(matching)[0] if matching and not fresh else self._newest_that_matches(pattern)
            if not (self.trees / package.directory).is_dir():
                self._unpack_sources(package)
            return self.trees / package.directory

    def _newest_that_matches(self, pattern: str) -> Package:
        """By the archive's present lists. Raises CannotRun without any, with what there is instead."""
        self.update()
        if matching := self.candidates(pattern):
            return matching[0]
        near = self.candidates(re.sub(r"\d[^-]*-", "*-", pattern, count=1))[:3]
        hint = f"; it has {', '.join(package.name for package in near)}, …" if near else ""
        raise CannotRun(f"{self.suite} has no package {pattern} (any more){hint}")

    def _is_whole(self, package: Package) -> bool:
        """Whether a kernel is in the cache, as far as can be seen."""
        return all((self.kernels / package.directory / name).is_file() for name in ("kernel.json", "vmlinuz"))

    def parts(self, package: Package) -> list[str]:
        """The package and those that have the rest of its kernel, as ``name=version``.

        The modules of an older kernel may have left the archive before its image: then it is one without modules.
        """
        told = self.apt("apt-cache", "show", "--no-all-versions", package.name)
        depends = re.search(r"^Depends: (.*)$", told, re.MULTILINE)
        names = [re.split(r"[ (:|]", name.strip())[0] for name in (depends[1] if depends else "").split(",")]
        there = set(self.apt("apt-cache", "pkgnames").split())
        return [f"{name}={package.version}" for name in [package.name, *names] if _PARTS.match(name) and name in there]

    def _unpack(self, package: Package) -> None:
        """Downloads and unpacks aside, then renames into place: what is there is whole."""
        with self._unpacked(self.kernels, self.parts(package)) as root:
            for unneeded in [*root.glob("boot/System.map-*"), root / "usr/share"]:
                shutil.rmtree(unneeded) if unneeded.is_dir() else unneeded.unlink(missing_ok=True)
            self._join(root, package)
            (root / "kernel.json").write_text(json.dumps({"name": package.name, "version": package.version}))
            root.chmod(0o755)
            shutil.rmtree(self.kernels / package.directory, ignore_errors=True)  # If there is one, it is damaged.
            root.rename(self.kernels / package.directory)

    def _unpack_sources(self, package: Package) -> None:
        """The same of sources, which are packed once more within their package."""
        with self._unpacked(self.trees, [f"{package.name}={package.version}"]) as root:
            packed = [*root.glob(f"usr/src/{package.name}.tar.*")]
            if len(packed) != 1:
                raise CannotRun(f"{package.name}: {len(packed)} archives of sources in the package instead of one")
            succeeded(["tar", "-x", "-C", str(root), "-f", str(packed[0])])
            (root / package.name).rename(self.trees / package.directory)

    @contextmanager
    def _unpacked(self, place: Path, packages: Sequence[str]) -> Iterator[Path]:
        """All that packages hold, in a directory beside where it is to be."""
        place.mkdir(parents=True, exist_ok=True)
        with temporary.directory(place, prefix=".unpacked-") as work:
            self.apt("apt-get", "download", "-q", *packages, cwd=work)
            for archive in work.glob("*.deb"):
                succeeded(["dpkg-deb", "-x", str(archive), str(work / "root")])
            yield work / "root"

    def _join(self, root: Path, package: Package) -> None:
        """One layout for old and new packages: ``vmlinuz`` and ``lib/modules``, with depmod's lists."""
        images = [*root.glob("boot/vmlinuz-*"), *root.glob("usr/lib/modules/*/vmlinuz")]
        if len(images) != 1:
            raise CannotRun(f"{package.name}: {len(images)} kernel images in its packages instead of one")
        images[0].rename(root / "vmlinuz")
        if (modules := root / "usr/lib/modules").is_dir():
            (root / "lib").mkdir(exist_ok=True)
            modules.rename(root / "lib/modules")
        for release in (root / "lib").glob("modules/*"):
            succeeded(["depmod", "-b", str(root), release.name])

    def _kernel(self, package: Package) -> Kernel:
        return from_image(
            self.kernels / package.directory / "vmlinuz",
            origin=self.origin(package),
        )

    def origin(self, package: Package) -> str:
        """Where a kernel is from, in words that name it again."""
        return f"deb:{self.suite}/{package}"


def newest_first(packages: list[Package]) -> list[Package]:
    """By Debian's order of versions; of one version the plain flavour, which has the shortest name, comes first."""

    def compare(one: Package, other: Package) -> int:
        if one.version == other.version:
            return len(one.name) - len(other.name)
        older = ["dpkg", "--compare-versions", one.version, "lt", other.version]
        return 1 if subprocess.run(older).returncode == 0 else -1

    return sorted(packages, key=cmp_to_key(compare))


def all_cached() -> list[Kernel]:
    """Every kernel that was fetched before, suite by suite."""
    root = cache.directory()
    suites = sorted((root / "kernels").glob("*"))
    return [kernel for suite in suites for kernel in Archive(suite.name, "", root).cached("*")]


def archive_of(text: str) -> tuple[Archive, str]:
    """The archive and the pattern of a package that ``[SUITE/]PACKAGE`` names."""
    suite, _, pattern = text.rpartition("/")
    suite = suite or machine_suite()
    place = cache.directory()  # Whether it can be had is found out before the archive is looked for.
    return Archive(suite, machine_sources(suite), place, foreign(pattern)), pattern


def foreign(pattern: str) -> str:
    """The architecture of packages that aren't for this machine's, as their names end; else nothing."""
    known = {one.debian: one for one in ARCHITECTURES.values()}
    named = next((known[word] for word in re.split(r"[^a-z0-9]", pattern) if word in known), None)
    return named.debian if named and not named.is_hosts else ""
