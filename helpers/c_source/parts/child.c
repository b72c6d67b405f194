//@ child_pagemap: base
/* Of the child, once there is one. */
static int child_pagemap = -1;

//@ child_userfaultfd: base
/* Its own, where it has one. */
static int child_userfaultfd = -1;

//@ fork_child: child_pagemap write_pages
#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

static pid_t child = -1;
/* By the first, the child is told where to store. */
static int errands[2] = { -1, -1 };

static void run_errands(void)
{
	int64_t span[2];

	while (read(errands[1], span, sizeof(span)) == sizeof(span)) {
		write_pages(span[0], span[1]);
		if (write(errands[1], span, sizeof(span)) != sizeof(span))
			break;
	}
}

/* fork(2): from now on there is a child to scan, which does what it is told. */
static void fork_child(void)
{
	pid_t parent = getpid();
	char path[32];

	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, errands), "socketpair");
	child = must(fork(), "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		close(errands[0]);
		if (getppid() == parent)
			run_errands();
		_exit(0);
	}
	close(errands[1]);
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)child);
	child_pagemap = must(open(path, O_RDONLY | O_CLOEXEC), path);
}

//@ fork_followed: fork_child child_userfaultfd userfaultfd
#include <poll.h>
#include <pthread.h>

/* From linux/userfaultfd.h, as far as it is about fork(2). */
struct uffd_fork {
	uint8_t event, reserved[7];
	uint32_t child, unused[5];
};

/* fork(2) waits for somebody to read what it tells of the child; a byte tells that there is nothing to come. */
static void *follow(void *end)
{
	struct pollfd wait[] = { { userfaultfds[FOLLOWING], POLLIN, 0 }, { *(int *)end, POLLIN, 0 } };
	struct uffd_fork told;

	poll(wait, 2, -1);
	if (wait[0].revents & POLLIN && read(wait[0].fd, &told, sizeof(told)) == sizeof(told) &&
	    told.event == UFFD_EVENT_FORK)
		child_userfaultfd = (int)told.child;
	return NULL;
}

/* The child's memory is registered as its parent's is (UFFD_FEATURE_EVENT_FORK). */
static void fork_followed(void)
{
	pthread_t follower;
	int ends[2];

	must(pipe2(ends, O_CLOEXEC), "pipe2");
	must(pthread_create(&follower, NULL, follow, ends) ? -1 : 0, "pthread_create");
	fork_child();
	must(write(ends[1], "", 1), "write to a pipe");
	pthread_join(follower, NULL);
	close(ends[0]);
	close(ends[1]);
}

//@ child_writes: fork_child
/* The child stores a byte in each page. */
static void child_writes(int64_t start, int64_t stop)
{
	int64_t span[2] = { start, stop };

	must(write(errands[0], span, sizeof(span)) == sizeof(span) ? 0 : -1, "write to the child");
	must(read(errands[0], span, sizeof(span)) == sizeof(span) ? 0 : -1, "the child's stores");
}

//@ kill_child: fork_child
/* Ends the child and reaps it, while its pagemap stays open. */
static void kill_child(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	close(errands[0]);
}
