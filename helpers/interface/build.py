"""Builds the native part: ``python -m helpers.interface.build``.

The result is a plain shared library, loaded by cffi in its out-of-line ABI mode: that needs a C compiler
and nothing else, no Python headers.
"""

from __future__ import annotations

import contextlib
import fcntl
import io
import os
import shlex
import subprocess
import sys
from pathlib import Path

from cffi import FFI

from helpers.interface import uapi

HERE = Path(__file__).resolve().parent
BUILD = HERE / "_build"
LIBRARY = BUILD / "native.so"
BINDING = BUILD / "_native.py"
C_FILES = (HERE / "native.c", HERE / "unreturned.c", HERE / "child.c", HERE / "pin.c", HERE / "failing.c")
SOURCES = (*C_FILES, HERE / "native.h", HERE / "uapi.py", HERE / "build.py")
CFLAGS = ("-std=gnu11", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread")


#: Exit status of a run that could ask nothing.
NOT_TESTED = 5


class BuildError(RuntimeError):
    """The native part can't be built on this machine; the message says what is missing."""


def _nested(fields: tuple[str, ...]) -> list[str]:
    """Member declarations of a structure of ``__u64``; ``range.start, range.len`` is a struct uffdio_range."""
    members = []
    for field in fields:
        if "." not in field:
            members.append(f"uint64_t {field};")
        elif field == "range.start":
            members.append("struct uffdio_range range;")
    return members


def _struct(name: str) -> str:
    return f"struct {name} {{ {' '.join(_nested(uapi.STRUCTS[name][1]))} }};"


def uapi_header() -> str:
    """The C header that defines what the machine's headers lack and checks what they have."""
    lines = [
        "/* Made by helpers/interface/build.py from helpers/interface/uapi.py. */",
        "#include <stddef.h>",
        "#include <stdint.h>",
        "#include <linux/fs.h>",
        "#include <linux/memfd.h>",
        "#include <linux/userfaultfd.h>",
        "#include <sys/ioctl.h>",
        "#include <sys/mman.h>",
        "#include <sys/syscall.h>",
    ]
    for name, (macro, fields) in uapi.STRUCTS.items():
        size = 8 * len(fields)
        lines += [f"#ifndef {macro}", _struct(name), "#endif"]
        lines += [f'_Static_assert(sizeof(struct {name}) == {size}, "size of struct {name}");']
        lines += [
            f'_Static_assert(offsetof(struct {name}, {field}) == {8 * index}, "struct {name}.{field}");'
            for index, field in enumerate(fields)
        ]
    for name, value in uapi.CONSTANTS.items():
        lines += [f"#ifdef {name}", f'_Static_assert({name} == {value:#x}, "{name}");']
        lines += ["#else", f"#define {name} {value:#x}", "#endif"]
    for name, fallback in uapi.MACHINE_CONSTANTS.items():
        if fallback is not None:
            lines += [f"#ifndef {name}", f"#define {name} {fallback}", "#endif"]
    table = ", ".join(f"(uint64_t){name}" for name in uapi.MACHINE_CONSTANTS)
    lines.append(f"#define NATIVE_MACHINE_CONSTANTS {{ {table} }}")
    return "\n".join(lines) + "\n"


def declarations() -> str:
    """What cffi is told: the structures, the native functions and the system calls taken from libc."""
    functions = (HERE / "native.h").read_text().split("/* cffi reads from here */")[1].split("#endif")[0]
    return "\n".join([*(_struct(name) for name in uapi.STRUCTS), functions])


def _compile() -> None:
    compiler = shlex.split(os.environ.get("CC", "cc"))
    unfinished = BUILD / f"native.{os.getpid()}.so"
    command = [*compiler, *CFLAGS, f"-I{BUILD}", f"-I{HERE}", "-o", str(unfinished), *map(str, C_FILES)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    except FileNotFoundError as missing:
        raise BuildError(
            f"no C compiler: {compiler[0]!r} isn't there; install gcc or clang, or name one in CC"
        ) from missing
    if done.returncode != 0:
        raise BuildError(f"{shlex.join(command)}\n{done.stderr}")
    unfinished.replace(LIBRARY)


def build() -> None:
    """Makes the library and its binding in ``_build``, replacing the old ones in one step each.

    Raises BuildError when there is no compiler, or when it refuses: the machine's headers then disagree
    with :mod:`helpers.interface.uapi`.
    """
    (BUILD / "uapi.h").write_text(uapi_header())
    _compile()
    builder = FFI()
    builder.cdef(declarations())
    builder.set_source("_native", None)
    with contextlib.redirect_stdout(io.StringIO()):
        builder.emit_python_code(str(BINDING))
    BINDING.touch()  # cffi leaves a file alone whose text stays the same.


def ensure_built() -> None:
    """Builds when something is missing or older than its sources; one process builds, the others wait."""
    newest = max(source.stat().st_mtime for source in SOURCES)

    def is_fresh() -> bool:
        return all(made.exists() and made.stat().st_mtime >= newest for made in (LIBRARY, BINDING))

    if is_fresh():
        return
    BUILD.mkdir(exist_ok=True)
    with (BUILD / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not is_fresh():
            build()


def build_or_exit() -> None:
    """As ensure_built; ends the program in a sentence, as a run that could ask nothing, when it can't be done."""
    try:
        ensure_built()
    except BuildError as error:
        print(f"pagemap-scan: not tested: {error}", file=sys.stderr)
    except OSError as error:
        print(f"pagemap-scan: not tested: {BUILD} can't be written: {error.strerror}", file=sys.stderr)
    else:
        return
    sys.exit(NOT_TESTED)


if __name__ == "__main__":
    build_or_exit()
