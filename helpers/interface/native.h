#ifndef NATIVE_H
#define NATIVE_H

#include "uapi.h"

/* cffi reads from here */

/* In the order of uapi.MACHINE_CONSTANTS. */
extern const uint64_t native_machine_constants[];

/* Each returns what the system call does, or -errno. */
long native_ioctl(int fd, unsigned long request, void *argument);
long native_userfaultfd(int flags);
long native_mmap(uint64_t address, size_t length, int prot, int flags, int fd, int64_t offset);
long native_munmap(uint64_t address, size_t length);
long native_mprotect(uint64_t address, size_t length, int prot);
long native_mremap(uint64_t from, size_t length, size_t new_length, int flags, uint64_t to);
long native_punch_hole(int fd, int64_t offset, int64_t length);
long native_swapon(const char *path);
long native_swapoff(const char *path);
long native_read_into(int fd, uint64_t address, size_t length);
long native_vm_write(uint64_t address, size_t length);
long native_pwrite(int fd, const char *bytes, size_t length, int64_t offset);

/* The same, unless it was ended after so long: then NATIVE_DOES_NOT_RETURN. */
#define NATIVE_DOES_NOT_RETURN -100000
long native_madvise(uint64_t address, size_t length, int advice, long milliseconds);

/*
 * One byte in each of count pages: stored, or loaded. 0; NATIVE_DOES_NOT_RETURN where it was ended in a page, or -EAGAIN
 * where nothing could have ended it, and nothing was done.
 */
long native_write(uint64_t address, size_t count, size_t page_size);
long native_read(uint64_t address, size_t count, size_t page_size);

/*
 * A child that shares nothing but a copy of the memory; it dies with its parent. Stores in fds[0] what it is told by, and
 * in fds[1] its own userfaultfd where the given one, if there is one, tells of the child by an event, else -1.
 */
long native_fork(int userfaultfd, int fds[2]);
/* The child does what native_write() does. -ECHILD where that was its end. */
long native_child_writes(int fd, uint64_t address, size_t count, size_t page_size);
long native_die_with_parent(void);

/* Memory that is pinned by a ring of io_uring, of which there is one at a time, and a read(2) into it (pin.c). */
long native_pin(uint64_t address, size_t length);
long native_read_pinned(int ring, int file, uint64_t address, size_t length);
void native_unpin(int ring);

/* An ioctl in which the nth thing that may fail does, where the kernel lets one ask for that (failing.c). */
long native_failing_ioctl(int fd, unsigned long request, void *argument, unsigned nth, int *failed);

/*
 * Mask combinations. Combination n has category_inverted in the lowest `bits` bits of n, category_mask in the
 * next, category_anyof_mask in the highest.
 */
struct mask_failure {
	uint64_t combination;
	uint64_t return_mask;
	long result;
	uint64_t walk_end;
};

size_t native_expected_regions(const struct page_region *memory, size_t runs, const struct pm_scan_arg *arg,
			       struct page_region *expected);
uint64_t native_prove_masks(int pagemap, const struct page_region *memory, size_t runs, uint64_t first,
			    uint64_t count, uint64_t stride, unsigned bits, uint64_t return_mask,
			    struct mask_failure *failure);
uint64_t native_bare_masks(int pagemap, const struct page_region *memory, size_t runs, uint64_t first,
			   uint64_t count, uint64_t stride, unsigned bits, uint64_t return_mask);
double native_bare_scans(int pagemap, struct pm_scan_arg *arg, uint64_t count);

/*
 * A tracker that copies what a get-and-protect scan reports while threads write, as live migration does.
 * What the copy lacks in the end is a lost write.
 */
struct race {
	int pagemap;
	int userfaultfd;
	uint64_t memory;
	uint64_t pages;
	uint64_t page_size;
	/* Threads write to the first `written_pages` pages only; a report of another is counted. */
	uint64_t written_pages;
	uint64_t writers;
	/* It ends when so many scans found something, or (too little time was had) after the limit. */
	uint64_t rounds;
	uint64_t limit_seconds;
	uint64_t vec_len;
	/* Not a get-and-protect scan but a get, then UFFDIO_WRITEPROTECT: what must lose writes. */
	int in_two_steps;
	/* Results. */
	uint64_t scans;
	uint64_t scans_that_found;
	uint64_t writes;
	uint64_t lost_pages;
	uint64_t first_lost_page;
	uint64_t reported_untouched;
	long error;
};

/* 0, or -errno of what the race needs itself, which is nothing that was found. */
int native_race(struct race *race);

#endif
