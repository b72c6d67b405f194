"""Where a kernel comes from: what a person writes on the command line, found, fetched or built."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vm import CannotRun
from vm.kernels import archive, build, table
from vm.kernels.kernel import Kernel, from_image

DEB = "deb:"


def find(text: str, fragments: Sequence[str] = (), fresh: bool = False) -> Kernel:
    """The kernel that a text names: ``deb:[SUITE/]PATTERN``, an image, a source tree, a name of the matrix.

    ``fragments`` of vm/configs are for source trees. A package that is in the cache is taken from there, unless
    ``fresh``. Raises CannotRun.
    """
    named = {row.name: row.kernel for row in table.rows()}
    text = named.get(text, text)
    path = Path(text)
    if fragments and not path.is_dir():
        raise CannotRun(f"{text}: only a source tree is configured with {', '.join(fragments)}")
    if text.startswith(DEB):
        place, pattern = archive.archive_of(text.removeprefix(DEB))
        cached = [] if fresh else place.cached(pattern)
        return cached[0] if cached else place.fetch(pattern)
    if path.is_dir():
        return build.build(path, fragments)
    return from_image(path)
