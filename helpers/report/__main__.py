"""``python -m helpers.report``: what logs of runs say, compared, and in other formats.

``LOG --html=FILE --junit=FILE --ktap=FILE`` makes other reports of a log.
"""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from helpers.report import findings
from helpers.report.comparison import told
from helpers.report.log import NotALog, read
from helpers.report.replay import render

#: Exit status of a comparison with a regression, and of what can't be done.
REGRESSION, CANNOT = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    given = sys.argv[1:] if arguments is None else list(arguments)
    command, rest = (given[0], given[1:]) if given and given[0] in COMMANDS else ("", given)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Whoever reads may stop before the end.
    try:
        return COMMANDS[command](rest)
    except (NotALog, OSError) as error:
        print(f"pagemap-scan: {error}", file=sys.stderr)
        return CANNOT


def compare(arguments: Sequence[str]) -> int:
    """What changed from one run to another; exits with 1 if that is a regression."""
    parser = _parser("compare")
    parser.add_argument("before", type=Path, help="a log: --report-log=FILE of a run")
    parser.add_argument("after", type=Path, help="another")
    given = parser.parse_args(arguments)
    words, has_regression = told(read(given.before), read(given.after))
    print(words)
    return {True: REGRESSION, False: 0, None: CANNOT}[has_regression]


def write_findings(arguments: Sequence[str]) -> int:
    """A bug report and a C program for each defect that nobody has mended."""
    parser = _parser("findings")
    parser.add_argument("logs", type=Path, nargs="+", help="of runs on as many kernels as there are")
    parser.add_argument("--to", type=Path, default=Path("findings"), help="a directory: findings, if nobody says")
    parser.add_argument("--errata", default="suites.errata", help="the module that has them: suites.errata")
    given = parser.parse_args(arguments)
    errata = importlib.import_module(given.errata).ERRATA  # By its name: how is asked knows nothing of what is asked.
    for directory in findings.write([read(log) for log in given.logs], errata, given.to):
        print(directory)
    return 0


def make_reports(arguments: Sequence[str]) -> int:
    """Makes other reports of a log: python -m helpers.report LOG. Two more: compare A B, findings LOG... (--help)."""
    parser = _parser("")
    parser.add_argument("log", type=Path, help="--report-log=FILE of a run, report.jsonl of one in a virtual machine")
    parser.add_argument("--html", type=Path, metavar="FILE", help="a page, with all that it needs")
    parser.add_argument("--junit", type=Path, metavar="FILE", help="JUnit's XML")
    parser.add_argument("--ktap", metavar="FILE", help="KTAP; - is standard output")
    given = parser.parse_args(arguments)
    troubles = render(read(given.log), given.html, given.junit, given.ktap)
    return CANNOT if troubles else 0


#: By name; without one it is about a log.
COMMANDS: dict[str, Callable[[Sequence[str]], int]] = {
    "compare": compare,
    "findings": write_findings,
    "": make_reports,
}


def _parser(command: str) -> argparse.ArgumentParser:
    return argparse.ArgumentParser(
        prog=f"python -m helpers.report {command}".rstrip(), description=COMMANDS[command].__doc__
    )


if __name__ == "__main__":
    sys.exit(main())
