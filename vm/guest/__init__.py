"""One guest: a kernel booted in a virtual machine, listened to, and ended."""
