//@ mosaic: regions advise held map unmap track write_pages
static int there_are_guards(void)
{
	char *place = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result = madvise(place, PAGE, MADV_GUARD_INSTALL);

	munmap(place, PAGE);
	return result == 0;
}

/* Categories as this kernel says them: WRITTEN of registered memory only, where it knows ACCESSED. */
static uint64_t categories_here(uint64_t categories)
{
	if (known & PAGE_IS_ACCESSED && !(categories & PAGE_IS_WPALLOWED))
		categories &= ~PAGE_IS_WRITTEN;
	return (categories | (has_soft_dirty ? PAGE_IS_SOFT_DIRTY : 0)) & known & MADE_FOR;
}

/* Memory that holds every set of categories side by side: its runs, in addresses. It is made once. */
static struct page_region mosaic[64];
static size_t mosaic_runs;

static void make_mosaic(int swap, int guards, int empties);

static void set_mosaic(const struct region *told)
{
	for (mosaic_runs = 0; told[mosaic_runs].stop; mosaic_runs++)
		mosaic[mosaic_runs] = (struct page_region){ (uintptr_t)at(told[mosaic_runs].start),
							    (uintptr_t)at(told[mosaic_runs].stop),
							    categories_here(told[mosaic_runs].categories) };
	set_aside();
}

/* Whether an empty entry beside one that isn't is WRITTEN. It should be; tests that aren't about it do without. */
static int empties_are_written(void)
{
	struct page_region vec[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	/* Not for WRITTEN alone: that takes a shortcut, which says so in any case. */
	struct pm_scan_arg arg = { .size = sizeof(arg), .start = (uintptr_t)at(0), .end = (uintptr_t)at(2),
				   .vec = (uintptr_t)vec, .vec_len = 2,
				   .return_mask = PAGE_IS_WRITTEN | PAGE_IS_PRESENT };

	map(0, 2, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, 2, ASYNC);
	write_pages(0, 1);
	if (ioctl(pagemap, PAGEMAP_SCAN, &arg) < 0)
		end(DIFFERS, "doesn't keep the clause: PAGEMAP_SCAN: %s", strerror(errno));
	unmap(0, 2);
	return vec[1].categories == PAGE_IS_WRITTEN;
}

static void need_mosaic(void)
{
	if (!mosaic_runs)
		make_mosaic(there_is_swap(), there_are_guards(), empties_are_written());
}
