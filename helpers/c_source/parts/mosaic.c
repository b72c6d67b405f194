//@ mosaic: errata regions advise held map track write_pages
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

static void need_mosaic(void)
{
	if (!mosaic_runs)
		/* What is said of empty entries depends on the masks there: selection is proven without them. */
		make_mosaic(there_is_swap(), there_are_guards(), !(present & empty_pte_not_written));
}
