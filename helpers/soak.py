"""Many runs one after the other, and what came of them: ``python -m helpers.soak 300 [--busy | --full] [pytest's…]``.

Nine runs in ten leave out the masks, which take most of the time. ``--busy`` keeps every processor busy with something
else meanwhile; ``--full`` leaves the machine little memory. The tally counts verdicts without their times: each verdict
but the first has its failures told. The exit status is 1 when there is more than one, or one that doesn't conform.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[1]
#: Bytes that ``--full`` leaves: what the workers of a run need, and a little more.
LEFT = 400 << 20
#: A run that isn't over after so many seconds is none.
LIMIT = 900
BUSY = "while True: pass"
FULL = """\
import mmap, sys
memory = mmap.mmap(-1, int(sys.argv[1]))
for place in range(0, len(memory), mmap.PAGESIZE):
    memory[place] = 1
print(flush=True)
sys.stdin.read()
"""


def available() -> int:
    """Bytes of memory that could be had."""
    told = re.search(r"MemAvailable: +(\d+) kB", Path("/proc/meminfo").read_text())
    return int(told[1]) * 1024 if told else 0


@contextmanager
def beside(program: str, *arguments: str, says: bool = False) -> Iterator[None]:
    """Another process, as long as the context lasts; with ``says`` it is waited for until it says something."""
    command = [sys.executable, "-c", program, *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            if says and process.stdout:
                process.stdout.readline()
            yield
        finally:
            process.kill()


def run(number: int, arguments: Sequence[str]) -> tuple[str, str]:
    """The verdict of a run without its time, and all that it said."""
    which = [] if number % 10 == 0 else ["-k", "not mask_combination"]
    command = [sys.executable, "-m", "pytest", "-q", "-n", "auto", *which, *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return f"no end after {LIMIT} s", ""
    last = (done.stdout.splitlines() or [""])[-1]
    kind = "with masks" if number % 10 == 0 else "without masks"
    verdict = re.sub(r"; [\d.]+ s$", "", last)
    return f"{kind}: status {done.returncode}: {verdict}", done.stdout + done.stderr


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m helpers.soak", description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=int)
    parser.add_argument("--busy", action="store_true", help="keep every processor busy with something else")
    parser.add_argument("--full", action="store_true", help=f"leave {LEFT >> 20} MiB of memory")
    options, arguments = parser.parse_known_args()
    tally: Counter[str] = Counter()
    with ExitStack() as stack:
        for _ in range(len(os.sched_getaffinity(0)) if options.busy else 0):
            stack.enter_context(beside(BUSY))
        if options.full:
            stack.enter_context(beside(FULL, str(max(available() - LEFT, 0)), says=True))
        for number in range(options.runs):
            verdict, said = run(number, arguments)
            if verdict not in tally:
                print(f"run {number + 1}: {verdict}", flush=True)
                told = [line for line in said.splitlines() if line.startswith(("FAILED", "ERROR", "pagemap-scan: "))]
                print(*told[:-1], sep="\n", end="\n" * (len(told) > 1), flush=True)
            tally[verdict] += 1
    for verdict, count in tally.most_common():
        print(f"{count:5} x {verdict}")
    return int(any(": conforms" not in verdict for verdict in tally) or len(tally) > 2)


if __name__ == "__main__":
    sys.exit(main())
