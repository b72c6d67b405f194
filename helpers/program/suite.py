"""The whole deterministic suite as one C program, in the manner of a kernel selftest: KTAP, a plan, -l and -t.

Tests are recorded on a faithful stub kernel: all of their operations, with what the contract expects. A group is
a test function, its subtests are the parameters. What tests have in common is printed once: the preparation of a
kind of memory, and programs that read the same on several kinds.
"""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from helpers.lab import Prepared, Step
from helpers.model import Facts, Model, Unspecified
from helpers.operations import Region
from helpers.program.printer import COMPILE, Place, Printer, categories, runtime

_SHORT = {
    "A": "PAGE_IS_WPALLOWED",
    "W": "PAGE_IS_WRITTEN",
    "F": "PAGE_IS_FILE",
    "P": "PAGE_IS_PRESENT",
    "S": "PAGE_IS_SWAPPED",
    "Z": "PAGE_IS_PFNZERO",
    "H": "PAGE_IS_HUGE",
    "G": "PAGE_IS_GUARD",
}


@dataclass(frozen=True)
class Record:
    """A test that ran: its function, its parameters in brackets, what it did, and the known issue that names it.

    ``loop`` is a call in C for a test that is a loop over more cases than could be told one by one.
    """

    function: str
    parameters: str
    steps: tuple[Step, ...] = ()
    prepared: tuple[Prepared, ...] = ()
    issue: str = ""
    loop: str = ""


@dataclass(frozen=True)
class Issue:
    """A known defect: on a kernel that has it, the steps of its probe differ from the contract.

    ``match``: a regular expression for what its tests say when they fail for it.
    """

    name: str
    summary: str
    match: str
    steps: tuple[Step, ...]


def needs_old_written(steps: Iterable[Step], facts: Facts) -> bool:
    """Whether the expectations don't hold on kernels that say WRITTEN of registered memory only."""
    model = Model(replace(facts, written_needs_registration=True))
    try:
        return any(step.operation.run(model) != step.expected for step in steps if not step.is_precondition)
    except Unspecified:
        return False


class Bodies:
    """C functions without parameters; each is printed once, however often it is asked for."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.names: dict[str, str] = {}
        self.parts: set[str] = set()

    def add(self, stem: str, statements: Iterable[str]) -> str:
        """The name of the function that is made of these statements."""
        text = "\n".join(f"\t{statement}" for statement in statements)
        return self.names.setdefault(text, f"{stem}_{len(self.names)}")

    def printed(self, steps: Iterable[Step], place: Place | None = None) -> list[str]:
        """Steps as statements, with short names for categories."""
        printer = Printer(self.facts, place)
        statements = [printer.statement(step) for step in steps]
        self.parts |= printer.parts
        return _as_loops([_shortened(statement) for statement in statements])

    def __str__(self) -> str:
        return "\n\n".join(f"static void {name}(void)\n{{\n{text}\n}}" for text, name in self.names.items())


def _shortened(statement: str) -> str:
    for short, name in _SHORT.items():
        statement = statement.replace(name, short)
    return statement.replace("PM_SCAN_WP_MATCHING", "WP").replace("PM_SCAN_CHECK_WPASYNC", "CHECK")


class Suite:
    """Builds the program from records."""

    def __init__(self, facts: Facts, mosaics: Sequence[tuple[Sequence[Step], Sequence[Region]]]) -> None:
        """``mosaics``: the steps that make the memory for the masks, and its runs of equal categories; three of them:
        with everything, without swap, and without swap and guard regions."""
        self.facts = facts
        self.bodies = Bodies(facts)
        self.kinds: dict[tuple[str, str], str] = {}
        self.mosaics = mosaics

    def kind_of(self, prepared: Prepared, steps: Sequence[Step]) -> str:
        """The name of the table entry for memory that was prepared in this way."""
        stem = "".join(letter if letter.isalnum() else "_" for letter in prepared.kind.name)
        body = self.bodies.add(f"prepare_{stem}", self.bodies.printed(steps[slice_of(prepared.steps)]))
        row = f'"{prepared.kind.name}", {body}, {prepared.span.end}, {_shortened(categories(prepared.categories))}'
        return self.kinds.setdefault((body, row), f"kind_{len(self.kinds)}")

    def body_of(self, record: Record, stem: str) -> tuple[str, str]:
        """The function of a test, and the kind of memory that it is about, as C names or NULL."""
        steps, prepared = record.steps, record.prepared
        main = prepared[0] if prepared and prepared[0].span.start == 0 else None
        place = Place(main.span.end, main.categories) if main else None
        statements: list[str] = []
        done = 0
        for part in prepared:
            statements += self.bodies.printed(steps[done : part.steps.start], place)
            if part is main:
                statements.append("kind->prepare();")
            else:
                statements += self.bodies.printed(steps[slice_of(part.steps)], place)
            done = part.steps.stop
        statements += self.bodies.printed(steps[done:], place)
        kind = f"&{self.kind_of(main, steps)}" if main else "NULL"
        return self.bodies.add(stem, statements), kind

    def text(self, records: Sequence[Record], issues: Sequence[Issue], left_out: Iterable[str]) -> str:
        """The program."""
        issue_rows = []
        for issue in issues:
            # A probe runs without a kind at hand.
            body = self.bodies.add("probe", self.bodies.printed(issue.steps))
            issue_rows.append(f'{{ "{issue.name}", "{issue.summary}", {body}, "{_escaped(issue.match)}" }},')
        numbers = {issue.name: number for number, issue in enumerate(issues)}
        tables, groups = [], []
        for number, (function, group) in enumerate(itertools.groupby(records, lambda record: record.function)):
            rows = [self.row(record, numbers) for record in group]
            tables.append(f"static const struct test tests_{number}[] = {{\n{_packed(rows)}\n}};")
            groups.append(f'\t{{ "{function}", tests_{number}, {len(rows)} }},')
        kinds = [f"static const struct kind {name} = {{ {row} }};" for (_, row), name in self.kinds.items()]
        mosaics = "\n\n".join(self.mosaic(number) for number in range(len(self.mosaics)))
        parts = {"suite", "accepts_category", "small_scope", "random_pattern", "masks", *self.bodies.parts}
        omitted = "\n".join(
            textwrap.fill(line, 110, initial_indent=" *   ", subsequent_indent=" *     ") for line in left_out
        )
        return f"""\
// SPDX-License-Identifier: GPL-2.0
/*
 * PAGEMAP_SCAN, the whole contract: {len(records)} tests, each a program of operations on memory with what is expected
 * of every scan. KTAP on standard output; -l lists the tests, -t chooses those whose name has a part.
 * {COMPILE} -o pagemap_scan pagemap_scan.c
 * Exits 0 when the kernel keeps the contract, but for known defects; 1 when it doesn't; 4 when nothing can be asked.
 *
 * Made by the conformance suite (make pagemap_scan.c); not in it:
{omitted}
 */
{runtime(parts, self.facts)}
/* Categories, in the tests below. */
{chr(10).join(f"#define {short} {name}" for short, name in _SHORT.items())}
#define WP PM_SCAN_WP_MATCHING
#define CHECK PM_SCAN_CHECK_WPASYNC

/* Memory that holds every set of categories side by side, as far as the machine can have them. */
{mosaics}

static const struct region *mosaic(void)
{{
	return there_are_guards() ? there_is_swap() ? mosaic_0() : mosaic_1() : mosaic_2();
}}

{self.bodies}

{chr(10).join(kinds)}

/* Defects of kernels that are known, each with a short program that finds it out. */
static const struct issue issues[] = {{
{chr(10).join(f"	{row}" for row in issue_rows)}
}};

/* The tests: parameters, program, kind of memory, the known issue that names it. */
{chr(10).join(tables)}

static const struct group groups[] = {{
{chr(10).join(groups)}
}};

int main(int argc, char **argv)
{{
	return suite(argc, argv, groups, sizeof(groups) / sizeof(*groups));
}}
"""

    def mosaic(self, number: int) -> str:
        """A function that makes the memory for the masks, and returns its regions."""
        steps, runs = self.mosaics[number]
        made = "\n".join(f"\t{statement}" for statement in self.bodies.printed(steps))
        regions = [_shortened(Printer(self.facts).regions((run,)).removeprefix("REGIONS(")[:-1]) for run in runs]
        return f"""\
static const struct region *mosaic_{number}(void)
{{
	static const struct region regions[] = {{
{textwrap.indent(_packed(f"{region}," for region in regions), "	")}
		{{ 0, 0, 0, 0, 0 }},
	}};

{made}
	return regions;
}}"""

    def row(self, record: Record, numbers: dict[str, int]) -> str:
        """The entry of a test in its table."""
        if record.loop:
            body, kind = self.bodies.add(record.function, [record.loop]), "NULL"
        else:
            body, kind = self.body_of(record, record.function)
        issue = f"&issues[{numbers[record.issue]}]" if record.issue in numbers else "NULL"
        old = int(needs_old_written(record.steps, self.facts))
        return f'{{ "{record.parameters}", {body}, {kind}, {issue}, {old} }},'

def _escaped(text: str) -> str:
    """The inside of a string in C."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


_ONE_PAGE = re.compile(r"write_pages\((\d+), (\d+)\);")


def _as_loops(statements: list[str]) -> list[str]:
    """Statements, with those that write single pages at equal distances told as a loop."""
    found: list[str] = []
    pages: list[int] = []

    def close() -> None:
        if len(pages) > 3:
            step = pages[1] - pages[0]
            found.append(f"for (int64_t page = {pages[0]}; page <= {pages[-1]}; page += {step})")
            found.append("\twrite_pages(page, page + 1);")
        else:
            found.extend(f"write_pages({page}, {page + 1});" for page in pages)
        pages.clear()

    for statement in statements:
        match = _ONE_PAGE.fullmatch(statement)
        page = int(match[1]) if match and int(match[2]) == int(match[1]) + 1 else None
        fits = page is not None and (not pages or page > pages[-1])
        if not fits or (len(pages) > 1 and page is not None and page - pages[-1] != pages[1] - pages[0]):
            close()
        if page is None:
            found.append(statement)
        else:
            pages.append(page)
    close()
    return found


def slice_of(numbers: range) -> slice:
    return slice(numbers.start, numbers.stop)


def _packed(rows: Iterable[str]) -> str:
    """Rows of a table, as many in a line as fit."""
    return textwrap.fill(
        " ".join(row.replace(" ", "\0") for row in rows), 118, initial_indent="\t", subsequent_indent="\t",
        break_long_words=False, break_on_hyphens=False,
    ).replace("\0", " ")  # fmt: skip
