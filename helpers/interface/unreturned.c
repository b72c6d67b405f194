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
/* The first timer of a process is a null pointer. */
#define NO_TIMER ((timer_t)-1)

static __thread sigjmp_buf way_out;
/* Pages that the access of this thread has come to, and those to which it had when the last alarm came. */
static __thread volatile size_t touched, touched_before;

static void take_the_way_out(int number)
{
	(void)number;
	siglongjmp(way_out, 1);
}

static void take_it_unless_it_goes_on(int number)
{
	if (touched == touched_before)
		take_the_way_out(number);
	touched_before = touched;
}

/* How this thread's alarms were handled before, and the timers that send them: of its own time, and of everybody's. */
struct watch {
	struct sigaction action;
	sigset_t mask;
	timer_t timers[2];
};

static void begin_watch(struct watch *before, void (*handler)(int))
{
	struct sigaction action = { .sa_handler = handler, .sa_flags = SA_NODEFER };
	sigset_t alarms;

	before->timers[0] = before->timers[1] = NO_TIMER;
	sigemptyset(&alarms);
	sigaddset(&alarms, SIGRTMIN);
	pthread_sigmask(SIG_UNBLOCK, &alarms, &before->mask);
	sigaction(SIGRTMIN, &action, &before->action);
}

static void end_watch(const struct watch *before)
{
	for (int i = 0; i < 2; i++) {
		if (before->timers[i] != NO_TIMER)
			timer_delete(before->timers[i]);
	}
	sigaction(SIGRTMIN, &before->action, NULL);
	pthread_sigmask(SIG_SETMASK, &before->mask, NULL);
}

/* A timer that interrupts this very thread, again and again. Returns NO_TIMER when there is none to be had. */
static timer_t alarm_for_this_thread(clockid_t clock, long milliseconds)
{
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGRTMIN };
	struct timespec after = { milliseconds / 1000, milliseconds % 1000 * 1000000 };
	struct itimerspec when = { after, after };
	timer_t timer;

	event.sigev_notify_thread_id = syscall(SYS_gettid);
	if (timer_create(clock, &event, &timer))
		return NO_TIMER;
	timer_settime(timer, 0, &when, NULL);
	return timer;
}

/*
 * A kernel may begin a call anew for ever, which a signal handler alone doesn't end: the way out of it leads past the
 * call. Time is counted in which this thread runs, so that a busy machine is no kernel that hangs.
 */
long native_madvise(uint64_t address, size_t length, int advice, long milliseconds)
{
	volatile long result = NATIVE_DOES_NOT_RETURN;
	struct watch watch;

	begin_watch(&watch, take_the_way_out);
	if (!sigsetjmp(way_out, 1)) {
		watch.timers[0] = alarm_for_this_thread(CLOCK_THREAD_CPUTIME_ID, milliseconds);
		watch.timers[1] = alarm_for_this_thread(CLOCK_MONOTONIC, milliseconds + PATIENCE);
		/* Without an alarm nothing would end a call that doesn't return: it isn't made. */
		if (watch.timers[0] == NO_TIMER || watch.timers[1] == NO_TIMER)
			result = -EAGAIN;
		else
			result = madvise((void *)(uintptr_t)address, length, advice) ? -errno : 0;
	}
	end_watch(&watch);
	return result;
}

static void touch(uint64_t address, size_t count, size_t page_size, bool stores)
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
	begin_watch(&watch, take_it_unless_it_goes_on);
	if (!sigsetjmp(way_out, 1)) {
		watch.timers[0] = alarm_for_this_thread(CLOCK_MONOTONIC, PATIENCE_WITH_A_PAGE);
		result = -EAGAIN;
		if (watch.timers[0] != NO_TIMER) {
			result = NATIVE_DOES_NOT_RETURN;
			touch(address, count, page_size, stores);
			result = 0;
		}
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
