"""The kernel's interface: structures, constants and system calls. No policy."""
