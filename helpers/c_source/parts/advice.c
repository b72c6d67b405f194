//@ advise: entries
#include <setjmp.h>
#include <signal.h>
#include <sys/time.h>
#include <time.h>

/* In the place of an errno. */
#define DOES_NOT_RETURN -1

static int any_present(int64_t start, int64_t stop)
{
	uint64_t *found = entries(start, stop);
	int present = 0;

	for (int64_t page = 0; page < stop - start; page++)
		present |= found[page] >> 63;
	return present;
}

/* Whether KSM has put one frame behind all pages. */
static int are_one(int64_t start, int64_t stop)
{
	const uint64_t frame = (1ULL << 55) - 1;
	uint64_t *found = entries(start, stop);

	for (int64_t page = 1; page < stop - start; page++)
		if ((found[page] & frame) != (found[0] & frame))
			return 0;
	return found[0] & frame;
}

static int there_is_swap(void)
{
	char line[128];
	unsigned long free_swap = 0;
	FILE *meminfo = fopen("/proc/meminfo", "r");

	while (meminfo && fgets(line, sizeof(line), meminfo))
		sscanf(line, "SwapFree: %lu kB", &free_swap);
	if (meminfo)
		fclose(meminfo);
	return free_swap > 1024;
}

/*
 * How long the processor may be at advice, in milliseconds, and for each page; and at the one advice that some kernels
 * never come back from: each a hundred times what is needed, also where the processor is emulated.
 */
enum { LIMIT = 10000, LIMIT_PER_PAGE = 10, LIMIT_OF_GUARDS = 300, LIMIT_OF_GUARDS_PER_PAGE = 3 };

static sigjmp_buf way_out_of_advice;

static void take_the_way_out(int number)
{
	(void)number;
	siglongjmp(way_out_of_advice, 1);
}

static void interrupt_after(long milliseconds)
{
	struct itimerval when = { .it_value = { milliseconds / 1000, milliseconds % 1000 * 1000 } };

	setitimer(ITIMER_PROF, &when, NULL);
}

/*
 * The errno of madvise(2), or DOES_NOT_RETURN. A kernel may begin the call anew for ever, which a signal handler alone
 * doesn't end: the way out leads past the call.
 */
static int advised(int64_t start, int64_t stop, int advice)
{
	struct sigaction action = { .sa_handler = take_the_way_out, .sa_flags = SA_NODEFER };
	volatile int result = DOES_NOT_RETURN;

	sigaction(SIGPROF, &action, NULL);
	if (!sigsetjmp(way_out_of_advice, 1)) {
		interrupt_after(advice == MADV_GUARD_INSTALL ?
					LIMIT_OF_GUARDS + LIMIT_OF_GUARDS_PER_PAGE * (stop - start) :
					LIMIT + LIMIT_PER_PAGE * (stop - start));
		result = madvise(at(start), (stop - start) * PAGE, advice) ? errno : 0;
	}
	interrupt_after(0);
	return result;
}

/*
 * madvise(2). MADV_PAGEOUT is repeated until the pages are gone, MADV_MERGEABLE waited for until all are one. A kernel
 * that is built without huge pages has none to keep away: it doesn't know MADV_NOHUGEPAGE.
 */
static void advise(int64_t start, int64_t stop, int advice)
{
	time_t limit = time(NULL) + 30;

	if (advice == MADV_PAGEOUT && !there_is_swap())
		end(CANNOT_ASK, "can't be asked here: there is no swap");
	do {
		errno = advised(start, stop, advice);
		if (errno == EINVAL && advice == MADV_NOHUGEPAGE)
			return;
		if (errno == DOES_NOT_RETURN)
			end(DIFFERS, "doesn't keep the clause: madvise(2) doesn't return");
		must(errno ? -1 : 0, "madvise");
		if (time(NULL) > limit)
			end(CANNOT_ASK, "can't be asked here: the kernel doesn't do what madvise(2) asks");
		/* A part of a large folio isn't split off as long as it is dirty. An error for a gap means nothing. */
		if (advice == MADV_PAGEOUT && any_present(start, stop))
			msync(at(start), (stop - start) * PAGE, MS_SYNC);
	} while ((advice == MADV_PAGEOUT && any_present(start, stop)) ||
		 (advice == MADV_MERGEABLE && !are_one(start, stop)));
}

//@ expect_advice: errata advise
#include <sys/syscall.h>

/* Whether the kernel has guard regions, in memory of files as well: it takes the advice for wrong where it hasn't. */
static int guards_are_refused(void)
{
	int fd = syscall(SYS_memfd_create, "pagemap-scan", MFD_CLOEXEC), refused;
	void *place;

	must(fd, "memfd_create");
	must(ftruncate(fd, PAGE), "ftruncate");
	place = mmap(NULL, PAGE, PROT_READ, MAP_SHARED, fd, 0);
	refused = madvise(place, PAGE, MADV_GUARD_INSTALL);
	munmap(place, PAGE);
	close(fd);
	return refused;
}

/* madvise(2), whose errno is asked for. */
static void expect_advice(int64_t start, int64_t stop, int advice, int error, const struct known *known)
{
	const struct known *now = known_answer(present, known), *then = known_answer(present | probed, known);
	int found = advised(start, stop, advice);

	if (advice == MADV_GUARD_INSTALL && found == EINVAL && error != EINVAL && guards_are_refused())
		end(CANNOT_ASK, "can't be asked here: the kernel has no guard regions in memory of files");
	if (judge(now, found == (now ? now->error : error), found == (then ? then->error : error)))
		return;
	say("# madvise(2): expected %s, observed ", error ? strerror(error) : "success");
	say("%s\n", found == DOES_NOT_RETURN ? "that it doesn't return" : found ? strerror(found) : "success");
	if (found == error)
		end_kept(now);
	for (; known && known->errata; known++)
		if (found == known->error)
			name_errata(known->errata);
	end(DIFFERS, "doesn't keep the clause");
}
