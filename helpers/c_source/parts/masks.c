//@ masks: scan mosaic
#include <time.h>

static int mask_selects(uint64_t categories, const struct pm_scan_arg *arg)
{
	categories ^= arg->category_inverted;
	return (categories & arg->category_mask) == arg->category_mask &&
	       (!arg->category_anyof_mask || categories & arg->category_anyof_mask);
}

/* What the contract says of memory whose categories are known. */
static long mask_oracle(const struct page_region *memory, size_t runs, const struct pm_scan_arg *arg,
			struct page_region *expected)
{
	struct page_region *last;
	long count = 0;

	for (size_t run = 0; run < runs; run++) {
		uint64_t categories = memory[run].categories & arg->return_mask;

		if (!mask_selects(memory[run].categories, arg))
			continue;
		last = count ? &expected[count - 1] : NULL;
		if (last && last->end == memory[run].start && last->categories == categories)
			last->end = memory[run].end;
		else
			expected[count++] = (struct page_region){ memory[run].start, memory[run].end, categories };
	}
	return count;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* How long a test may take over the masks, which decides how many are proven; 0: as long as all of them take. */
static double mask_seconds = 0.001;

/*
 * Combinations of the three masks over bits 0 to 7, from one on: all, or an evenly spread part that fits. The
 * distance is odd, so that no bit keeps its value.
 */
static __attribute__((unused)) void every_mask(uint64_t first, uint64_t count, uint64_t returned)
{
	static double seconds_each;
	struct page_region vec[65], expected[64];
	struct pm_scan_arg arg = { .size = sizeof(arg), .vec = (uintptr_t)vec, .vec_len = 64 };
	uint64_t stride = 1, proven = 0;
	double begun = seconds();

	need_mosaic();
	arg.start = mosaic[0].start;
	arg.end = mosaic[mosaic_runs - 1].end;
	arg.return_mask = returned == EVERY_CATEGORY ? known & MADE_FOR : returned;
	if (mask_seconds > 0 && seconds_each > 0)
		stride = (uint64_t)(count * seconds_each / mask_seconds) | 1;
	for (uint64_t combination = first; combination < first + count; combination += stride, proven++) {
		long wanted, result;

		if (mask_seconds > 0 && seconds_each == 0 && proven == 100) {
			seconds_each = (seconds() - begun) / proven;
			stride = (uint64_t)(count * seconds_each / mask_seconds) | 1;
		}
		arg.category_inverted = combination & 0xff;
		arg.category_mask = combination >> 8 & 0xff;
		arg.category_anyof_mask = combination >> 16 & 0xff;
		wanted = mask_oracle(mosaic, mosaic_runs, &arg, expected);
		vec[wanted].start = UNTOUCHED;
		arg.walk_end = UNTOUCHED;
		result = ioctl(pagemap, PAGEMAP_SCAN, &arg);
		if (result == wanted && arg.walk_end == arg.end && vec[wanted].start == UNTOUCHED &&
		    !memcmp(vec, expected, wanted * sizeof(*vec)))
			continue;
		say("# category_inverted %#x, category_mask %#x, category_anyof_mask %#x: the kernel differs\n",
		    (int)arg.category_inverted, (int)arg.category_mask, (int)arg.category_anyof_mask);
		show("expected", wanted, arg.end, expected, wanted);
		show("observed", result, arg.walk_end, vec, result > 0 ? result : 0);
		end(DIFFERS, "doesn't keep the clause");
	}
	say("# %" PRIu64 " mask combinations proven\n", proven);
}
