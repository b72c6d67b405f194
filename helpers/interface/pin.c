/*
 * Memory that is pinned for io_uring: the kernel holds its frames, and writes to them by these, not by the page tables.
 */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <linux/io_uring.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

/* The queues of a ring with one entry, as the kernel has laid them out. */
struct queues {
	struct io_uring_params params;
	size_t length;
	char *rings;
	struct io_uring_sqe *entries;
};

static void *mapped(int ring, size_t length, off_t offset)
{
	return mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring, offset);
}

static struct queues queues;

static long map_queues(int ring)
{
	size_t submissions = queues.params.sq_off.array + queues.params.sq_entries * sizeof(uint32_t);
	size_t completions = queues.params.cq_off.cqes + queues.params.cq_entries * sizeof(struct io_uring_cqe);

	if (!(queues.params.features & IORING_FEAT_SINGLE_MMAP))
		return -ENOSYS;
	queues.length = submissions > completions ? submissions : completions;
	queues.rings = mapped(ring, queues.length, IORING_OFF_SQ_RING);
	queues.entries = mapped(ring, sizeof(struct io_uring_sqe), IORING_OFF_SQES);
	return queues.rings == MAP_FAILED || (void *)queues.entries == MAP_FAILED ? -errno : 0;
}

/* Returns a ring, which holds the frames of the memory until it is closed by native_unpin(), or -errno. */
long native_pin(uint64_t address, size_t length)
{
	struct iovec buffer = { (void *)(uintptr_t)address, length };
	long ring, failed;

	memset(&queues, 0, sizeof(queues));
	ring = syscall(__NR_io_uring_setup, 1, &queues.params);
	if (ring < 0)
		return -errno;
	failed = map_queues(ring);
	if (!failed && syscall(__NR_io_uring_register, ring, IORING_REGISTER_BUFFERS, &buffer, 1) < 0)
		failed = -errno;
	if (failed)
		native_unpin(ring);
	return failed ? failed : ring;
}

void native_unpin(int ring)
{
	if (queues.rings && queues.rings != MAP_FAILED)
		munmap(queues.rings, queues.length);
	if (queues.entries && (void *)queues.entries != MAP_FAILED)
		munmap(queues.entries, sizeof(struct io_uring_sqe));
	close(ring);
}

static uint32_t *in_rings(uint32_t offset)
{
	return (uint32_t *)(queues.rings + offset);
}

/* Reads the start of a file into pinned memory. Returns what read(2) would, or -errno. */
long native_read_pinned(int ring, int file, uint64_t address, size_t length)
{
	uint32_t *tail = in_rings(queues.params.sq_off.tail), *head = in_rings(queues.params.cq_off.head);
	struct io_uring_cqe *done = (struct io_uring_cqe *)(queues.rings + queues.params.cq_off.cqes);
	long result;

	*queues.entries = (struct io_uring_sqe){
		.opcode = IORING_OP_READ_FIXED, .fd = file, .addr = address, .len = length,
	};
	in_rings(queues.params.sq_off.array)[0] = 0;
	__atomic_store_n(tail, *tail + 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0)
		return -errno;
	result = done[*head & (queues.params.cq_entries - 1)].res;
	__atomic_store_n(head, *head + 1, __ATOMIC_RELEASE);
	return result;
}
