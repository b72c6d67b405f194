"""A small repository of packages, served on the loopback, that may be told to serve them badly."""

from __future__ import annotations

import hashlib
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from vm.tests.images import write_image

CONTROL = """\
Package: {name}
Version: {version}
Architecture: all
Maintainer: Nobody <nobody@example.org>
Description: a kernel that never boots
"""


@dataclass
class Repository:
    """A directory with packages and a list of them; ``port`` is 0 as long as it isn't served."""

    directory: Path
    port: int = 0
    #: Bytes of each package that are sent although its whole length was announced; None: all of them.
    cut_after: int | None = None
    stanzas: list[str] = field(default_factory=list)

    @property
    def sources(self) -> str:
        """What stands in a sources.list."""
        return f"deb [trusted=yes] http://127.0.0.1:{self.port}/ ./\n"

    def add_kernel(self, release: str, version: str, broken: bool = False) -> Path:
        """Makes a package of an image and an empty directory of modules, or none at all; returns its file."""
        name = f"linux-image-{release}"
        tree = self.new_tree(name, version)
        write_image(tree / f"boot/vmlinuz-{release}", release)
        (tree / "lib/modules" / release).mkdir(parents=True)
        return self.add(tree, name, version, broken)

    def add_sources(self, release: str, version: str, sources: Path) -> Path:
        """Makes a package of a kernel's sources; returns its file."""
        name = f"linux-source-{release}"
        tree = self.new_tree(name, version)
        (tree / "usr/src").mkdir(parents=True)
        packed = ["tar", "-c", "-z", "-f", tree / f"usr/src/{name}.tar.gz", "-C", sources.parent]
        subprocess.run([*packed, f"--transform=s,^{sources.name},{name},", sources.name], check=True, timeout=60)
        return self.add(tree, name, version)

    def new_tree(self, name: str, version: str) -> Path:
        """Where what a package holds is put."""
        tree = self.directory.with_name(self.directory.name + "-tree") / f"{name}_{version}"
        tree.mkdir(parents=True)
        return tree

    def add(self, tree: Path, name: str, version: str, broken: bool = False) -> Path:
        """Makes a package of what is there, and lists it; returns its file."""
        control = CONTROL.format(name=name, version=version)
        (tree / "DEBIAN").mkdir()
        (tree / "DEBIAN/control").write_text(control)
        self.directory.mkdir(exist_ok=True)
        package = self.directory / f"{name}_{version}_all.deb"
        subprocess.run(["dpkg-deb", "-Znone", "--build", tree, package], check=True, capture_output=True, timeout=60)
        if broken:
            package.write_bytes(b"this is no package\n" * 20)
        data = package.read_bytes()
        listed = f"Filename: ./{package.name}\nSize: {len(data)}\nSHA256: {hashlib.sha256(data).hexdigest()}\n"
        self.stanzas.append(control + listed)
        self.write_list()
        return package

    def write_list(self) -> None:
        (self.directory / "Packages").write_text("\n".join(self.stanzas))


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, repository: Repository, *arguments: object) -> None:
        self.repository = repository
        super().__init__(*arguments, directory=str(repository.directory))  # type: ignore[arg-type]

    def copyfile(self, source: object, outputfile: object) -> None:
        limit = self.repository.cut_after if self.path.endswith(".deb") else None
        outputfile.write(source.read(-1 if limit is None else limit))  # type: ignore[attr-defined]

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def served(directory: Path) -> Iterator[Repository]:
    """An empty repository that is served as long as the context lasts."""
    repository = Repository(directory)
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Handler, repository)) as server:
        repository.port = server.server_port
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield repository
        finally:
            server.shutdown()
            thread.join()
