"""The functions in C that carry operations out, cut into parts; a program has those that it needs.

Each part begins with a line ``//@ name: the parts it needs``, which isn't printed. Parts come in the order of the
files, and in a file as they stand there; what a part needs comes before it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

from helpers.c_source.constants import constants
from helpers.c_source.known import names_of_errata
from helpers.deviations import Erratum
from helpers.model import Facts

DIRECTORY = Path(__file__).with_name("parts")
#: The files, in order: what every program has, each operation as in helpers.operations, what the whole suite has.
FILES = (
    "interface",
    "outcome",
    "errata",
    "arena",
    "pagemap",
    "promises",
    "files",
    "mappings",
    "advice",
    "tracking",
    "filling",
    "accesses",
    "soft_dirty",
    "child",
    "witnesses",
    "regions",
    "scan",
    "categories",
    "limits",
    "holdings",
    "mosaic",
    "masks",
    "machine",
    "kinds",
    "probes",
    "tests",
    "rows",
    "suite",
)
COMPILE = "cc -O2 -Wall -Wextra -Werror -pthread"


@cache
def parts() -> dict[str, tuple[list[str], str]]:
    """The parts by name, in order: the parts that each needs, and its text."""
    found = {}
    for file in FILES:
        text = (DIRECTORY / f"{file}.c").read_text()
        told = re.split(r"^//@ (\w+):(.*)\n", text, flags=re.MULTILINE)[1:]
        for name, needs, part in zip(told[::3], told[1::3], told[2::3], strict=True):
            found[name] = (needs.split(), part.strip("\n") + "\n\n")
    return found


def needed(names: Iterable[str]) -> list[str]:
    """Parts and all that they need, in their order."""
    wanted: set[str] = set()
    open_names = list(names)
    while open_names:
        name = open_names.pop()
        if name not in wanted:
            wanted.add(name)
            open_names += parts()[name][0]
    return [name for name in parts() if name in wanted]


def words() -> set[str]:
    """All words of all parts: what is called so in C already is among them."""
    return {word for _, text in parts().values() for word in re.findall(r"\w+", text)}


def runtime(names: Iterable[str], facts: Facts, rest: str, errata: Sequence[type[Erratum]], kinds: str = "") -> str:
    """The text of parts and of all that they need, then the rest: what is included and defined is what they use."""
    parted = [parts()[name][1] for name in needed({"base", *names})]
    includes = sorted({line for text in parted for line in text.splitlines() if line.startswith("#include")})
    text = re.sub(r"^#include.*\n+", "", "".join(parted), flags=re.MULTILINE)
    text = text.replace("@KINDS@", kinds).replace("@ERRATA@", names_of_errata(errata)) + rest
    used = set(re.findall(r"\w+", text))
    defined = [line for name, line in constants(facts).items() if name in used | {"PAGE"}]
    # A process of 32 bits has addresses that its off_t hasn't, unless it is told to.
    features = ["#define _GNU_SOURCE", "#ifndef __LP64__", "#define _FILE_OFFSET_BITS 64", "#endif"]
    return "\n".join([*features, *includes, "", text.replace("@CONSTANTS@", "\n".join(defined))])
