//@ suite: machine masks prepare held
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A known defect. It is there when its probe, on memory of a kind, differs from the contract. */
struct issue {
	const char *name;
	void (*probe)(void);
	uint32_t kind;
	/* What a test says that fails for it: a regular expression. */
	const char *match;
	enum { NOT_ASKED, ABSENT, THERE } answer;
};

/* Tests that differ in nothing but the kind of memory, a bit for each. */
struct row {
	uint32_t kinds;
	/* An asterisk stands for the kind's name, a number sign for the turn of a loop. */
	const char *name;
	struct issue *issue;
	/* Not where WRITTEN is said of registered memory only, as kernels do that know PAGE_IS_ACCESSED. */
	int old_written;
};

struct group {
	const char *name;
	/* All rows; or the one row, and what is called for it. */
	void (*rows)(void), (*test)(void);
	struct row row;
};

enum { PASS, FAIL, XFAIL, SKIP };
static int totals[4];
static const char *chosen = "";
static const struct group *group;
static enum { LIST, COUNT, RUN } pass;
static size_t number;

static struct row row;
static int turn, has_begun, is_running, is_second, has_defect, status;
static char name[256];
static sigjmp_buf way_out;

static void leave(int outcome)
{
	status = outcome;
	siglongjmp(way_out, 1);
}

static void die_of(int signal_number)
{
	end(DIFFERS, "ended by signal %d", signal_number);
}

/* Whether the kernel shows a defect, asked once. */
static int shows(struct issue *issue)
{
	if (issue->answer == NOT_ASKED) {
		const struct kind *before = kind;

		kind = kind_of(issue->kind);
		status = KEEPS;
		all_soft_dirty = has_soft_dirty;
		if (!sigsetjmp(way_out, 0))
			issue->probe();
		clean_up();
		issue->answer = status == DIFFERS ? THERE : ABSENT;
		kind = before;
		said_length = 0;
	}
	return issue->answer == THERE;
}

static int says(const char *expression)
{
	regex_t match;
	int found;

	if (regcomp(&match, expression, REG_EXTENDED | REG_NOSUB))
		return 0;
	found = regexec(&match, said, 0, NULL, 0) == 0;
	regfree(&match);
	return found;
}

static int outcome(void)
{
	if (status == CANNOT_ASK)
		return SKIP;
	if (is_second)
		return FAIL;
	if (has_defect && status == KEEPS)
		say("# the known issue %s says that this fails, and its probe agrees\n", row.issue->name);
	if (has_defect && status == DIFFERS && says(row.issue->match))
		return XFAIL;
	return status == KEEPS && !has_defect ? PASS : FAIL;
}

static void begin_test(void)
{
	is_running = 1;
	is_second = 0;
	said_length = *said = 0;
	has_defect = row.issue && shows(row.issue);
	status = KEEPS;
	all_soft_dirty = has_soft_dirty;
	alarm(300);
}

static void finish_test(void)
{
	static const char *const directives[] = { "", "", " # XFAIL ", " # SKIP" };
	int found = outcome();

	is_running = 0;
	clean_up();
	totals[found]++;
	for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		printf("  %s\n", line);
	printf("  %s %zu %s%s%s\n", found == FAIL ? "not ok" : "ok", number, name, directives[found],
	       found == XFAIL ? row.issue->name : "");
}

/* Whether to run a test again: its memory may not have been what it should be, unless all of it is verified. */
static int fails_for_the_first_time(void)
{
	if (status != DIFFERS || has_defect || is_second || !kind)
		return 0;
	is_second = 1;
	status = KEEPS;
	verified = 0;
	return 1;
}

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
		if (!strstr(name, chosen))
			continue;
		number++;
		if (pass == LIST)
			printf("%s\n", name);
		if (pass != RUN)
			continue;
		begin_test();
		if (!row.old_written || !(known & PAGE_IS_ACCESSED))
			return 1;
		status = CANNOT_ASK;
		finish_test();
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
#define KNOWN(defect) .issue = &defect
#define OLD_WRITTEN .old_written = 1
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

static void run_group(size_t place)
{
	int failed = totals[FAIL], answered = totals[PASS] + totals[FAIL] + totals[XFAIL];

	printf("  KTAP version 1\n  # Subtest: %s\n  1..%zu\n", group->name, run_rows(COUNT));
	run_rows(RUN);
	printf("%s %zu %s%s\n", totals[FAIL] > failed ? "not ok" : "ok", place, group->name,
	       totals[PASS] + totals[FAIL] + totals[XFAIL] == answered ? " # SKIP" : "");
	fflush(stdout);
}

static int run_all(const struct group *groups)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGALRM };
	size_t planned = 0, place = 0;

	for (int index = 0; index < 3; index++)
		sigaction(deadly[index], &(struct sigaction){ .sa_handler = die_of, .sa_flags = SA_NODEFER }, NULL);
	for (group = groups; group->name; group++)
		planned += run_rows(COUNT) > 0;
	printf("KTAP version 1\n1..%zu\n", planned);
	for (group = groups; group->name; group++)
		if (run_rows(COUNT))
			run_group(++place);
	printf("# Totals: pass:%d fail:%d xfail:%d xpass:0 skip:%d error:0\n", totals[PASS], totals[FAIL],
	       totals[XFAIL], totals[SKIP]);
	fflush(stdout);
	return totals[FAIL] ? DIFFERS : totals[PASS] + totals[XFAIL] ? KEEPS : CANNOT_ASK;
}

/* Tests run in a process of their own: whatever becomes of it, this one puts the machine back. */
static int run_in_a_child(const struct group *groups)
{
	int ended;

	tester = fork();
	if (tester == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (sigsetjmp(way_out, 0)) {
			printf("KTAP version 1\n1..0 # SKIP\n%s", said);
			fflush(stdout);
			_exit(status);
		}
		prepare_to_ask();
		_exit(run_all(groups));
	}
	if (tester < 0 || waitpid(tester, &ended, 0) < 0)
		return CANNOT_ASK;
	tester = -1;
	if (WIFEXITED(ended))
		return WEXITSTATUS(ended);
	printf("\nBail out! ended by signal %d\n", WTERMSIG(ended));
	return DIFFERS;
}

static int suite(int argc, char **argv, const struct group *groups)
{
	int option, lists = 0, result, is_init = getpid() == 1;

	while (!is_init && (option = getopt(argc, argv, "alt:")) != -1) {
		lists |= option == 'l';
		chosen = option == 't' ? optarg : chosen;
		mask_seconds = option == 'a' ? 0 : mask_seconds;
		if (option == '?') {
			fprintf(stderr, "usage: %s [-a] [-l] [-t PART_OF_A_NAME]\n", argv[0]);
			fprintf(stderr, "-a: all masks, -l: list, -t: choose\n");
			return 2;
		}
	}
	if (lists) {
		for (group = groups; group->name; group++)
			run_rows(LIST);
		return 0;
	}
	if (is_init)
		be_init();
	set_machine_up();
	fflush(stdout);
	result = run_in_a_child(groups);
	put_back();
	fflush(stdout);
	if (is_init)
		reboot(RB_POWER_OFF);
	return result;
}
