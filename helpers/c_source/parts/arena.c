//@ arena: outcome
static char *arena;

/* The address of a page; page numbers count from the start of an arena in which every mapping lies. */
static char *at(int64_t page)
{
	return arena + page * PAGE;
}

/*
 * The arena: a stretch of addresses that nobody uses, and that shares no page table with anybody's: what is said of
 * memory without a page table depends on that.
 */
static void find_arena(void)
{
	size_t reach = HUGE_PAGE * (PAGE / 8), length = 2 * reach;
	char *place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (place == MAP_FAILED)
		end(CANNOT_ASK, "can't be asked here: no addresses: %s", strerror(errno));
	munmap(place, length);
	arena = (char *)(((uintptr_t)place + reach - 1) / reach * reach);
}
