//@ pagemap: arena
static int pagemap;
/* The categories that the kernel is to know. */
static uint64_t known;
/* Whether there are soft-dirty bits, and whether every page has one still, which isn't told. */
static int has_soft_dirty, all_soft_dirty;

static long scan_nothing(uint64_t categories)
{
	struct pm_scan_arg arg = { .size = sizeof(arg), .category_mask = categories };

	return ioctl(pagemap, PAGEMAP_SCAN, &arg);
}

/*
 * The first categories came with the ioctl; later ones are known where the kernel says so. A bit that has no name here
 * is to be refused, whatever the kernel says.
 */
static void find_what_is_known(void)
{
	pagemap = must(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), "open /proc/self/pagemap");
	if (scan_nothing(0) < 0)
		end(CANNOT_ASK, "can't be asked here: the kernel has no PAGEMAP_SCAN: %s", strerror(errno));
	known = FIRST_CATEGORIES;
	for (uint64_t category = 1; category & NAMED_CATEGORIES; category <<= 1)
		known |= scan_nothing(category) == 0 ? category : 0;
}

static void find_soft_dirty(void)
{
	uint64_t entry = 0;

	*(volatile char *)&entry = 0;
	must(pread(pagemap, &entry, 8, (uintptr_t)&entry / PAGE * 8), "read /proc/self/pagemap");
	has_soft_dirty = all_soft_dirty = entry >> 55 & 1;
}

//@ base: pagemap
static void prepare_to_ask(void)
{
	if (sysconf(_SC_PAGESIZE) != PAGE)
		end(CANNOT_ASK, "can't be asked here: this program was made for pages of %d bytes", PAGE);
	find_what_is_known();
	find_arena();
	find_soft_dirty();
}

//@ entries: base
/* Entries of /proc/self/pagemap, by read(2). */
static uint64_t *entries(int64_t start, int64_t stop)
{
	static uint64_t found[1 << 16];

	must(pread(pagemap, found, (stop - start) * 8, (uintptr_t)at(start) / PAGE * 8), "read /proc/self/pagemap");
	return found;
}
