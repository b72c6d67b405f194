//@ limits: scan write_protect write_pages
/* As many as three page tables have room for, and more. */
#define MOST_PAGES (4 * HUGE_PAGE / PAGE)

/* What the contract says of written pages (a byte each) under both limits; returns where the walk ends. */
static int64_t limited(const uint8_t *written, int64_t start, int64_t stop, uint64_t max_pages, uint64_t vec_len,
		       struct region *found)
{
	uint64_t pages = 0, count = 0;

	for (int64_t page = start; page < stop; page++) {
		int continues = count && found[count - 1].stop == page;

		if (!written[page])
			continue;
		if ((max_pages && pages == max_pages) || (!continues && count == vec_len)) {
			found[count] = (struct region){ 0, 0, 0, 0, 0 };
			return page;
		}
		pages++;
		if (continues)
			found[count - 1].stop++;
		else
			found[count++] = (struct region)R(page, page + 1, PAGE_IS_WRITTEN);
	}
	found[count] = (struct region){ 0, 0, 0, 0, 0 };
	return stop;
}

/* Scans, and comes back to where the walk ended, until the end. What the first protects, and no more, isn't written. */
static void scan_and_resume(uint8_t *written, int64_t pages, uint64_t flags, uint64_t max_pages, uint64_t vec_len)
{
	static struct region expected[MOST_PAGES + 1];
	int64_t start = 0;

	while (start < pages) {
		int64_t walk_end = limited(written, start, pages, max_pages, vec_len, expected);

		SCAN(start, pages, .flags = flags, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN,
		     .max_pages = max_pages, .vec_len = vec_len, STOPS_AT(walk_end), .regions = expected);
		if (flags)
			memset(written + start, 0, walk_end - start);
		if (flags && start == 0) {
			limited(written, 0, pages, 0, MOST_PAGES, expected);
			SCAN(0, pages, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN, .regions = expected);
		}
		start = walk_end;
	}
}

/* Exactly the pages of a pattern are written. */
static void lay(const uint8_t *written, int64_t pages)
{
	write_protect(0, pages, 1);
	for (int64_t page = 0; page < pages; page++)
		if (written[page])
			write_pages(page, page + 1);
}

//@ small_scope: limits map track
/* Every 16th pattern of 8 pages, with every max_pages from 0 to 9 and every vec_len from 1 to 9. */
static void small_scope(int block, uint64_t flags)
{
	uint8_t written[8];

	map(0, 8, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, 8, ASYNC);
	for (int turn = block * 90; turn < 256 * 90; turn += turn % 90 == 89 ? 1 + 15 * 90 : 1) {
		uint64_t max_pages = turn % 90 / 9, vec_len = turn % 9 + 1;

		for (int page = 0; page < 8; page++)
			written[page] = turn / 90 >> page & 1;
		if (flags || turn % 90 == 0)
			lay(written, 8);
		scan_and_resume(written, 8, flags, max_pages, vec_len);
	}
}

//@ each_subset: limits map track
/* Protects from a page on, with each subset of four pages written that has no more than are there. */
static void each_subset(int first)
{
	struct region expected[5];
	uint8_t written[4];

	map(0, 4, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, 4, ASYNC);
	for (int pattern = 1; pattern < 16; pattern++) {
		if (__builtin_popcount(pattern) > 4 - first)
			continue;
		for (int page = 0; page < 4; page++)
			written[page] = pattern >> page & 1;
		lay(written, 4);
		limited(written, first, 4, 0, 4, expected);
		SCAN(first, 4, .flags = PM_SCAN_WP_MATCHING, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN,
		     .regions = expected);
		limited(written, 0, first, 0, 4, expected);
		SCAN(0, 4, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN, .regions = expected);
	}
}

//@ random_pattern: limits map track
/* A linear congruential generator: the pattern of a seed is the same everywhere. */
static uint32_t dice(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

static void random_pattern(int tables, int seed)
{
	enum { ENTRIES = HUGE_PAGE / PAGE };
	static const int vec_lens[] = { 1, 3, 64, ENTRIES - 1, ENTRIES, ENTRIES + 1, 4000 };
	static const int most[] = { 0, 7, ENTRIES + 88 };
	const int64_t pages = tables * ENTRIES - ENTRIES / 10;
	uint64_t state = seed * 10000 + pages;
	uint8_t written[MOST_PAGES];

	map(0, pages, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, pages, ASYNC);
	for (int64_t page = 0; page < pages; page++)
		written[page] = dice(&state) % 4 < (seed % 2 ? 1 : 2);
	lay(written, pages);
	for (int index = 0; index < 7; index++)
		scan_and_resume(written, pages, 0, most[dice(&state) % 3], vec_lens[index]);
	scan_and_resume(written, pages, PM_SCAN_WP_MATCHING, 0, 100);
	SCAN(0, pages, .mask = PAGE_IS_WRITTEN);
}
