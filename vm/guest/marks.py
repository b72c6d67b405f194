"""The words that a guest says on its console to tell the host what it does."""

from __future__ import annotations

#: What the guest tells the host on its console begins with this. A kernel's log survives its panic.
MARK = "pagemap-scan-suite:"


def follow(running: dict[str, str], line: str) -> None:
    """Keeps, by a line of the console, which test runs in which process."""
    match line.partition(MARK)[2].split():
        case ["start", process, *test]:
            running[process] = " ".join(test)
        case ["end", process, *_]:
            running.pop(process, None)
