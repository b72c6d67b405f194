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
    if (sources := _sources(text, fresh)) is not None:
        return build.build(sources, fragments, machine=ARCHITECTURES[arch] if arch else None)
    if fragments:
        raise CannotRun(f"{text}: only a source tree is configured with {', '.join(fragments)}")
    if text.startswith(DEB):
        place, pattern = archive.archive_of(text.removeprefix(DEB))
        cached = [] if fresh else place.cached(pattern)
        return cached[0] if cached else place.fetch(pattern)
    return from_image(Path(text))


def _sources(text: str, fresh: bool) -> Path | None:
    """The source tree that a text names; None for one that names a kernel."""
    if text.startswith(DEB):
        place, pattern = archive.archive_of(text.removeprefix(DEB))
        return place.source_tree(pattern, fresh) if pattern.startswith(archive.SOURCES) else None
    return Path(text) if Path(text).is_dir() else None
