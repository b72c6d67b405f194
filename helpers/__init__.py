"""How it is asked."""

import os
import resource
import sys

#: More than the bytecode of any module.
_ROOM = 1 << 20


def _has_room_for_bytecode() -> bool:
    """Whether all of a module's bytecode can be written. Python before 3.12.8 keeps what it could write of it where
    that isn't all (a full disk, a limit), and every later run fails to read it."""
    place = os.statvfs(sys.pycache_prefix if sys.pycache_prefix and os.path.isdir(sys.pycache_prefix) else __path__[0])
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)[0]
    return place.f_bavail * place.f_frsize >= _ROOM and (limit == resource.RLIM_INFINITY or limit >= _ROOM)


if not _has_room_for_bytecode():
    sys.dont_write_bytecode = True
