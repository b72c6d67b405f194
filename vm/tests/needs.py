"""What tests of the harness need of the machine, and the reason to skip them where it hasn't that."""

from __future__ import annotations

import shutil

import pytest

from vm import CannotRun
from vm.guest.boot import require_programs
from vm.processes import search_path


def lacking() -> str:
    """What is missing to boot a kernel; nothing where all is there."""
    try:
        require_programs()
    except CannotRun as why:
        return str(why)
    return ""


#: Comes to where a kernel would be booted, be it that QEMU is a stand-in.
to_boot = pytest.mark.skipif(bool(lacking()), reason=lacking())
#: Unpacks a kernel's packages.
depmod = pytest.mark.skipif(not shutil.which("depmod", path=search_path()), reason="depmod is missing: install kmod")
