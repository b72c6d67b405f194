"""A results directory is one run's, from its beginning to its verdict."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vm import CannotRun, locks
from vm.guest.boot import new_script
from vm.guest.shared_directory import Shared


@contextmanager
def results_in(directory: Path) -> Iterator[Shared]:
    """An empty results directory; what an earlier run left there is removed.

    Raises CannotRun where it can't be written, and while another run has it: with both, each would take the other's
    results for its own.
    """
    shared = Shared(directory.resolve())
    with ExitStack() as stack:
        try:
            stack.enter_context(_only_this_run(directory, shared))
            for path in shared.files():
                path.unlink(missing_ok=True)
            if shared.failures.exists():
                shutil.rmtree(shared.failures)
            new_script(shared, "")
        except OSError as error:
            raise _cannot_write(directory, error) from None
        yield shared


@contextmanager
def results_of_many(directory: Path) -> Iterator[None]:
    """A directory with those of several runs below it. Raises CannotRun, as above."""
    with ExitStack() as stack:
        try:
            stack.enter_context(_only_this_run(directory, Shared(directory.resolve())))
        except OSError as error:
            raise _cannot_write(directory, error) from None
        yield


@contextmanager
def _only_this_run(directory: Path, shared: Shared) -> Iterator[None]:
    def refuse() -> None:
        raise CannotRun(f"the results directory {directory} is that of another run, which isn't over: give --results")

    shared.directory.mkdir(parents=True, exist_ok=True)
    with locks.lock(shared.lock, refuse):
        yield


def _cannot_write(directory: Path, error: OSError) -> CannotRun:
    return CannotRun(f"the results directory {directory} can't be written: {error.strerror}")
