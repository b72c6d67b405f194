//@ tests: probes
/* Kernels that know PAGE_IS_ACCESSED say WRITTEN of registered memory only: some tests are others on these. */
enum written { ANY_WRITTEN, OLD_WRITTEN, NEW_WRITTEN };

/* Tests that differ in nothing but the kind of memory, a bit for each. */
struct row {
	uint32_t kinds;
	/* An asterisk stands for the kind's name, a number sign for the turn of a loop. */
	const char *name;
	enum written only_on;
};

enum { PASS, FAIL, XFAIL, SKIP };
static int totals[4];
static size_t number;

static struct row row;
/* How a test ended that runs again; else KEEPS. */
static int before;
static int is_running;
static char name[256];

static int outcome(void)
{
	if (status == CANNOT_ASK)
		return SKIP;
	if (before == DIFFERS)
		return status == UNFIT ? SKIP : FAIL;
	if (status != KEEPS)
		return FAIL;
	name_errata(met);
	return met ? XFAIL : PASS;
}

static void begin_test(void)
{
	is_running = 1;
	before = KEEPS;
	said_length = *said = 0;
	status = KEEPS;
	met = 0;
	all_soft_dirty = has_soft_dirty;
	alarm(300);
}

static void finish_test(void)
{
	static const char *const directives[] = { "", "", " # XFAIL", " # SKIP" };
	int found = outcome();

	is_running = 0;
	clean_up();
	totals[found]++;
	for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		printf("  %s\n", line);
	printf("  %s %zu %s%s\n", found == FAIL ? "not ok" : "ok", number, name, directives[found]);
}

/*
 * Whether to run a test again: its memory may not have been what it should be, unless all of it is verified, or not for
 * a moment. Where it never is, a witness lies, and the test fails.
 */
static int fails_for_the_first_time(void)
{
	if (before != KEEPS || !kind || !(status == UNFIT || status == DIFFERS))
		return 0;
	before = status;
	status = KEEPS;
	verified = met = 0;
	return 1;
}
