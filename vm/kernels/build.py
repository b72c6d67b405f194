"""A kernel built from its sources with ``vng --build``, outside of the tree.

Whoever names a tree gets a kernel of that tree's sources as they are, configured for the suite. Their own ``.config``
and what they built in place stay as they are, and the build directory in the cache makes the next build of the same
tree a short one. A kernel with a configuration of one's own is named by its image instead.
"""

from __future__ import annotations

import hashlib
import os
import re
import selectors
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

from vm import CannotRun, cache, outputs, temporary
from vm.architectures import Architecture, of_this_machine
from vm.kernels import fragments
from vm.kernels.fragments import Fragment
from vm.kernels.kernel import Kernel, from_image, release_of
from vm.kernels.source_tree import describe, require_tree, unconfigured
from vm.processes import ended_by_signals, processes_of, search_path

#: Seconds for a whole build: some minutes on a small machine, more with a sanitizer and an empty page cache.
LIMIT = 3 * 3600
#: Seconds for kbuild's recipes to remove what they were writing, once they are asked to end: killed at once, the next
#: build would take it for finished.
LAST_WORDS = 10.0
#: virtme-ng adds this to every release; in a name it tells nothing.
_LOCALVERSION = "-virtme"
#: Of the environment, what would build something else or elsewhere, or wait for another make's leave.
_UNWANTED = ("ARCH", "CROSS_COMPILE", "KBUILD_OUTPUT", "KCONFIG_CONFIG", "MAKEFLAGS", "MAKELEVEL", "MFLAGS")
#: What chooses another compiler, which has other symbols: kbuild would ask about them where nobody answers.
_COMPILER = ("CC", "LLVM")
#: What the first line that says why a build failed looks like: kinds of lines, the most telling first.
_ERRORS = (
    re.compile(r"\b(fatal )?error: |undefined reference to|multiple definition of"),
    re.compile(r"not found$|not installed"),
    re.compile(r"\*\*\* (?!\[)"),
    re.compile(r"\*\*\*|\berror\b", re.IGNORECASE),
)


def build(
    tree: Path,
    names: Sequence[str] = (),
    log: Path | None = None,
    say: Callable[[str], None] = outputs.say,
    machine: Architecture | None = None,
) -> Kernel:
    """The kernel of a source tree with the base configuration and the fragments named, for this machine or another.

    ``log`` gets what the build prints; without it, that is kept in the build directory. ``say`` tells what takes
    long. Raises CannotRun when the directory isn't a kernel's, a fragment isn't there, there is no compiler, a symbol
    of a fragment doesn't survive olddefconfig, or the build fails.
    """
    tree = tree.resolve()
    require_tree(tree)
    machine = machine or of_this_machine()
    chosen = [fragments.fragment(name) for name in dict.fromkeys(names) if name]
    if not shutil.which("vng", path=search_path()):
        raise CannotRun("vng is missing: install virtme-ng from PyPI, which make setup installs")
    if not machine.is_hosts:
        machine.compiler()
    place = cache.directory() / "builds" / _directory_name(tree)
    build = Build(tree, machine, chosen, place, log)
    try:
        with ended_by_signals(), cache.locked(place):
            return build.kernel(say)
    except OSError as error:
        raise CannotRun(f"{tree} can't be built in {build.out}: {error.strerror} ({error.filename})") from None


def _directory_name(tree: Path) -> str:
    """A name for a tree's directory in the cache: one that make and a shell take, and no other tree has."""
    return f"{re.sub(r'[^A-Za-z0-9._-]', '-', tree.name)}-{hashlib.sha256(os.fsencode(tree)).hexdigest()[:8]}"


class Build:
    """A tree, the processor and the fragments asked for, and the directory in which kbuild works: one for each
    combination."""

    def __init__(
        self, tree: Path, machine: Architecture, chosen: Sequence[Fragment], place: Path, log: Path | None
    ) -> None:
        self.tree = tree
        self.machine = machine
        self.chosen = [*fragments.base(machine.kernel), *chosen]
        self.names = [*([] if machine.is_hosts else [machine.name]), *(fragment.name for fragment in chosen)]
        self.links = place / "sources"
        self.out = place / ("+".join(self.names) or fragments.BASE)
        self.log = log or self.out / "build.log"

    def kernel(self, say: Callable[[str], None]) -> Kernel:
        """Configures, checks and builds what isn't up to date. Raises CannotRun."""
        self.out.mkdir(parents=True, exist_ok=True)
        sources = unconfigured(self.tree, self.links)
        for path in (sources, self.out):
            if shlex.quote(str(path)) != str(path) or ":" in str(path):
                raise CannotRun(f"{path}: make takes no paths with colons, or characters that a shell treats specially")
        say(f"building {self.tree} ({', '.join(fragment.name for fragment in self.chosen)}): {self.log}")
        with self.log.open("w") as log:
            if not self.is_configured(sources):
                self.configure(sources, log)
            self.check()
            self.vng(sources, ["--build", "--skip-modules", "--verbose"], log, "doesn't build")
        image = self.image()
        release = release_of(image).removesuffix(_LOCALVERSION)
        described = describe(self.tree)
        origin = f"{self.tree} ({described})" if described else str(self.tree)
        return from_image(image, "+".join([release, *self.names]), origin)

    # --- Configuration ----------------------------------------------------------------------------------

    @property
    def config(self) -> Path:
        return self.out / ".config"

    @property
    def request(self) -> Path:
        """What was asked of the configuration, kept beside it."""
        return self.out / "request.config"

    @property
    def requested(self) -> str:
        compiler = "".join(f"# {name}={os.environ.get(name, '')}\n" for name in _COMPILER)
        return compiler + "\n".join(fragment.text for fragment in self.chosen)

    def is_configured(self, sources: Path) -> bool:
        """Whether the configuration was made of the same request, and no Kconfig file has changed since.

        Making it anew takes as long as building what depends on one changed file. Which Kconfig files it depends on,
        kbuild notes for itself.
        """
        try:
            noted = (self.out / "include/config/auto.conf.cmd").read_text()
            depends = [sources / name for name in re.findall(r"^\t(\S+)", noted, re.MULTILINE)]
            depends += (sources / self.machine.image).parents[1].glob("configs/*")
            made = self.config.stat().st_mtime_ns
            return self.request.read_text() == self.requested and all(
                path.stat().st_mtime_ns <= made for path in depends
            )
        except OSError:
            return False

    def configure(self, sources: Path, log: IO[str]) -> None:
        """A default configuration with virtme-ng's and the fragments' lines in it."""
        self.request.unlink(missing_ok=True)
        asked = [word for fragment in self.chosen for word in ("--config", str(fragment.path))]
        # --kconfig stops before the build, so that what is lost is told at once; --build without --force then
        # leaves the configuration as it is.
        self.vng(sources, ["--kconfig", *asked], log, "can't be configured")
        self.request.write_text(self.requested)

    def check(self) -> None:
        """Raises CannotRun when a symbol isn't what the fragments ask for."""
        if lost := fragments.lost(self.config.read_text(), self.chosen):
            raise CannotRun(f"{self.tree} can't be configured as asked, olddefconfig changes {lost}")

    # --- Building ---------------------------------------------------------------------------------------

    def vng(self, sources: Path, arguments: Sequence[str], log: IO[str], failure: str) -> None:
        """Runs virtme-ng in the sources, and waits for it. Raises CannotRun when it fails or takes too long."""
        command = ["env", "-C", str(sources), *(f"--unset={name}" for name in _UNWANTED)]
        command += ["vng", *arguments, *self.foreign(), f"O={self.out}"]
        with temporary.directory() as home, processes_of(command, home, grace=LAST_WORDS) as vng:
            copy_output(vng, log)
            if vng.wait(LIMIT) != 0:
                raise CannotRun(f"{self.tree} {failure}: {first_error(self.log)} ({self.log})")

    def foreign(self) -> list[str]:
        """For another processor: virtme-ng would have its compiler build, and this machine's tell what it can."""
        if self.machine.is_hosts:
            return []
        return [f"--arch={self.machine.debian}", f"CROSS_COMPILE={self.machine.compiler()[0][0].removesuffix('gcc')}"]

    def image(self) -> Path:
        """A copy of the image that stays whole while a guest boots from it and the next build begins."""
        image = self.out / "vmlinuz"
        shutil.copyfile(self.out / self.machine.image, image.with_suffix(".new"))
        image.with_suffix(".new").replace(image)
        return image


def copy_output(process: subprocess.Popen[bytes], log: IO[str]) -> None:
    """Writes what a process prints to the log, until it is gone. Raises CannotRun at the time limit."""
    assert process.stdout is not None
    deadline = time.monotonic() + LIMIT
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while time.monotonic() < deadline:
            if selector.select(timeout=1):
                data = os.read(process.stdout.fileno(), 1 << 16)
                if not data:
                    return
                log.write(data.decode(errors="replace"))
                log.flush()  # Somebody may want to see how far it is.
    raise CannotRun(f"the build isn't done after {LIMIT / 60:.0f} minutes ({log.name})")


def first_error(log: Path) -> str:
    """The line of a build's log that says best why it failed."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    for pattern in _ERRORS:
        for line in lines:
            if pattern.search(line):
                return line
    return lines[-1] if lines else "it printed nothing"
