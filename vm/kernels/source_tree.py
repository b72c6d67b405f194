"""A kernel's sources: whether a directory has them, what they are called, and where they can be built from.

A build outside the tree needs a tree in which nothing was configured: kbuild refuses any other, since its compiler
would find that configuration's headers first. Where somebody builds in place, the sources are therefore seen
through a directory of symbolic links, which has what git has and lacks what was built.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from vm import CannotRun

#: Seconds for one command of git's, on a tree that isn't in the page cache.
GIT_LIMIT = 300


def require_tree(tree: Path) -> None:
    """Raises CannotRun when the directory isn't a kernel source tree."""
    for name in ("Kconfig", "Makefile", "arch"):
        if not (tree / name).exists():
            raise CannotRun(f"{tree} is not a kernel source tree: it has no {name}")


def describe(tree: Path) -> str:
    """What git calls the sources; empty when the tree isn't a repository of its own."""
    if _git(tree, "rev-parse", "--show-toplevel").strip() != str(tree):
        return ""
    return _git(tree, "describe", "--always", "--dirty").strip()


def is_configured(tree: Path) -> bool:
    """Whether somebody configured or built in the tree: what kbuild asks before it builds elsewhere."""
    return (
        (tree / ".config").is_file()
        or (tree / "include/config").is_dir()
        or any(path.is_dir() for path in tree.glob("arch/*/include/generated"))
    )


def unconfigured(tree: Path, place: Path) -> Path:
    """The tree, or a directory of links to its sources, made or renewed at ``place``. Raises CannotRun."""
    if not is_configured(tree):
        return tree
    listed = _git(tree, "ls-files", "-z", "--cached", "--others", "--exclude-standard").split("\0")
    names = {name for name in listed if name and not name.endswith("/") and os.path.lexists(tree / name)}
    if "Makefile" not in names:
        raise CannotRun(
            f"{tree} is configured in place, and it isn't a git repository, which could tell its sources from what "
            "was built: run make mrproper in it, or name its image (arch/x86/boot/bzImage) instead"
        )
    _link(tree, names, place)
    return place


def _link(tree: Path, names: set[str], place: Path) -> None:
    """Makes a directory one of links to these files and no others. A link that is there is right: it's named so."""
    place.mkdir(parents=True, exist_ok=True)
    there = _links(place)
    for name in there - names:
        link = place / name
        link.unlink()
        _remove_empty(link.parent, place)
    for name in names - there:
        link = place / name
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(tree / name)


def _links(place: Path) -> set[str]:
    """The names of all links below a directory; some of them are to directories, which os.walk() doesn't enter."""
    prefix = len(str(place)) + 1
    paths = (os.path.join(top, name) for top, inner, files in os.walk(place) for name in (*inner, *files))
    return {path[prefix:] for path in paths if os.path.islink(path)}


def _remove_empty(directory: Path, place: Path) -> None:
    """Removes directories without links in them: a file may be where one was."""
    while directory != place and not any(directory.iterdir()):
        directory.rmdir()
        directory = directory.parent


def _git(tree: Path, *arguments: str) -> str:
    """What a command of git's prints, without a change to the repository; empty when it fails."""
    command = ["git", "--no-optional-locks", "-C", str(tree), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="surrogateescape", timeout=GIT_LIMIT)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""
