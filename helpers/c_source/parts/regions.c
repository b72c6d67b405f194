//@ regions: base
struct region {
	int64_t start, stop;
	uint64_t categories;
	/* The same again, `times` in all, each `stride` pages behind the one before. */
	int64_t times, stride;
};
#define REGIONS(...) (struct region[]){ __VA_ARGS__, { 0, 0, 0, 0, 0 } }
#define R(start, stop, categories) { start, stop, categories, 1, 0 }
/* One that isn't merged with an equal one before it, as it should be. */
#define APART(start, stop, categories) { start, stop, categories, 1, -1 }
#define EVERY(start, stop, categories, times, stride) { start, stop, categories, times, stride }
#define MOST_REGIONS (8 * HUGE_PAGE / PAGE)

static const char *const category_names[] = { "WPALLOWED", "WRITTEN", "FILE", "PRESENT", "SWAPPED", "PFNZERO", "HUGE",
					      "SOFT_DIRTY", "GUARD", "ACCESSED" };

static const char *errno_name(int number)
{
	static const struct {
		int number;
		const char *name;
	} names[] = { { EINVAL, "EINVAL" }, { EFAULT, "EFAULT" }, { EPERM, "EPERM" }, { ENOMEM, "ENOMEM" },
		      { ESRCH, "ESRCH" },   { ENOTTY, "ENOTTY" }, { EINTR, "EINTR" } };

	for (size_t index = 0; index < sizeof(names) / sizeof(*names); index++)
		if (names[index].number == number)
			return names[index].name;
	return strerror(number);
}

static void show(const char *title, long result, uint64_t walk_end, const struct page_region *regions, size_t count)
{
	if (result < 0)
		say("# %s: returns -1, errno %s; walk_end ", title, errno_name(-result));
	else
		say("# %s: returns %ld region%s; walk_end ", title, result, result == 1 ? "" : "s");
	if (walk_end == UNTOUCHED)
		say("untouched\n");
	else
		say("page %g\n", (double)(int64_t)(walk_end - (uintptr_t)arena) / PAGE);
	for (size_t index = 0; index < count; index++) {
		say("#   pages %" PRId64 "-%" PRId64,
		    ((int64_t)regions[index].start - (int64_t)(uintptr_t)arena) / PAGE,
		    ((int64_t)regions[index].end - (int64_t)(uintptr_t)arena) / PAGE - 1);
		for (int bit = 0, more = 0; bit < 10; bit++)
			if (regions[index].categories >> bit & 1)
				say("%s%s", more++ ? "|" : " ", category_names[bit]);
		if (regions[index].categories >> 10)
			say(" and %#" PRIx64, regions[index].categories >> 10 << 10);
		say("\n");
	}
}

/* The expected regions as the kernel would write them: neighbours that say the same are one. */
static size_t expected_regions(const struct region *region, uint64_t returned, struct page_region *found)
{
	size_t count = 0;

	for (; region && region->stop; region++) {
		for (int64_t turn = 0; turn < (region->times ? region->times : 1); turn++) {
			uint64_t soft_dirty = all_soft_dirty ? PAGE_IS_SOFT_DIRTY : 0;
			uint64_t categories = (region->categories | soft_dirty) & returned;
			uint64_t start = (uintptr_t)at(region->start + turn * region->stride);
			uint64_t stop = (uintptr_t)at(region->stop + turn * region->stride);

			if (region->stride >= 0 && count && found[count - 1].end == start &&
			    found[count - 1].categories == categories)
				found[count - 1].end = stop;
			else
				found[count++] = (struct page_region){ start, stop, categories };
		}
	}
	return count;
}
