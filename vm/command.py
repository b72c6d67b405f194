"""``python -m vm``: kernels in virtual machines, and what the suite says of them.

Exit status of a run: 0 the kernel conforms, 1 it doesn't, 125 it couldn't be built, booted or asked; that is what
``git bisect run`` expects.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from vm import CHECKOUT, CannotRun, NotTold, temporary, told
from vm.architectures import ARCHITECTURES, architecture_for
from vm.guest import accel
from vm.guest.boot import NEEDED, NEEDED_BY_ALL, Setup, require_programs, vng_command
from vm.guest.console import Limits
from vm.guest.progress import Progress
from vm.kernels import archive, table
from vm.kernels.kernel import Kernel
from vm.kernels.lookup import DEB, find
from vm.outputs import repair, say, tell
from vm.processes import Kept, ended_by_signals, private_environment
from vm.results import comparison
from vm.results.directory import results_of_many
from vm.results.verdict import INTERRUPTED, NOT_ASKED
from vm.runs import conformance, matrix, program

KERNEL = """\
a kernel: the path of an image (bzImage, vmlinuz, Image; modules are found beside it); the path of a source tree, which
is built with vm/configs; deb:[SUITE/]PACKAGE with a pattern, of which the newest package is taken; or a name of
vm/matrix.toml"""


class Parser(argparse.ArgumentParser):
    """A command line that can't be read is one sentence more of why nothing was tested."""

    def print_help(self, file: object = None) -> None:
        tell(self.format_help())

    def error(self, message: str) -> NoReturn:
        self.print_usage(sys.stderr)
        sys.exit(refused(CannotRun.verdict, f"{self.prog}: {message}"))


def positive(text: str) -> int:
    """A number of things, at least one."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} isn't 1 or more")
    return int(text)


def seconds(text: str) -> float:
    """A time that passes."""
    if not re.fullmatch(r"\d+\.?\d*", text) or not float(text):
        raise argparse.ArgumentTypeError(f"{text!r} is no time in seconds")
    return float(text)


def parser() -> Parser:
    """The command line."""
    top = Parser(prog="python -m vm", description=(__doc__ or "").partition("\n\n")[2].strip())
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
        "--program",
        action="store_true",
        help="the suite's C program in an initramfs: needs no 9p, and runs on other processors",
    )
    run.add_argument(
        "--arch",
        choices=ARCHITECTURES,
        help="with --program, what it is compiled for: i386 on x86_64 (the kernel's own)",
    )
    run.add_argument("--verbose", action="store_true", help="show the guest's console")
    run.set_defaults(do=run_one)

    several = commands.add_parser("matrix", help="run the suite on the kernels of vm/matrix.toml, and compare them")
    several.add_argument("kernel", nargs="*", help="names in vm/matrix.toml; all without")
    several.add_argument("--results", type=Path, default=Path("results"), help="a directory for each, and matrix.html")
    several.add_argument("--jobs", type=positive, help="guests at once (as many as memory and processors allow)")
    several.set_defaults(do=run_matrix)

    shell = commands.add_parser("shell", help="a shell in the guest, at the checkout")
    shell.add_argument("kernel", help=KERNEL)
    shell.set_defaults(do=open_shell)

    for command in (run, several, shell):
        command.add_argument("--accel", choices=accel.CHOICES, default="auto", help="auto: what a boot has shown")
        command.add_argument("--cpus", type=positive, default=Setup.cpus)
        command.add_argument("--memory", help=f"as QEMU writes it ({Setup.memory}, or what vm/matrix.toml says)")
        command.add_argument("--append", action="append", default=[], help="words for the kernel's command line")
    for command in (fetched, run, shell):
        command.add_argument("--config", action="append", default=[], metavar="NAME", help="a fragment of vm/configs")
    for command in (run, several):
        for limit in fields(Limits):
            told = f"seconds ({limit.default}; under emulation {accel.SLOWER[accel.TCG]} times as many)"
            command.add_argument(f"--{limit.name}-limit", type=seconds, metavar="SECONDS", help=told)
    return top


def setup_of(options: argparse.Namespace, kernel: Kernel) -> Setup:
    """How the guest is to be run; decides about acceleration when that was left to us."""
    chosen = accel.choose(kernel, say) if options.accel == "auto" else options.accel
    memory = Setup.memory if options.memory is None else options.memory
    found = accel.scaled(Setup(chosen, options.cpus, memory, append=tuple(options.append)), chosen)
    given = {limit.name: getattr(options, f"{limit.name}_limit", None) for limit in fields(Limits)}
    limits = {name: given[name] or getattr(found.limits, name) for name in given}
    return Setup(found.accel, found.cpus, found.memory, Limits(**limits), found.append)


def list_kernels(options: argparse.Namespace) -> int:
    cached = {kernel.origin: kernel for kernel in archive.all_cached()}
    rows = [(kernel.release, "cached", origin) for origin, kernel in cached.items()]
    status = 0
    for row in table.rows():
        if row.kernel.startswith(DEB):
            try:
                place, pattern = archive.archive_of(row.kernel.removeprefix(DEB))
                newest = place.newest(pattern)
            except CannotRun as reason:
                rows.append((row.name, "not known", f"{row.kernel}: {reason}"))
                status = NOT_ASKED
                continue
            if newest is None:
                rows.append((row.name, "gone", f"{row.kernel}: no package matches (any more)"))
            elif place.origin(newest) not in cached:
                rows.append((row.name, "in the archive", place.origin(newest)))
    tell("".join(f"{name:24}  {state:14}  {origin}\n" for name, state, origin in rows))
    return status


def fetch(options: argparse.Namespace) -> int:
    for text in options.kernel:
        kernel = find(text, options.config, fresh=True)
        tell(f"{kernel.release}  {kernel.image}  ({kernel.origin})\n")
    return 0


def as_its_row_says(options: argparse.Namespace) -> None:
    """Of a kernel that is one of the matrix, all that wasn't asked for otherwise is as it is there. Raises CannotRun
    where there isn't the memory for it."""
    if row := table.named(options.kernel):
        options.program = options.program or row.program
        options.arch = options.arch or row.arch or None
        if row.memory and options.memory is None:
            options.memory = row.memory
            if not matrix.guests_in_memory(row.memory):
                raise CannotRun(f"{row.name}: its guest needs {row.memory} of memory, which this machine hasn't free")


def run_one(options: argparse.Namespace) -> int:
    as_its_row_says(options)
    require_programs(NEEDED_BY_ALL if options.program else NEEDED)
    kernel = find(options.kernel, options.config, arch=options.arch)
    machine = architecture_for(kernel.architecture, options.arch)
    if not options.program:
        require_own(kernel, options.arch)
    machine.require_qemu()
    setup = setup_of(options, kernel)
    is_terminal = bool(sys.stderr) and sys.stderr.isatty()
    heard: Callable[[str], None] = say if options.verbose else Progress(kernel, setup, say, is_terminal).heard
    directory = options.results or Path("results") / kernel.name
    if options.program:
        verdict = program.run(kernel, setup, machine, directory, heard)
    else:
        verdict = conformance.run(kernel, setup, directory, options.arguments, heard)
    say(f"reports and logs: {directory}")
    return verdict.status


def require_own(kernel: Kernel, compiled_for: str | None = None) -> None:
    """Raises CannotRun for what the host's programs can't run on, or be."""
    if compiled_for:
        raise CannotRun(f"--arch={compiled_for} is for the C program: give --program")
    if not architecture_for(kernel.architecture).is_hosts:
        raise CannotRun(f"{kernel.release} is for {kernel.architecture}: run --program asks it")


def run_matrix(options: argparse.Namespace) -> int:
    require_programs()
    rows = table.chosen(options.kernel)
    passed_on = [f"--accel={options.accel}", f"--cpus={options.cpus}"]
    passed_on += [] if options.memory is None else [f"--memory={options.memory}"]
    passed_on += [f"--append={words}" for words in options.append]
    for limit in fields(Limits):
        if seconds := getattr(options, f"{limit.name}_limit"):
            passed_on.append(f"--{limit.name}-limit={seconds}")
    memory = {row.memory or Setup.memory for row in rows} if options.memory is None else {options.memory}
    jobs = options.jobs or min(matrix.jobs_for(options.cpus, size) for size in memory)
    with results_of_many(options.results):
        status = matrix.run(rows, options.results, jobs, [*passed_on, "--", *options.arguments], say)
        try:
            tell(f"{comparison.write(options.results, rows)}\n")
        except (OSError, CannotRun) as error:
            reason = told(error) if isinstance(error, OSError) else error
            say(f"pagemap-scan: the kernels can't be compared: {reason}")
            return status or NOT_ASKED
    return status


def open_shell(options: argparse.Namespace) -> int:
    require_programs()
    kernel = find(options.kernel, options.config)
    require_own(kernel)
    setup = setup_of(options, kernel)
    with temporary.directory() as home, suppress(KeyboardInterrupt):
        command = vng_command(kernel, setup, "--cwd", str(CHECKOUT))
        with Kept(command, session=False, env=private_environment(home)) as kept:
            return kept.process.wait()
    return 0


def main(arguments: Sequence[str]) -> int:
    """Carries a command out; what can't be is said in a sentence, and so is what nobody has thought of."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    try:
        with ended_by_signals():
            options = parser().parse_args(arguments[:end])
            options.arguments = arguments[end + 1 :]
            require_directory()
            status: int = options.do(options)
            return status
    except CannotRun as reason:
        return refused(reason.verdict, str(reason))
    except KeyboardInterrupt as signal:
        return refused(CannotRun.verdict, f"interrupted {signal}".rstrip(), INTERRUPTED)
    except OSError as error:
        return refused(NotTold.verdict, told(error))
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return refused(NotTold.verdict, f"the run itself failed: {type(error).__name__}: {error} ({where})")


def refused(verdict: str, reason: str, status: int = NOT_ASKED) -> int:
    """Says why there is no verdict; returns the status."""
    say(f"pagemap-scan: {verdict}: {' '.join(reason.split())}")
    return status


def require_directory() -> None:
    """Raises CannotRun where nothing can be started, nor a path be meant."""
    try:
        os.getcwd()
    except OSError as error:
        raise CannotRun(f"the current directory is gone ({error.strerror}): cd to another") from None


def start() -> int:
    """The exit status of the command line's command."""
    repair()
    return main(sys.argv[1:])
