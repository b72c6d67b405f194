"""``python -m helpers.report``: what logs of runs say, compared, and in other formats."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from helpers.report import findings
from helpers.report.comparison import told
from helpers.report.ktap import ktap
from helpers.report.log import Log, NotALog, read

#: Exit status of a comparison with a regression, and of what can't be done.
REGRESSION, CANNOT = 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers.report", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    comparing = commands.add_parser(
        "compare", help="what changed from one run to another; exits with 1 if that is a regression"
    )
    comparing.add_argument("before", type=Path, help="a log: --report-log=FILE of a run")
    comparing.add_argument("after", type=Path, help="another")
    comparing.set_defaults(run=compare)
    rendering = commands.add_parser("ktap", help="a log as KTAP, on standard output")
    rendering.add_argument("log", type=Path)
    rendering.set_defaults(run=print_ktap)
    finding = commands.add_parser(
        "findings", help="a bug report and a C program for each defect that nobody has mended"
    )
    finding.add_argument("logs", type=Path, nargs="+", help="of runs on as many kernels as there are")
    finding.add_argument("--to", type=Path, default=Path("findings"), help="a directory: findings, if nobody says")
    finding.add_argument("--errata", default="suites.errata", help="the module that has them: suites.errata")
    finding.set_defaults(run=write_findings)
    given = parser.parse_args(arguments)
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)  # Whoever reads may stop before the end.
    try:
        status: int = given.run(given)
        return status
    except (NotALog, OSError) as error:
        print(f"pagemap-scan: {error}", file=sys.stderr)
        return CANNOT


def compare(given: argparse.Namespace) -> int:
    words, has_regression = told(read(given.before), read(given.after))
    print(words)
    return {True: REGRESSION, False: 0, None: CANNOT}[has_regression]


def write_findings(given: argparse.Namespace) -> int:
    errata = importlib.import_module(given.errata).ERRATA  # By its name: how is asked knows nothing of what is asked.
    for directory in findings.write([read(log) for log in given.logs], errata, given.to):
        print(directory)
    return 0


def print_ktap(given: argparse.Namespace) -> int:
    log: Log = read(given.log)
    print(ktap(log.outcomes, log.partial), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
