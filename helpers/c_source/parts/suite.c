//@ suite: machine masks rows
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static void die_of(int signal_number)
{
	end(DIFFERS, "ended by signal %d", signal_number);
}

/* A group has the name of its tests without "test_": where it is that of a test, a parser ends the group there. */
static const char *group_name(void)
{
	return group->name + strlen("test_");
}

static void run_group(size_t place)
{
	int failed = totals[FAIL], answered = totals[PASS] + totals[FAIL] + totals[XFAIL];

	printf("  KTAP version 1\n  # Subtest: %s\n  1..%zu\n", group_name(), run_rows(COUNT));
	run_rows(RUN);
	printf("%s %zu %s%s\n", totals[FAIL] > failed ? "not ok" : "ok", place, group_name(),
	       totals[PASS] + totals[FAIL] + totals[XFAIL] == answered ? " # SKIP" : "");
	fflush(stdout);
}

static int run_all(const struct group *groups, const struct probe *probes)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGALRM };
	size_t planned = 0, place = 0;

	for (int index = 0; index < 3; index++)
		sigaction(deadly[index], &(struct sigaction){ .sa_handler = die_of, .sa_flags = SA_NODEFER }, NULL);
	find_errata(probes);
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
static int run_in_a_child(const struct group *groups, const struct probe *probes)
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
		userfaultfd(ASYNC);
		_exit(run_all(groups, probes));
	}
	if (tester < 0 || waitpid(tester, &ended, 0) < 0)
		return CANNOT_ASK;
	tester = -1;
	if (WIFEXITED(ended))
		return WEXITSTATUS(ended);
	printf("\nBail out! ended by signal %d\n", WTERMSIG(ended));
	return DIFFERS;
}

static int suite(int argc, char **argv, const struct group *groups, const struct probe *probes)
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
	result = run_in_a_child(groups, probes);
	put_back();
	fflush(stdout);
	if (is_init)
		reboot(RB_POWER_OFF);
	return result;
}
