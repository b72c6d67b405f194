"""Where a kernel comes from: what a person writes on the command line, found, fetched or built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vm import CannotRun
from vm.architectures import ARCHITECTURES
from vm.kernels import archive, build, table
from vm.kernels.kernel import Kernel, from_image

DEB = "deb:"


def find(text: str, fragments: Sequence[str] = (), fresh: bool = False, arch: str | None = None) -> Kernel:
    """The kernel that a text names: ``deb:[SUITE/]PATTERN``, an image, a source tree, a name of the matrix.

    ``fragments`` of vm/configs, and ``arch``, a name of vm.architectures, are for source trees: where there are none,
    for this machine, or as the matrix says. A package that is in the cache is taken from there, unless ``fresh``.
    Raises CannotRun.
    """
    if row := table.named(text):
        text, fragments, arch = row.kernel, fragments or row.config, arch or row.arch
    path, is_package = Path(text), text.startswith(DEB)
    has_sources = path.name.removeprefix(DEB).startswith(archive.SOURCES) if is_package else path.is_dir()
    if fragments and not has_sources:
        raise CannotRun(f"{text}: only a source tree is configured with {', '.join(fragments)}")
    if is_package:
        place, pattern = archive.archive_of(text.removeprefix(DEB))
        if not has_sources:
            cached = [] if fresh else place.cached(pattern)
            return cached[0] if cached else place.fetch(pattern)
        path = place.source_tree(pattern, fresh)
    if not has_sources:
        return from_image(path)
    return build.build(path, fragments, machine=ARCHITECTURES[arch] if arch else None)
