/* An ioctl during which the kernel is had to fail: fail-nth of Documentation/fault-injection/fault-injection.rst. */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* As native_ioctl(); *failed tells whether the nth thing that may fail was come to. */
long native_failing_ioctl(int fd, unsigned long request, void *argument, unsigned nth, int *failed)
{
	int knob = open("/proc/thread-self/fail-nth", O_RDWR | O_CLOEXEC);
	char number[16] = "";
	long result;

	*failed = 0;
	if (knob < 0)
		return -errno;
	snprintf(number, sizeof(number), "%u", nth);
	if (pwrite(knob, number, strlen(number), 0) < 0) {
		result = -errno;
		close(knob);
		return result;
	}
	result = native_ioctl(fd, request, argument);
	/* What is left of the number is not yet 0 where there were fewer. */
	memset(number, 0, sizeof(number));
	if (pread(knob, number, sizeof(number) - 1, 0) > 0)
		*failed = atoi(number) == 0;
	if (pwrite(knob, "0", 1, 0) < 0)
		*failed = 0;
	close(knob);
	return result;
}
