"""Acceleration: KVM where it boots kernels, emulation elsewhere, decided by a boot and remembered.

``/dev/kvm`` may open, create machines and run instructions, and still boot no kernel (nested virtualization): only
a boot tells. A canary that fails for KVM's own reasons is remembered; one that fails for the kernel's isn't.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from vm import cache, temporary
from vm.architectures import architecture_for
from vm.guest.boot import Ending, Setup, boot, new_script
from vm.guest.console import Limits
from vm.guest.shared_directory import Shared
from vm.kernels.kernel import Kernel

KVM, TCG = "kvm", "tcg"
CHOICES = ("auto", KVM, TCG)
#: How many times slower than on hardware a guest is under emulation, at most: every limit is that much longer.
SLOWER = {KVM: 1, TCG: 5}
CANARY_LIMITS = Limits(boot=20, silence=20, whole=30)
#: Any line that the kernel itself has printed.
_KERNEL_SPOKE = re.compile(r"^\[ *\d+\.\d+\] ", re.MULTILINE)


def scaled(setup: Setup, accel: str) -> Setup:
    """The setup with an acceleration, and limits that allow for it."""
    return replace(setup, accel=accel, limits=setup.limits.scaled(SLOWER[accel]))


def _machine() -> str:
    """What the answer depends on: the host's kernel and processor."""
    try:
        model = re.search(r"^model name\s*: (.*)", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        model = None
    return f"{os.uname().release} {model[1] if model else os.uname().machine}"


def _memory() -> Path:
    return cache.directory() / "accel.json"


def remembered() -> str | None:
    """The answer of an earlier canary on this machine."""
    try:
        told = json.loads(_memory().read_text())
        return str(told["accel"]) if told["machine"] == _machine() and told["accel"] in CHOICES else None
    except (OSError, ValueError, TypeError, KeyError):
        return None


def choose(kernel: Kernel, say: Callable[[str], None]) -> str:
    """``kvm`` or ``tcg``. Boots the kernel once under KVM when that was never tried on this machine."""
    if not architecture_for(kernel.architecture).is_hosts or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return TCG
    if known := remembered():
        return known
    ending, console = _canary(kernel)
    answer = KVM if ending.booted else TCG
    why = ending.trouble.says if ending.trouble else "the guest ended at once"
    if ending.booted or "KVM" in why or not _KERNEL_SPOKE.search(console):
        _memory().write_text(json.dumps({"machine": _machine(), "accel": answer}))
    if answer is TCG:
        say(f"/dev/kvm opens, but no kernel boots on it ({why}): emulating, which is slow")
    return answer


def _canary(kernel: Kernel) -> tuple[Ending, str]:
    with temporary.directory() as work:
        shared = Shared(work)
        new_script(shared, "")
        ending = boot(kernel, Setup(KVM, cpus=1, memory="1G", limits=CANARY_LIMITS), shared)
        return ending, shared.console.read_text(errors="replace")
