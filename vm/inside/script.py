"""What a guest does that runs the suite: its script, and pytest with its arguments."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from vm import CHECKOUT
from vm.guest import mounts
from vm.guest.boot import Setup, new_script
from vm.guest.marks import MARK
from vm.guest.shared_directory import Shared
from vm.inside.bytecode import compiled_for_guest
from vm.inside.invocation import ENVIRONMENT, pytest_command

#: A real file system and zram to be had, and at the same time the files that Python reads; the suite, and its status
#: last of all.
_SCRIPT = """\
provide_disks() {{
	modprobe -q -a virtio_blk ext4 zram loop
	[ -b /dev/vda ] || modprobe -q -a virtio_scsi sd_mod
	mkdir -p /run/scratch
	for disk in /dev/vda /dev/sda; do
		mount -t ext4 "$disk" /run/scratch && break
	done
}}
provide_disks 2>/dev/null &
{mounts}wait
cd {checkout} || exit
export {environment}
{command} >{output} 2>&1
status=$?
dmesg >{dmesg}
echo $status >{status}.new && mv {status}.new {status} || echo '{mark} unwritten' >/dev/kmsg
"""


def conformance_run(shared: Shared, setup: Setup, arguments: Sequence[str]) -> list[str]:
    """The conformance run as the guest starts it. In a virtual machine, everything may be asked."""
    return pytest_command(
        *(f"-n{setup.cpus}", f"--tell={shared.directory}", f"--report-log={shared.log}", "--scratch=/run/scratch"),
        *(f"--failures={shared.failures}", "--dangerous", "-o", f"timeout={setup.limits.test:.0f}", *arguments),
    )


def write_script(shared: Shared, command: Sequence[str]) -> None:
    """The guest's script for a run of pytest."""
    bytecode = {"PYTHONPYCACHEPREFIX": str(compiled_for_guest()), "PYTHONDONTWRITEBYTECODE": "1"}
    environment = {"HOME": "/run", **bytecode, **ENVIRONMENT}
    paths = {name: shlex.quote(str(getattr(shared, name))) for name in ("output", "dmesg", "status")}
    commands = _SCRIPT.format(
        mounts=mounts.script(),
        checkout=shlex.quote(str(CHECKOUT)),
        environment=shlex.join(f"{name}={value}" for name, value in environment.items()),
        command=shlex.join(command),
        mark=MARK,
        **paths,
    )
    new_script(shared, commands)
