"""What the plugins leave for each other in pytest's stashes: of a run, and of a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO

import pytest

from helpers.deviations import Erratum
from helpers.host import Host
from helpers.lab import Lab
from helpers.machine import Machine
from helpers.probing import Found

#: Of a run: the kernel under test, where there is one.
HOST = pytest.StashKey[Host]()
#: Of a run: all errata that are known; the suites hand them over.
CATALOGUE = pytest.StashKey[Sequence[type[Erratum]]]()
#: Of a run: which of them the kernel has.
FOUND = pytest.StashKey[Found]()
#: Of a run: the machine, where the run has changed it.
MACHINE = pytest.StashKey[Machine]()
#: Of a run: what went wrong with it that has nothing to do with a test, in sentences.
TROUBLES = pytest.StashKey[list[str]]()
#: Of a run: where its words go.
VOICE = pytest.StashKey[TextIO]()
#: Of a test: the lab in which its program ran.
LAB = pytest.StashKey[Lab]()
