"""What is to be refused is accepted."""

from __future__ import annotations

from helpers.deviations import Condition, Erratum, Harm, scans_oddly
from helpers.lab import Lab
from helpers.operations import At


class VecLenOverflow(Erratum):
    """The vec_len times the size of a region overflowed, and the scan was accepted."""

    clauses = ("errors",)
    harm = Harm.MISCOUNTS
    evidence = "its fix, CVE-2024-53107; none of the kernels seen so far has it, and each was asked"
    fixed = "669b0cb81e4e (fs/proc/task_mmu: prevent integer overflow in pagemap_scan_get_args()), Linux 6.12, 6.11.10"

    @staticmethod
    def probe(lab: Lab) -> None:
        span = lab.map((0, 1))
        lab.write(span)
        lab.register(span)
        lab.scan(span, raw={"vec_len": 1 << 61})

    @classmethod
    def is_met_by(cls) -> Condition:
        return scans_oddly

    def checked_vec(self, vec: int | At | None, vec_len: int, has_vec: bool) -> At | None:
        return super().checked_vec(vec, vec_len % (1 << 61), has_vec)
