//@ scan: child_pagemap errata regions
/* For vec_len: for all regions, for none, no vec at all; for masks: all categories that are known, but some, none. */
#define ROOM 0
#define NO_ROOM UINT64_MAX
#define NO_VEC (UINT64_MAX - 1)
#define EVERY_CATEGORY 0
#define ALL_BUT(categories) (1ULL << 63 | (categories))
#define NO_CATEGORY UINT64_MAX
/* In place of a page to which walk_end points. */
#define NOT_WRITTEN -1
/* For the place of the argument: where it doesn't matter, and NULL. */
#define ON_THE_STACK 0
#define AT_NULL UINT64_MAX

/* A field of the argument that is given another value. */
struct field {
	size_t offset;
	uint64_t value;
};
#define PUT(field, value) { offsetof(struct pm_scan_arg, field), value }
#define FIELDS(...) (struct field[]){ __VA_ARGS__, { SIZE_MAX, 0 } }
/* The address of a byte of the arena. */
#define ADDRESS(page, offset) ((uintptr_t)at(page) + (offset))

struct scan {
	int64_t start, stop;
	uint64_t flags, mask, anyof, inverted, returned, max_pages, vec_len;
	int of_child;
	/* Instead of what these say: fields, another number of the ioctl, another place for the argument. */
	const struct field *put;
	unsigned long request;
	uint64_t place, vec;
	/* What the contract says: an errno, or the regions; where the walk ends, when not at stop. */
	int error, stops;
	int64_t walk_end;
	const struct region *regions;
	const struct known *known;
};
#define SCAN(from, to, ...) scan((struct scan){ .start = from, .stop = to, __VA_ARGS__ })
#define STOPS_AT(page) .stops = 1, .walk_end = page

/* Categories, where all that are known may be meant but some. */
static uint64_t meant(uint64_t categories)
{
	return categories >> 63 ? known & MADE_FOR & ~categories : categories;
}

static uint64_t return_mask(uint64_t returned)
{
	if (returned == NO_CATEGORY)
		return 0;
	return meant(returned == EVERY_CATEGORY ? ALL_BUT(0) : returned);
}

/* Puts the argument where the kernel shall look for it: memory that may only be read, or none at all. */
static void *store(uint64_t address, const struct pm_scan_arg *arg)
{
	void *place = (void *)(uintptr_t)address, *page = (void *)(uintptr_t)(address / PAGE * PAGE);

	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0) {
		memcpy(place, arg, sizeof(*arg));
		mprotect(page, PAGE, PROT_READ);
	}
	return place;
}

/* An answer as the kernel gives it. */
struct answer {
	long result;
	uint64_t walk_end;
	const struct page_region *regions;
	size_t count;
};

/* The answer that is due: the contract's, or that of a kernel of which is known what it answers. */
static struct answer due(const struct scan *scan, const struct known *known, uint64_t returned,
			 struct page_region *regions)
{
	int error = known ? known->error : scan->error, stops = known ? known->stops : scan->stops;
	int64_t page = !stops ? scan->stop : known ? known->walk_end : scan->walk_end;
	size_t count = expected_regions(known ? known->regions : scan->regions, returned, regions);

	return (struct answer){ error ? -error : (long)count,
				stops && page == NOT_WRITTEN ? UNTOUCHED : (uintptr_t)at(page), regions, count };
}

static int is_equal(const struct answer *one, const struct answer *other)
{
	return one->result == other->result && one->walk_end == other->walk_end && one->count == other->count &&
	       !memcmp(one->regions, other->regions, one->count * sizeof(*one->regions));
}

/* Compares an answer with what the contract says, or with what is known of the kernel. */
static void compare(const struct scan *scan, uint64_t returned, const struct answer *found)
{
	static struct page_region expected[MOST_REGIONS], instead[MOST_REGIONS];
	const struct known *now = known_answer(present, scan->known);
	const struct known *then = known_answer(present | probed, scan->known);
	struct answer contract = due(scan, NULL, returned, expected), other = contract;
	int keeps_contract = is_equal(found, &contract), is_known = keeps_contract, is_probed = keeps_contract;

	if (now) {
		other = due(scan, now, returned, instead);
		is_known = is_equal(found, &other);
	}
	if (then) {
		other = due(scan, then, returned, instead);
		is_probed = is_equal(found, &other);
	}
	if (judge(now, is_known, is_probed))
		return;
	say("# scan of pages %" PRId64 " to %" PRId64 ": ", scan->start, scan->stop);
	say("the kernel differs from the contract\n");
	show("expected", contract.result, contract.walk_end, expected, contract.count);
	show("observed", found->result, found->walk_end, found->regions, found->count);
	if (keeps_contract)
		end_kept(now);
	for (const struct known *known = scan->known; known && known->errata; known++) {
		other = due(scan, known, returned, instead);
		if (is_equal(found, &other))
			name_errata(known->errata);
	}
	end(DIFFERS, "doesn't keep the clause");
}

/* PAGEMAP_SCAN, compared with what is due. */
static void scan(struct scan scan)
{
	static struct page_region vec[MOST_REGIONS + 1];
	static size_t touched = MOST_REGIONS + 1;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = scan.flags,
		.start = (uintptr_t)at(scan.start),
		.end = (uintptr_t)at(scan.stop),
		.walk_end = UNTOUCHED,
		.vec = scan.vec_len == NO_VEC ? 0 : (uintptr_t)vec,
		.vec_len = scan.vec_len >= NO_VEC ? 0 : scan.vec_len ? scan.vec_len : MOST_REGIONS,
		.max_pages = scan.max_pages,
		.category_inverted = meant(scan.inverted),
		.category_mask = meant(scan.mask),
		.category_anyof_mask = meant(scan.anyof),
		.return_mask = return_mask(scan.returned),
	};
	struct answer found;
	void *place = &arg;
	uint64_t masks;

	while (touched)
		vec[--touched].start = UNTOUCHED;
	for (const struct field *field = scan.put; field && field->offset != SIZE_MAX; field++)
		memcpy((char *)&arg + field->offset, &field->value, sizeof(field->value));
	masks = arg.category_inverted | arg.category_mask | arg.category_anyof_mask;
	if ((masks | arg.return_mask) & (known ^ MADE_FOR))
		end(CANNOT_ASK, "can't be asked here: the kernel knows other categories than this was made for");
	if (masks & PAGE_IS_SOFT_DIRTY && all_soft_dirty)
		end(CANNOT_ASK, "can't be asked here: this is for kernels without CONFIG_MEM_SOFT_DIRTY");
	if (scan.place == AT_NULL)
		place = NULL;
	else if (scan.place != ON_THE_STACK)
		place = store(scan.place, &arg);
	found.result =
		ioctl(scan.of_child ? child_pagemap : pagemap, scan.request ? scan.request : PAGEMAP_SCAN, place);
	found.result = found.result < 0 ? -errno : found.result;
	while (touched <= MOST_REGIONS && vec[touched].start != UNTOUCHED)
		touched++;
	found.regions = vec;
	found.count = touched;
	found.walk_end = arg.walk_end;
	if (scan.vec && found.result > 0) {
		found.regions = (const struct page_region *)(uintptr_t)scan.vec;
		found.count = found.result;
	}
	compare(&scan, arg.return_mask, &found);
}

//@ resume: scan
#define PAGES(...) (int64_t[]){ __VA_ARGS__ }
#define RESUMED(from, to, ends, ...) resume((struct scan){ .start = from, .stop = to, __VA_ARGS__ }, ends)

/* Scans that go on where the one before stopped; regions of each lie before the place where it stops. */
static void resume(struct scan whole, const int64_t *walk_ends)
{
	const struct region *region = whole.regions;
	struct region told[MOST_REGIONS + 1];

	for (; whole.start < whole.stop; whole.start = *walk_ends++) {
		struct scan part = whole;
		size_t count = 0;

		while (region->stop && region->start < *walk_ends)
			told[count++] = *region++;
		told[count] = (struct region){ 0, 0, 0, 0, 0 };
		part.stops = 1;
		part.walk_end = *walk_ends;
		part.regions = told;
		scan(part);
	}
}
