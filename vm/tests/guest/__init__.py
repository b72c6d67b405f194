"""Tests that kill the kernel they run on, or wait for ever: for guests of vm/tests/test_guests.py alone.

Their files don't have names of tests, so that none is collected by a directory's name; and here is the second lock.
"""

from pathlib import Path

if "virtme_hostname=" not in Path("/proc/cmdline").read_text():
    raise RuntimeError("these tests are for a virtual machine: they would kill this one")
