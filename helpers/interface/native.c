/*
 * What must be C: system calls whose errno must not get lost, the loop over all mask combinations, and threads that
 * write while a scan runs.
 */
#define _GNU_SOURCE
#include "native.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/swap.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

const uint64_t native_machine_constants[] = NATIVE_MACHINE_CONSTANTS;

static long or_errno(long result)
{
	return result < 0 ? -errno : result;
}

long native_ioctl(int fd, unsigned long request, void *argument)
{
	return or_errno(ioctl(fd, request, argument));
}

long native_userfaultfd(int flags)
{
	return or_errno(syscall(__NR_userfaultfd, flags));
}

long native_mmap(uint64_t address, size_t length, int prot, int flags, int fd, int64_t offset)
{
	void *mapped = mmap((void *)(uintptr_t)address, length, prot, flags, fd, offset);

	return mapped == MAP_FAILED ? -errno : (long)(uintptr_t)mapped;
}

long native_munmap(uint64_t address, size_t length)
{
	return or_errno(munmap((void *)(uintptr_t)address, length));
}

long native_mprotect(uint64_t address, size_t length, int prot)
{
	return or_errno(mprotect((void *)(uintptr_t)address, length, prot));
}

long native_mremap(uint64_t from, size_t length, size_t new_length, int flags, uint64_t to)
{
	void *moved = mremap((void *)(uintptr_t)from, length, new_length, flags, (void *)(uintptr_t)to);

	return moved == MAP_FAILED ? -errno : 0;
}

long native_punch_hole(int fd, int64_t offset, int64_t length)
{
	return or_errno(fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, offset, length));
}

long native_swapon(const char *path)
{
	return or_errno(swapon(path, 0));
}

long native_swapoff(const char *path)
{
	return or_errno(swapoff(path));
}

long native_read_into(int fd, uint64_t address, size_t length)
{
	return or_errno(read(fd, (void *)(uintptr_t)address, length));
}

long native_vm_write(uint64_t address, size_t length)
{
	char *zeros = calloc(1, length);
	struct iovec from = { zeros, length }, to = { (void *)(uintptr_t)address, length };
	long result = zeros ? or_errno(process_vm_writev(getpid(), &from, 1, &to, 1, 0)) : -ENOMEM;

	free(zeros);
	return result;
}

long native_pwrite(int fd, const char *bytes, size_t length, int64_t offset)
{
	return or_errno(pwrite(fd, bytes, length, offset));
}

long native_die_with_parent(void)
{
	return or_errno(prctl(PR_SET_PDEATHSIG, SIGKILL));
}

/* --- All mask combinations ------------------------------------------------------------------------------- */

static int matches(uint64_t categories, const struct pm_scan_arg *arg)
{
	categories ^= arg->category_inverted;
	if ((categories & arg->category_mask) != arg->category_mask)
		return 0;
	return !arg->category_anyof_mask || (categories & arg->category_anyof_mask);
}

size_t native_expected_regions(const struct page_region *memory, size_t runs, const struct pm_scan_arg *arg,
			       struct page_region *expected)
{
	size_t found = 0;

	for (size_t run = 0; run < runs; run++) {
		uint64_t reported = memory[run].categories & arg->return_mask;

		if (!matches(memory[run].categories, arg))
			continue;
		if (found && expected[found - 1].end == memory[run].start &&
		    expected[found - 1].categories == reported) {
			expected[found - 1].end = memory[run].end;
			continue;
		}
		expected[found++] = (struct page_region){ memory[run].start, memory[run].end, reported };
	}
	return found;
}

#define MAX_RUNS 128
/* Stands behind the regions that the kernel reports, so that one too many is seen. */
#define UNTOUCHED 0x5e5e5e5e5e5e5e5eULL

static struct pm_scan_arg scan_of_all(const struct page_region *memory, size_t runs, uint64_t return_mask,
				      struct page_region *vec)
{
	return (struct pm_scan_arg){
		.size = sizeof(struct pm_scan_arg),
		.start = memory[0].start,
		.end = memory[runs - 1].end,
		.vec = (uintptr_t)vec,
		.vec_len = MAX_RUNS,
		.return_mask = return_mask,
	};
}

static void set_masks(struct pm_scan_arg *arg, uint64_t combination, unsigned bits)
{
	uint64_t all = (1ULL << bits) - 1;

	arg->category_inverted = combination & all;
	arg->category_mask = (combination >> bits) & all;
	arg->category_anyof_mask = (combination >> 2 * bits) & all;
}

/* Returns how many combinations were proven; fewer than count: *failure tells of the first that failed. */
uint64_t native_prove_masks(int pagemap, const struct page_region *memory, size_t runs, uint64_t first,
			    uint64_t count, uint64_t stride, unsigned bits, uint64_t return_mask,
			    struct mask_failure *failure)
{
	struct page_region vec[MAX_RUNS + 1], expected[MAX_RUNS];
	struct pm_scan_arg arg = scan_of_all(memory, runs, return_mask, vec);

	for (uint64_t proven = 0; proven < count; proven++) {
		uint64_t combination = first + proven * stride;
		size_t wanted;
		long result;

		set_masks(&arg, combination, bits);
		wanted = native_expected_regions(memory, runs, &arg, expected);
		vec[wanted].start = UNTOUCHED;
		arg.walk_end = UNTOUCHED;
		result = native_ioctl(pagemap, PAGEMAP_SCAN, &arg);
		if (result != (long)wanted || arg.walk_end != arg.end || vec[wanted].start != UNTOUCHED ||
		    memcmp(vec, expected, wanted * sizeof(*vec))) {
			*failure = (struct mask_failure){ combination, return_mask, result, arg.walk_end };
			return proven;
		}
	}
	return count;
}

/* The same calls and nothing else, to measure the loop above against. */
uint64_t native_bare_masks(int pagemap, const struct page_region *memory, size_t runs, uint64_t first,
			   uint64_t count, uint64_t stride, unsigned bits, uint64_t return_mask)
{
	struct page_region vec[MAX_RUNS];
	struct pm_scan_arg arg = scan_of_all(memory, runs, return_mask, vec);
	uint64_t regions = 0;

	for (uint64_t called = 0; called < count; called++) {
		set_masks(&arg, first + called * stride, bits);
		regions += ioctl(pagemap, PAGEMAP_SCAN, &arg);
	}
	return regions;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

double native_bare_scans(int pagemap, struct pm_scan_arg *arg, uint64_t count)
{
	double begun = seconds_now();

	while (count--)
		ioctl(pagemap, PAGEMAP_SCAN, arg);
	return seconds_now() - begun;
}

/* --- Writers against a tracker ---------------------------------------------------------------------------- */

struct writer {
	struct race *race;
	uint64_t slot;
	_Atomic uint64_t writes;
	atomic_bool *stop;
	pthread_t thread;
};

/* Each writer has a word of its own in every page, so that no two write to the same one. */
static void *write_until_stopped(void *argument)
{
	struct writer *writer = argument;
	struct race *race = writer->race;
	uint64_t random = 0x9e3779b97f4a7c15ULL * (writer->slot + 1);
	uint64_t writes = 0;

	while (!atomic_load_explicit(writer->stop, memory_order_relaxed)) {
		uint64_t page;
		volatile uint64_t *word;

		random ^= random << 13;
		random ^= random >> 7;
		random ^= random << 17;
		page = random % race->written_pages;
		word = (volatile uint64_t *)(uintptr_t)(race->memory + page * race->page_size);
		word[writer->slot] = ++writes;
		atomic_store_explicit(&writer->writes, writes, memory_order_relaxed);
	}
	return NULL;
}

static long protect_again(struct race *race, uint64_t start, uint64_t end)
{
	struct uffdio_writeprotect protect = {
		.range = { .start = start, .len = end - start },
		.mode = UFFDIO_WRITEPROTECT_MODE_WP,
	};

	return native_ioctl(race->userfaultfd, UFFDIO_WRITEPROTECT, &protect);
}

static void copy_region(struct race *race, unsigned char *copy, const struct page_region *region)
{
	uint64_t offset = region->start - race->memory;

	if (region->end > race->memory + race->written_pages * race->page_size)
		race->reported_untouched++;
	memcpy(copy + offset, (void *)(uintptr_t)region->start, region->end - region->start);
}

/* One pass over the memory: what was reported is copied. Returns the number of regions, or -errno. */
static long track_once(struct race *race, unsigned char *copy, struct page_region *vec)
{
	uint64_t end = race->memory + race->pages * race->page_size;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = race->in_two_steps ? 0 : PM_SCAN_WP_MATCHING | PM_SCAN_CHECK_WPASYNC,
		.start = race->memory,
		.end = end,
		.vec = (uintptr_t)vec,
		.vec_len = race->vec_len,
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
	};
	long regions = 0;

	do {
		long found = native_ioctl(race->pagemap, PAGEMAP_SCAN, &arg);

		if (found < 0)
			return found;
		for (long region = 0; region < found; region++) {
			copy_region(race, copy, &vec[region]);
			if (race->in_two_steps)
				protect_again(race, vec[region].start, vec[region].end);
		}
		if (arg.walk_end <= arg.start)
			return -ELOOP;
		regions += found;
		arg.start = arg.walk_end;
	} while (arg.start < end);
	race->scans++;
	race->scans_that_found += regions > 0;
	return regions;
}

static void compare(struct race *race, const unsigned char *copy)
{
	const unsigned char *memory = (const unsigned char *)(uintptr_t)race->memory;

	for (uint64_t page = 0; page < race->pages; page++) {
		uint64_t offset = page * race->page_size;

		if (!memcmp(memory + offset, copy + offset, race->page_size))
			continue;
		if (!race->lost_pages++)
			race->first_lost_page = page;
	}
}

static uint64_t writes_so_far(const struct race *race, struct writer *writers)
{
	uint64_t writes = 0;

	for (uint64_t slot = 0; slot < race->writers; slot++)
		writes += atomic_load_explicit(&writers[slot].writes, memory_order_relaxed);
	return writes;
}

/*
 * A fault on a file may sleep, and starts again when the page was protected meanwhile: a tracker that never
 * paused could keep a writer from ever getting on. Returns 0 when nothing was written until the end.
 */
static int wait_for_a_write(struct race *race, struct writer *writers, double end)
{
	uint64_t seen = race->writes;

	while ((race->writes = writes_so_far(race, writers)) == seen) {
		if (seconds_now() >= end)
			return 0;
		sched_yield();
	}
	return 1;
}

int native_race(struct race *race)
{
	uint64_t length = race->pages * race->page_size, begun = 0;
	struct page_region *vec = calloc(race->vec_len, sizeof(*vec));
	struct writer *writers = calloc(race->writers, sizeof(*writers));
	unsigned char *copy = malloc(length);
	double end = seconds_now() + race->limit_seconds;
	atomic_bool stop = false;
	int refused = vec && writers && copy ? 0 : ENOMEM;

	if (!refused)
		memcpy(copy, (void *)(uintptr_t)race->memory, length);
	while (!refused && begun < race->writers) {
		writers[begun] = (struct writer){ .race = race, .slot = begun, .stop = &stop };
		refused = pthread_create(&writers[begun].thread, NULL, write_until_stopped, &writers[begun]);
		begun += !refused;
	}
	while (!refused && !race->error && race->scans_that_found < race->rounds && wait_for_a_write(race, writers, end)) {
		long found = track_once(race, copy, vec);

		if (found < 0)
			race->error = found;
	}
	atomic_store(&stop, true);
	for (uint64_t slot = 0; slot < begun; slot++)
		pthread_join(writers[slot].thread, NULL);
	if (!refused) {
		race->writes = writes_so_far(race, writers);
		if (!race->error && track_once(race, copy, vec) >= 0)
			compare(race, copy);
	}
	free(copy);
	free(writers);
	free(vec);
	return -refused;
}
