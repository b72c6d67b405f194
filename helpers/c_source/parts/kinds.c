//@ prepare: advise map_file read_pages write_pages set_protection track expect_state expect_huge
struct kind {
	const char *name;
	int64_t pages;
	int backing, sharing;
	/* What is done once it is mapped: advice (MADV_*), or one of these. */
	int steps[4];
	/* What it is then: its categories but for those of tracking, its state by pagemap, pages in huge ones or -1. */
	uint64_t categories, state;
	long huge;
};
enum { READ = -1, WRITE = -2, PROTECT_NONE = -3 };

/* The kind of memory that a test is about. */
static const struct kind *kind;
#define END (kind->pages)
#define KIND (kind->categories)

@KINDS@
/* The first of a set of kinds. */
static const struct kind *kind_of(uint32_t set)
{
	return set ? &kinds[__builtin_ctz(set)] : NULL;
}

/* The kinds of which memory was verified; where all goes well, once for each is enough. */
static uint32_t verified;

static void verify(int64_t start, int64_t stop)
{
	expect_state(start, stop, RUNS({ kind->pages, kind->state }));
	if (kind->huge >= 0)
		expect_huge(start, stop, kind->huge);
	verified |= 1U << (kind - kinds);
}

/* Memory of the kind, verified by other witnesses than the scan to be what it should be, then registered. */
static void prepare(int64_t start, const char *file, enum tracking tracking)
{
	int64_t stop = start + kind->pages;

	if (kind->backing == ANONYMOUS || kind->backing == HUGETLB)
		map(start, stop, kind->backing, kind->sharing, PROT_READ | PROT_WRITE);
	else
		map_file(start, stop, kind->backing, kind->sharing, PROT_READ | PROT_WRITE, file, 0);
	for (const int *step = kind->steps; *step; step++) {
		if (*step == READ)
			read_pages(start, stop);
		else if (*step == WRITE)
			write_pages(start, stop);
		else if (*step == PROTECT_NONE)
			set_protection(start, stop, PROT_NONE);
		else
			advise(start, stop, *step);
	}
	if (verified & 1U << (kind - kinds))
		expect_state(start, start + 1, RUNS({ 1, kind->state }));
	else
		verify(start, stop);
	if (tracking != UNTRACKED)
		track(start, stop, tracking);
}
