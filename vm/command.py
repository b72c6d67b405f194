"""``python -m vm``: kernels in virtual machines, and what the suite says of them.

Exit status of a run: 0 the kernel conforms, 1 it doesn't, 125 it couldn't be built, booted or asked; that is what
``git bisect run`` expects.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path

from vm import CHECKOUT, CannotRun, temporary
from vm.guest import accel
from vm.guest.boot import Setup, require_programs, vng_command
from vm.guest.console import Limits
from vm.guest.progress import Progress
from vm.kernels import archive, table
from vm.kernels.kernel import Kernel
from vm.kernels.lookup import DEB, find
from vm.outputs import say
from vm.processes import Kept, ended_by_signals, private_environment
from vm.results import comparison
from vm.results.verdict import INTERRUPTED, NOT_ASKED
from vm.runs import conformance, matrix, program

KERNEL = """\
a kernel: the path of an image (bzImage, vmlinuz; modules are found beside it); the path of a source tree, which is
built with vm/configs; deb:[SUITE/]PACKAGE with a pattern, of which the newest package is taken; or a name of
vm/matrix.toml"""


def parser() -> argparse.ArgumentParser:
    """The command line."""
    top = argparse.ArgumentParser(prog="python -m vm", description=(__doc__ or "").split("\n\n", 1)[1].strip())
    commands = top.add_subparsers(dest="command", required=True)

    listed = commands.add_parser("list", help="the kernels that can be had, and those that are in the cache")
    listed.set_defaults(do=list_kernels)

    fetched = commands.add_parser("fetch", help="fetch or build kernels without booting them")
    fetched.add_argument("kernel", nargs="+", help=KERNEL)
    fetched.set_defaults(do=fetch)

    run = commands.add_parser("run", help="run the suite on a kernel; arguments after -- go to pytest in the guest")
    run.add_argument("kernel", help=KERNEL)
    run.add_argument("--results", type=Path, help="the directory for reports and logs (results/NAME)")
    run.add_argument(
        "--program", action="store_true", help="the suite's C program in an initramfs: needs neither 9p nor modules"
    )
    run.add_argument("--verbose", action="store_true", help="show the guest's console")
    run.set_defaults(do=run_one)

    several = commands.add_parser("matrix", help="run the suite on the kernels of vm/matrix.toml, and compare them")
    several.add_argument("kernel", nargs="*", help="names in vm/matrix.toml; all without")
    several.add_argument("--results", type=Path, default=Path("results"), help="a directory for each, and matrix.html")
    several.add_argument("--jobs", type=int, help="guests at once (as many as memory and processors allow)")
    several.set_defaults(do=run_matrix)

    shell = commands.add_parser("shell", help="a shell in the guest, at the checkout")
    shell.add_argument("kernel", help=KERNEL)
    shell.set_defaults(do=open_shell)

    for command in (run, several, shell):
        command.add_argument("--accel", choices=accel.CHOICES, default="auto", help="auto: what a boot has shown")
        command.add_argument("--cpus", type=int, default=Setup.cpus)
        command.add_argument("--memory", default=Setup.memory, help="as QEMU writes it (%(default)s)")
        command.add_argument("--append", action="append", default=[], help="words for the kernel's command line")
    for command in (fetched, run, shell):
        command.add_argument("--config", action="append", default=[], metavar="NAME", help="a fragment of vm/configs")
    for command in (run, several):
        for limit in fields(Limits):
            told = f"seconds ({limit.default}; under emulation {accel.SLOWER[accel.TCG]} times as many)"
            command.add_argument(f"--{limit.name}-limit", type=float, metavar="SECONDS", help=told)
    return top


def setup_of(options: argparse.Namespace, kernel: Kernel) -> Setup:
    """How the guest is to be run; decides about acceleration when that was left to us."""
    chosen = accel.choose(kernel, say) if options.accel == "auto" else options.accel
    found = accel.scaled(Setup(chosen, options.cpus, options.memory, append=tuple(options.append)), chosen)
    given = {limit.name: getattr(options, f"{limit.name}_limit", None) for limit in fields(Limits)}
    limits = {name: given[name] or getattr(found.limits, name) for name in given}
    return Setup(found.accel, found.cpus, found.memory, Limits(**limits), found.append)


def list_kernels(options: argparse.Namespace) -> int:
    cached = {kernel.origin: kernel for kernel in archive.all_cached()}
    rows = [(kernel.release, "cached", origin) for origin, kernel in cached.items()]
    for row in table.rows():
        if row.kernel.startswith(DEB):
            place, pattern = archive.archive_of(row.kernel.removeprefix(DEB))
            newest = place.newest(pattern)
            if newest is None:
                rows.append((row.name, "gone", f"{row.kernel}: no package matches (any more)"))
            elif place.origin(newest) not in cached:
                rows.append((row.name, "in the archive", place.origin(newest)))
    for name, state, origin in rows:
        print(f"{name:24}  {state:14}  {origin}")
    return 0


def fetch(options: argparse.Namespace) -> int:
    for text in options.kernel:
        kernel = find(text, options.config, fresh=True)
        print(f"{kernel.release}  {kernel.image}  ({kernel.origin})")
    return 0


def run_one(options: argparse.Namespace) -> int:
    require_programs()
    kernel = find(options.kernel, options.config)
    setup = setup_of(options, kernel)
    heard: Callable[[str], None] = say if options.verbose else Progress(kernel, setup, sys.stderr).heard
    directory = options.results or Path("results") / kernel.name
    if options.program:
        verdict = program.run(kernel, setup, directory, heard)
    else:
        verdict = conformance.run(kernel, setup, directory, options.arguments, heard)
    say(f"reports and logs: {directory}")
    return verdict.status


def run_matrix(options: argparse.Namespace) -> int:
    require_programs()
    rows = table.chosen(options.kernel)
    passed_on = [f"--{name}={getattr(options, name)}" for name in ("accel", "cpus", "memory")]
    passed_on += [f"--append={words}" for words in options.append]
    for limit in fields(Limits):
        if seconds := getattr(options, f"{limit.name}_limit"):
            passed_on.append(f"--{limit.name}-limit={seconds}")
    jobs = options.jobs or matrix.jobs_for(options.cpus, options.memory)
    status = matrix.run(rows, options.results, jobs, [*passed_on, "--", *options.arguments], say)
    print(comparison.write(options.results, rows))
    return status


def open_shell(options: argparse.Namespace) -> int:
    require_programs()
    kernel = find(options.kernel, options.config)
    setup = setup_of(options, kernel)
    with temporary.directory() as home, suppress(KeyboardInterrupt):
        command = vng_command(kernel, setup, "--cwd", str(CHECKOUT))
        with Kept(command, session=False, env=private_environment(home)) as kept:
            return kept.process.wait()
    return 0


def main(arguments: Sequence[str]) -> int:
    """Carries a command out; what can't be is said in a sentence."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = parser().parse_args(arguments[:end])
    options.arguments = arguments[end + 1 :]
    try:
        with ended_by_signals():
            status: int = options.do(options)
            return status
    except CannotRun as reason:
        say(f"pagemap-scan: not tested: {reason}")
        return NOT_ASKED
    except KeyboardInterrupt as signal:
        say(f"pagemap-scan: not tested: interrupted {signal}".rstrip())
        return INTERRUPTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
