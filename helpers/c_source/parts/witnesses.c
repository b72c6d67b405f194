//@ entries_are: entries
struct run {
	int64_t pages;
	uint64_t bits;
};
#define RUNS(...) (struct run[]){ __VA_ARGS__, { 0, 0 } }
/* The bits that tell a page's state, and all but those that tell of frames. */
#define STATE (PM_PRESENT | PM_SWAPPED | PM_GUARD)
#define EVERY_BIT (STATE | PM_SOFT_DIRTY | PM_UFFD_WP | PM_FILE)

static void show_entry(const char *title, int64_t page, uint64_t entry)
{
	static const char *const names[] = { [55] = "SOFT_DIRTY", [57] = "UFFD_WP", [58] = "GUARD",
					     [61] = "FILE",	  [62] = "SWAPPED", [63] = "PRESENT" };

	say("# pagemap, page %" PRId64 ", %s: 1 x 0", page, title);
	for (int bit = 55; bit < 64; bit++)
		if (entry >> bit & 1)
			say("|%s", names[bit] ? names[bit] : "?");
	say("\n");
}

/* Whether read(2) of pagemap says what it should, reduced to some of its bits; shows the first page that differs. */
static int entries_are(int64_t start, int64_t stop, uint64_t bits, const struct run *runs, int shows_difference)
{
	uint64_t *found = entries(start, stop), soft_dirty = all_soft_dirty ? PM_SOFT_DIRTY : 0;
	int64_t page = start;

	for (; runs->pages; runs++) {
		for (int64_t last = page + runs->pages; page < last; page++) {
			uint64_t expected = (runs->bits | soft_dirty) & bits, observed = found[page - start] & bits;

			if (observed == expected)
				continue;
			if (shows_difference) {
				show_entry("expected", page, expected);
				show_entry("observed", page, observed);
			}
			return 0;
		}
	}
	return 1;
}

//@ expect_state: entries_are
/* The memory is what it should be, or can't be asked about. */
static void expect_state(int64_t start, int64_t stop, const struct run *runs)
{
	if (!entries_are(start, stop, STATE, runs, 1))
		end(UNFIT, "the memory isn't what it should be");
}

//@ expect_entries: errata entries_are
/* What read(2) of pagemap says, compared with what the contract says, or with what is known of the kernel. */
static void expect_entries(int64_t start, int64_t stop, const struct run *runs, const struct known *known)
{
	const struct known *now = known_answer(present, known), *then = known_answer(present | probed, known);
	int is_known = entries_are(start, stop, EVERY_BIT, now ? now->runs : runs, 0);

	if (judge(now, is_known, entries_are(start, stop, EVERY_BIT, then ? then->runs : runs, 0)))
		return;
	if (entries_are(start, stop, EVERY_BIT, runs, 1))
		end_kept(now);
	for (; known && known->errata; known++)
		if (entries_are(start, stop, EVERY_BIT, known->runs, 0))
			name_errata(known->errata);
	end(DIFFERS, "doesn't keep the clause");
}

//@ expect_huge: entries
static uint64_t frame(const char *place)
{
	uint64_t entry = 0;

	must(pread(pagemap, &entry, 8, (uintptr_t)place / PAGE * 8), "read /proc/self/pagemap");
	return entry & ((1ULL << 55) - 1);
}

/* smaps doesn't count the huge zero page: it is told by its frame, which every use of it shares. */
static uint64_t frame_of_huge_zero_page(void)
{
	char *place = mmap(NULL, 2 * HUGE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned = (char *)(((uintptr_t)place + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	uint64_t found;

	madvise(aligned, HUGE_PAGE, MADV_HUGEPAGE);
	(void)*(volatile char *)aligned;
	found = frame(aligned);
	munmap(place, 2 * HUGE_PAGE);
	return found;
}

/* Whether smaps counts so many pages of a range as mapped by huge pages, huge zero pages added. */
static void expect_huge(int64_t start, int64_t stop, long pages)
{
	static const char *const counts[] = { "AnonHugePages: %lu", "ShmemPmdMapped: %lu", "FilePmdMapped: %lu",
					      "Shared_Hugetlb: %lu", "Private_Hugetlb: %lu" };
	FILE *smaps = fopen("/proc/self/smaps", "r");
	int64_t unit = HUGE_PAGE / PAGE;
	unsigned long from = 0, first, last, count, found = 0;
	char line[512];

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
			from = first;
		for (int index = 0; from >= (uintptr_t)at(start) && from < (uintptr_t)at(stop) && index < 5; index++)
			found += sscanf(line, counts[index], &count) == 1 ? count * 1024 / PAGE : 0;
	}
	if (smaps)
		fclose(smaps);
	start = (start + unit - 1) / unit * unit;
	for (int64_t page = start; found != (unsigned long)pages && page < stop; page += unit)
		found += frame(at(page)) && frame(at(page)) == frame_of_huge_zero_page() ? unit : 0;
	if (found != (unsigned long)pages)
		end(CANNOT_ASK, "can't be asked here: %lu pages are mapped by huge pages, not %ld", found, pages);
}
