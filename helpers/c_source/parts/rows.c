//@ rows: tests
struct group {
	const char *name;
	/* All rows; or the one row, and what is called for it. */
	void (*rows)(void), (*test)(void);
	struct row row;
};

static const char *chosen = "";
static const struct group *group;
static enum { LIST, COUNT, RUN } pass;
static int turn, has_begun;

/* The name that pytest has for the test. */
static void tell_name(void)
{
	size_t length = snprintf(name, sizeof(name), "%s%s", group->name, *row.name ? "[" : "");

	for (const char *letter = row.name; *letter; letter++) {
		char *rest = name + length;

		if (*letter == '*')
			length += snprintf(rest, sizeof(name) - length, "%s", kind->name);
		else if (*letter == '#')
			length += snprintf(rest, sizeof(name) - length, "%d", turn);
		else
			length += snprintf(rest, sizeof(name) - length, "%c", *letter);
	}
	if (*row.name)
		snprintf(name + length, sizeof(name) - length, "]");
}

static enum written written_here(void)
{
	return known & PAGE_IS_ACCESSED ? NEW_WRITTEN : OLD_WRITTEN;
}

static void begin_row(struct row tests)
{
	row = tests;
	has_begun = 0;
}

/* Goes on to the next test of a row; whether there is one to run. */
static int next_test(void)
{
	if (is_running && fails_for_the_first_time()) {
		clean_up();
		return 1;
	}
	if (is_running)
		finish_test();
	while (row.kinds || !has_begun) {
		has_begun = 1;
		kind = kind_of(row.kinds);
		row.kinds &= row.kinds - 1;
		tell_name();
		if (!strstr(name, chosen) || (row.only_on && row.only_on != written_here()))
			continue;
		number++;
		if (pass == LIST)
			printf("%s\n", name);
		if (pass != RUN)
			continue;
		begin_test();
		return 1;
	}
	return 0;
}

/* A row: kinds, name, what is called for each, and what else there is to say of it. */
#define TEST(kinds, name, call, ...) RUN_EACH(((struct row)ROW(kinds, name, __VA_ARGS__)), call)
#define RUN_EACH(row, call)                         \
	for (begin_row(row); next_test();)          \
		if (!sigsetjmp(way_out, 0))         \
			call
#define ROW(on, called, ...) { .kinds = on, .name = called, __VA_ARGS__ }
#define NO_KIND 0
/* A group: one row without arguments, or the function that tells its rows. */
#define ONE(group, called, ...) { .name = #group, .test = called, .row = ROW(__VA_ARGS__) }
#define ROWS(group) { .name = #group, .rows = group }

static size_t run_rows(int how)
{
	pass = how;
	number = 0;
	if (group->rows)
		group->rows();
	else
		RUN_EACH(group->row, group->test());
	return number;
}
