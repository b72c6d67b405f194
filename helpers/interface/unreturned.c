/* What some kernels don't come back from by themselves: advice, loads and stores. */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
/* Milliseconds that a system call may wait for something; far more than any of those here has to wait for. */
#define PATIENCE 30000
/* Milliseconds in which an access comes at least one page further. An access that waits for the owner of a userfaultfd,
   whom no program has, takes twice as long: the first alarm may be late. */
#define PATIENCE_WITH_A_PAGE 5000

static __thread sigjmp_buf way_out;
/* Milliseconds of this thread's own time, and of everybody's, at which a system call has taken too long. */
static __thread long end_of_work, end_of_wait;
/* Pages that the access of this thread has come to, and those to which it had when the last alarm came. */
static __thread volatile size_t touched, touched_before;

static long milliseconds_of(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void leave_a_call_in_the_end(int number)
{
	(void)number;
	if (milliseconds_of(CLOCK_THREAD_CPUTIME_ID) >= end_of_work || milliseconds_of(CLOCK_MONOTONIC) >= end_of_wait)
		siglongjmp(way_out, 1);
}

static void leave_an_access_that_does_not_go_on(int number)
{
	(void)number;
	if (touched == touched_before)
		siglongjmp(way_out, 1);
	touched_before = touched;
}

/* A timer whose alarms interrupt this thread, and how these were handled before. */
struct watch {
	timer_t timer;
	struct sigaction action;
	sigset_t mask;
};

/* Returns whether there is an alarm: without, nothing would end what doesn't return. */
static bool begin_watch(struct watch *watch, void (*handler)(int), long milliseconds)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	struct timespec after = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_NODEFER | SA_RESTART };
	struct itimerspec when = { after, after };
	sigset_t alarms;

	event.sigev_notify_thread_id = syscall(SYS_gettid);
	if (timer_create(CLOCK_MONOTONIC, &event, &watch->timer))
		return false;
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &alarms, &watch->mask);
	sigaction(SIGRTMIN, &action, &watch->action);
	timer_settime(watch->timer, 0, &when, NULL);
	return true;
}

static void end_watch(const struct watch *watch)
{
	timer_delete(watch->timer);
	sigaction(SIGRTMIN, &watch->action, NULL);
	pthread_sigmask(SIG_SETMASK, &watch->mask, NULL);
}

/*
 * A kernel may begin a call anew for ever, which a signal handler alone doesn't end: the way out of it leads past the
 * call. Time is counted in which this thread runs, so that a busy machine is no kernel that hangs.
 */
long native_madvise(uint64_t address, size_t length, int advice, long milliseconds)
{
	volatile long result;
	struct watch watch;

	end_of_work = milliseconds_of(CLOCK_THREAD_CPUTIME_ID) + milliseconds;
	end_of_wait = milliseconds_of(CLOCK_MONOTONIC) + milliseconds + PATIENCE;
	if (!begin_watch(&watch, leave_a_call_in_the_end, milliseconds / 8 + 1))
		return -EAGAIN;
	if (!sigsetjmp(way_out, 1)) {
		do
			result = madvise((void *)(uintptr_t)address, length, advice) ? -errno : 0;
		while (result == -EINTR);
	} else {
		result = NATIVE_DOES_NOT_RETURN;
	}
	end_watch(&watch);
	return result;
}

/* A function of its own, whose variables no jump takes the values from. */
static __attribute__((noinline)) void touch(uint64_t address, size_t count, size_t page_size, bool stores)
{
	volatile unsigned char *byte = (volatile unsigned char *)(uintptr_t)address;
	/* Not zero, and not what other workers store: KSM merges what is equal, whosoever's it is. */
	unsigned char mark = getpid() % 255 + 1;

	/* A store and nothing else: an emulator makes a load of its own out of what adds to memory. */
	for (; count; count--, byte += page_size, touched++) {
		if (stores)
			*byte = mark;
		else
			(void)*byte;
	}
}

static long access_memory(uint64_t address, size_t count, size_t page_size, bool stores)
{
	volatile long result = NATIVE_DOES_NOT_RETURN;
	struct watch watch;

	touched = 0;
	touched_before = -1;
	if (!begin_watch(&watch, leave_an_access_that_does_not_go_on, PATIENCE_WITH_A_PAGE))
		return -EAGAIN;
	if (!sigsetjmp(way_out, 1)) {
		touch(address, count, page_size, stores);
		result = 0;
	}
	end_watch(&watch);
	return result;
}

long native_write(uint64_t address, size_t count, size_t page_size)
{
	return access_memory(address, count, page_size, true);
}

long native_read(uint64_t address, size_t count, size_t page_size)
{
	return access_memory(address, count, page_size, false);
}
