//@ errata: outcome
@ERRATA@
/* What a kernel that has errata answers, where that isn't what the contract says. */
struct known {
	uint64_t errata;
	int error, stops;
	int64_t walk_end;
	const struct region *regions;
	const struct run *runs;
};
#define KNOWN(...) (struct known[]){ __VA_ARGS__, { .errata = 0 } }
/* Instead the regions, NULL for none, and what else there is to say, on a kernel with these errata. */
#define IF(which, ...) { .errata = which, .regions = __VA_ARGS__ }

/* The errata that the kernel has, and those that have made a difference. */
static uint64_t present, met;
/* While a probe runs: what it is about, and whether all answers were those of a kernel without it, of one with it. */
static uint64_t probed;
static int keeps, shows;

/* The answer of a kernel with some errata: the first for which it has all; NULL where it is the contract's. */
static const struct known *known_answer(uint64_t errata, const struct known *known)
{
	while (known && known->errata && known->errata & ~errata)
		known++;
	return known && known->errata ? known : NULL;
}

/* Whether an answer is due: whether it is that of the kernel as it is known, and of one that has what is probed. */
static int judge(const struct known *now, int is_known, int is_probed)
{
	if (probed) {
		keeps &= is_known;
		shows &= is_probed;
		return 1;
	}
	met |= is_known && now ? now->errata : 0;
	return is_known;
}

static void name_errata(uint64_t which)
{
	for (int bit = 0; which >> bit; bit++)
		if (which >> bit & 1)
			say("# erratum %s\n", errata_names[bit]);
}

/* An erratum that shows in its probe has to show wherever it makes a difference. */
__attribute__((noreturn)) static void end_kept(const struct known *now)
{
	name_errata(now->errata);
	end(DIFFERS, "keeps the clause, where these errata should show");
}
