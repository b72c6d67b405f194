"""``python -m vm``, or ``python CHECKOUT/vm`` from anywhere: what this Python lacks is said in a sentence.

The exit status is then 125, which ``git bisect run`` takes for "not tested". This file is read by older ones, too.
"""

import os
import sys
from typing import NoReturn

HERE = os.path.dirname(os.path.abspath(__file__))
CHECKOUT = os.path.dirname(HERE)
WAY_OUT = f"run make setup in {CHECKOUT}, and use its .venv/bin/python"
NOT_TESTED, INTERRUPTED = 125, 130


def refuse(reason: str, status: int = NOT_TESTED) -> NoReturn:
    """Ends with a sentence."""
    if sys.stderr:
        sys.stderr.write(f"pagemap-scan: not tested: {reason}\n")
    sys.exit(status)


def start() -> int:
    """Does what the command line asks for; returns the exit status."""
    sys.path[:] = [CHECKOUT, *(path for path in sys.path if path not in (HERE, CHECKOUT))]
    if sys.version_info < (3, 11):  # noqa: UP036
        refuse(f"this is Python {sys.version.split()[0]}, and 3.11 or later is needed: {WAY_OUT}")
    try:
        from vm import command
    except Exception as error:
        refuse(f"{' '.join(str(error).split())}: {WAY_OUT}")
    return command.start()


if __name__ == "__main__":
    try:
        sys.exit(start())
    except KeyboardInterrupt:
        refuse("interrupted", INTERRUPTED)
