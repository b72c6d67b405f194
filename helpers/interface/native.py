"""The native library, loaded: ``ffi``, ``lib``, and the constants that only the machine's headers know."""

from __future__ import annotations

import errno
import importlib.util
import os
from typing import Any

from helpers.interface import build, uapi


class SuiteError(Exception):
    """Something of the suite's own went wrong, or a system call that isn't under test. Never a finding."""


def _load() -> tuple[Any, Any]:
    build.ensure_built()
    spec = importlib.util.spec_from_file_location("_native", build.BINDING)
    if spec is None or spec.loader is None:
        raise SuiteError(f"{build.BINDING} can't be loaded")
    binding = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(binding)
    return binding.ffi, binding.ffi.dlopen(str(build.LIBRARY))


ffi, lib = _load()

#: Values of :data:`helpers.interface.uapi.MACHINE_CONSTANTS` on this machine.
MACHINE: dict[str, int] = {
    name: lib.native_machine_constants[index] for index, name in enumerate(uapi.MACHINE_CONSTANTS)
}


def checked(result: int, doing: object) -> int:
    """The result of a system call that isn't under test. Raises SuiteError, which says ``doing`` what, for an errno."""
    if result < 0:
        raise SuiteError(f"{doing}: {errno.errorcode.get(-result, -result)}: {os.strerror(-result)}")
    return result
