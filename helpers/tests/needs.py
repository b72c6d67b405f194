"""What the project's own tests need of the machine, and the reason to skip them where it hasn't that."""

from __future__ import annotations

import pytest

from helpers.host import CannotTest, require_kernel, require_survival


def lacking() -> str:
    """Why this kernel can't be asked by this process; nothing where it can."""
    try:
        require_survival()
        require_kernel()
    except CannotTest as why:
        return str(why)
    return ""


#: Asks the running kernel, not a stub.
on_kernel = pytest.mark.skipif(bool(lacking()), reason=f"asks the kernel: {lacking()}")
