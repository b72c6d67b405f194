//@ advise: entries
#include <time.h>

static int any_present(int64_t start, int64_t stop)
{
	uint64_t *found = entries(start, stop);
	int present = 0;

	for (int64_t page = 0; page < stop - start; page++)
		present |= found[page] >> 63;
	return present;
}

/* Whether KSM has put one frame behind all pages. */
static int are_one(int64_t start, int64_t stop)
{
	const uint64_t frame = (1ULL << 55) - 1;
	uint64_t *found = entries(start, stop);

	for (int64_t page = 1; page < stop - start; page++)
		if ((found[page] & frame) != (found[0] & frame))
			return 0;
	return found[0] & frame;
}

static int there_is_swap(void)
{
	char line[128];
	unsigned long free_swap = 0;
	FILE *meminfo = fopen("/proc/meminfo", "r");

	while (meminfo && fgets(line, sizeof(line), meminfo))
		sscanf(line, "SwapFree: %lu kB", &free_swap);
	if (meminfo)
		fclose(meminfo);
	return free_swap > 1024;
}

/*
 * madvise(2). MADV_PAGEOUT is repeated until the pages are gone, MADV_MERGEABLE waited for until all are one. A kernel
 * that is built without huge pages has none to keep away: it doesn't know MADV_NOHUGEPAGE.
 */
static void advise(int64_t start, int64_t stop, int advice)
{
	time_t limit = time(NULL) + 30;
	int result;

	if (advice == MADV_PAGEOUT && !there_is_swap())
		end(CANNOT_ASK, "can't be asked here: there is no swap");
	do {
		result = madvise(at(start), (stop - start) * PAGE, advice);
		if (result && errno == EINVAL && advice == MADV_NOHUGEPAGE)
			return;
		must(result, "madvise");
		if (time(NULL) > limit)
			end(CANNOT_ASK, "can't be asked here: the kernel doesn't do what madvise(2) asks");
	} while ((advice == MADV_PAGEOUT && any_present(start, stop)) ||
		 (advice == MADV_MERGEABLE && !are_one(start, stop)));
}
