/* A child, which stores where it is told to, and may be followed by its own userfaultfd. */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* What a child is told to do: to store a byte in each of some pages. */
struct errand {
	uint64_t address, count, page_size;
};

static void run_errands(int fd)
{
	struct errand errand;
	long done;

	while (read(fd, &errand, sizeof(errand)) == sizeof(errand)) {
		done = native_write(errand.address, errand.count, errand.page_size);
		if (write(fd, &done, sizeof(done)) != sizeof(done))
			break;
	}
}

long native_child_writes(int fd, uint64_t address, size_t count, size_t page_size)
{
	struct errand errand = { address, count, page_size };
	long done;

	if (write(fd, &errand, sizeof(errand)) != sizeof(errand))
		return -errno;
	return read(fd, &done, sizeof(done)) == sizeof(done) ? done : -ECHILD;
}

/* Of whom fork(2) waits for an event to be read; it waits itself for that, or for a byte in its pipe. */
struct follower {
	int userfaultfd, end, followed;
};

static void *follow(void *argument)
{
	struct follower *self = argument;
	struct pollfd wait[] = { { self->userfaultfd, POLLIN, 0 }, { self->end, POLLIN, 0 } };
	struct uffd_msg message;

	poll(wait, 2, -1);
	if (wait[0].revents & POLLIN && read(self->userfaultfd, &message, sizeof(message)) == sizeof(message) &&
	    message.event == UFFD_EVENT_FORK)
		self->followed = message.arg.fork.ufd;
	return NULL;
}

/* A child that runs errands, told by an end of a pair of sockets, as long as its parent lives. */
static long fork_errand_boy(int *fd)
{
	pid_t child, parent = getpid();
	long result;
	int ends[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends))
		return -errno;
	child = fork();
	if (child == 0) {
		native_die_with_parent();
		close(ends[0]);
		if (getppid() == parent)
			run_errands(ends[1]);
		_exit(0);
	}
	result = child < 0 ? -errno : child;
	close(ends[1]);
	if (child < 0)
		close(ends[0]);
	else
		*fd = ends[0];
	return result;
}

long native_fork(int userfaultfd, int fds[2])
{
	struct follower follower = { .userfaultfd = userfaultfd, .followed = -1 };
	pthread_t thread;
	int ends[2];
	long child;

	if (userfaultfd < 0)
		return fork_errand_boy(fds);
	if (pipe2(ends, O_CLOEXEC))
		return -errno;
	follower.end = ends[0];
	child = -pthread_create(&thread, NULL, follow, &follower);
	if (!child) {
		child = fork_errand_boy(fds);
		/* An event comes before fork(2) returns, or not at all: nothing of it is registered. */
		if (write(ends[1], "", 1) != 1)
			abort();
		pthread_join(thread, NULL);
		fds[1] = follower.followed;
	}
	close(ends[0]);
	close(ends[1]);
	return child;
}
