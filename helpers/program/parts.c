/*
 * The parts of which helpers/program/printer.py makes C programs. Each begins with a line
 * "//@ name: the parts it needs", which isn't printed; a program has the parts that it needs, in this order.
 */
//@ base:
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

/* From linux/fs.h, which may be older than this, or not there. */
struct page_region {
	uint64_t start, end, categories;
};
struct pm_scan_arg {
	uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
	uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
@CONSTANTS@
/* A page in whose start the kernel has written nothing yet. */
#define UNTOUCHED 0x5e5e5e5e5e5e5e5eULL

enum { KEEPS = 0, DIFFERS = 1, CANNOT_ASK = 4 };

static int pagemap;
static uint64_t known;
/* Whether there are soft-dirty bits, and whether every page has one still, which isn't told. */
static int has_soft_dirty, all_soft_dirty;
static char *arena;
/* What there is to say about the outcome. */
static char said[1 << 18];
static size_t said_length;

__attribute__((format(printf, 1, 0))) static void say_with(const char *format, va_list arguments)
{
	int length = vsnprintf(said + said_length, sizeof(said) - said_length, format, arguments);

	said_length += length;
	if (said_length >= sizeof(said))
		said_length = sizeof(said) - 1;
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
	va_list arguments;

	va_start(arguments, format);
	say_with(format, arguments);
	va_end(arguments);
}

/* Ends the test. */
__attribute__((noreturn)) static void leave(int status);

__attribute__((noreturn, format(printf, 2, 3))) static void end(int status, const char *format, ...)
{
	va_list arguments;

	say("# ");
	va_start(arguments, format);
	say_with(format, arguments);
	va_end(arguments);
	say("\n");
	leave(status);
}

/* What isn't under test must work; where it doesn't, nothing can be asked here. */
static long must(long result, const char *what)
{
	if (result < 0)
		end(CANNOT_ASK, "can't be asked here: %s: %s", what, strerror(errno));
	return result;
}

/* The address of a page; page numbers count from the start of an arena in which every mapping lies. */
static char *at(int64_t page)
{
	return arena + page * PAGE;
}

static long scan_nothing(uint64_t categories)
{
	struct pm_scan_arg arg = { .size = sizeof(arg), .category_mask = categories };

	return ioctl(pagemap, PAGEMAP_SCAN, &arg);
}

static void find_what_is_known(void)
{
	pagemap = must(open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC), "open /proc/self/pagemap");
	if (scan_nothing(0) < 0)
		end(CANNOT_ASK, "can't be asked here: the kernel has no PAGEMAP_SCAN: %s", strerror(errno));
	for (int bit = 0; bit < 64; bit++)
		known |= scan_nothing(1ULL << bit) == 0 ? 1ULL << bit : 0;
}

/*
 * The arena: a stretch of addresses that nobody uses, and that shares no page table with anybody's: what is said of
 * memory without a page table depends on that.
 */
static void find_arena(void)
{
	size_t reach = HUGE_PAGE * (PAGE / 8), length = 3 * reach;
	char *place = mmap(NULL, length, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (place == MAP_FAILED)
		end(CANNOT_ASK, "can't be asked here: no addresses: %s", strerror(errno));
	munmap(place, length);
	arena = (char *)(((uintptr_t)place + reach) / reach * reach);
}

static void find_soft_dirty(void)
{
	uint64_t entry = 0;

	*(volatile char *)&entry = 0;
	must(pread(pagemap, &entry, 8, (uintptr_t)&entry / PAGE * 8), "read /proc/self/pagemap");
	has_soft_dirty = all_soft_dirty = entry >> 55 & 1;
}

static void prepare_to_ask(void)
{
	if (sysconf(_SC_PAGESIZE) != PAGE)
		end(CANNOT_ASK, "can't be asked here: this program was made for pages of %d bytes", PAGE);
	find_what_is_known();
	find_arena();
	find_soft_dirty();
}

//@ child_pagemap: base
/* Of the child, once there is one. */
static int child_pagemap = -1;

//@ alone: base
static void leave(int status)
{
	fputs(said, stdout);
	fflush(stdout);
	_exit(status);
}

//@ map_at: base
static void map_at(int64_t start, int64_t stop, int prot, int flags, int fd, int64_t file_page)
{
	void *mapped = mmap(at(start), (stop - start) * PAGE, prot, flags | MAP_FIXED, fd, file_page * PAGE);

	must(mapped == MAP_FAILED ? -1 : 0, "mmap");
}

//@ map: map_at
/* mmap(2) of fresh memory. */
static void map(int64_t start, int64_t stop, int backing, int sharing, int prot)
{
	int hugetlb = backing == HUGETLB ? MAP_HUGETLB | HUGE_PAGE_SHIFT << 26 : 0;

	map_at(start, stop, prot, sharing | MAP_ANONYMOUS | hugetlb, -1, 0);
}

//@ map_file: map_at
#include <sys/statfs.h>
#include <sys/syscall.h>

struct mapped_file {
	const char *name;
	int fd;
};
static struct mapped_file files[8];

static int new_file(int backing)
{
	static const char *const directories[][3] = {
		[TMPFS] = { "/dev/shm", "/run", "/tmp" },
		[ON_DISK] = { "/var/tmp", "/tmp", "." },
	};
	int fd;

	if (backing == MEMFD)
		return syscall(SYS_memfd_create, "pagemap-scan", MFD_CLOEXEC);
	if (backing == HUGETLB_MEMFD)
		return syscall(SYS_memfd_create, "pagemap-scan", MFD_CLOEXEC | MFD_HUGETLB | HUGE_PAGE_SHIFT << 26);
	for (int index = 0; index < 3; index++) {
		char name[] = "/pagemap-scan-XXXXXX", path[64];
		struct statfs fs;

		snprintf(path, sizeof(path), "%s%s", directories[backing][index], name);
		if (statfs(directories[backing][index], &fs) || (fs.f_type == TMPFS_MAGIC) != (backing == TMPFS) ||
		    (backing == ON_DISK && (fs.f_type == RAMFS_MAGIC || fs.f_type == OVERLAYFS_MAGIC)))
			continue;
		fd = mkstemp(path);
		if (fd >= 0) {
			unlink(path);
			return fd;
		}
	}
	errno = ENOENT;
	return -1;
}

/* The file of a name, made on first use. */
static int file_of(const char *name, int backing)
{
	struct mapped_file *file = files;

	while (file->name && strcmp(file->name, name))
		file++;
	if (!file->name) {
		file->fd = must(new_file(backing), "a file to map");
		file->name = name;
	}
	return file->fd;
}

/* mmap(2) of a file, from one of its pages on. */
static void map_file(int64_t start, int64_t stop, int backing, int sharing, int prot, const char *file, int64_t page)
{
	off_t needed = (page + stop - start) * PAGE;
	int fd = file_of(file, backing);

	if (lseek(fd, 0, SEEK_END) < needed)
		must(ftruncate(fd, needed), "ftruncate");
	map_at(start, stop, prot, sharing, fd, page);
}

//@ unmap: base
static void unmap(int64_t start, int64_t stop)
{
	must(munmap(at(start), (stop - start) * PAGE), "munmap");
}

//@ move: base
static void move(int64_t start, int64_t stop, int64_t to)
{
	size_t length = (stop - start) * PAGE;
	void *moved = mremap(at(start), length, length, MREMAP_MAYMOVE | MREMAP_FIXED, at(to));

	must(moved == MAP_FAILED ? -1 : 0, "mremap");
}

//@ set_protection: base
static void set_protection(int64_t start, int64_t stop, int prot)
{
	must(mprotect(at(start), (stop - start) * PAGE, prot), "mprotect");
}

//@ entries: base
/* Entries of /proc/self/pagemap, by read(2). */
static uint64_t *entries(int64_t start, int64_t stop)
{
	static uint64_t found[1 << 16];

	must(pread(pagemap, found, (stop - start) * 8, (uintptr_t)at(start) / PAGE * 8), "read /proc/self/pagemap");
	return found;
}

//@ advise: entries
#include <time.h>

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
 * madvise(2). MADV_PAGEOUT is repeated until the pages are gone, MADV_MERGEABLE waited for until all are one. A kernel
 * that is built without huge pages has none to keep away: it doesn't know MADV_NOHUGEPAGE.
 */
static void advise(int64_t start, int64_t stop, int advice)
{
	time_t limit = time(NULL) + 30;
	int result;

	if (advice == MADV_PAGEOUT && !there_is_swap())
		end(CANNOT_ASK, "can't be asked here: there is no swap");
	do {
		result = madvise(at(start), (stop - start) * PAGE, advice);
		if (result && errno == EINVAL && advice == MADV_NOHUGEPAGE)
			return;
		must(result, "madvise");
		if (time(NULL) > limit)
			end(CANNOT_ASK, "can't be asked here: the kernel doesn't do what madvise(2) asks");
	} while ((advice == MADV_PAGEOUT && any_present(start, stop)) ||
		 (advice == MADV_MERGEABLE && !are_one(start, stop)));
}

//@ userfaultfd: base
#include <sys/syscall.h>

/* From linux/userfaultfd.h. */
struct uffdio_range {
	uint64_t start, len;
};
struct uffdio_api {
	uint64_t api, features, ioctls;
};
struct uffdio_register {
	struct uffdio_range range;
	uint64_t mode, ioctls;
};
struct uffdio_writeprotect {
	struct uffdio_range range;
	uint64_t mode;
};

enum tracking { SYNC, ASYNC, ACCESS, UNTRACKED };
static int userfaultfds[] = { -1, -1, -1 };

/*
 * A userfaultfd for write protection of all kinds of memory, with or without UFFD_FEATURE_WP_ASYNC; or, for
 * ACCESS, one for asynchronous read-write protection.
 */
static int userfaultfd(enum tracking tracking)
{
	struct uffdio_api api = { .api = UFFD_API };
	int *fd = &userfaultfds[tracking];

	if (*fd >= 0)
		return *fd;
	api.features = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED |
		       (tracking == ASYNC ? UFFD_FEATURE_WP_ASYNC : 0);
	if (tracking == ACCESS)
		api.features = UFFD_FEATURE_RWP | UFFD_FEATURE_RWP_ASYNC;
	*fd = must(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), "userfaultfd");
	must(ioctl(*fd, UFFDIO_API, &api), "UFFDIO_API with asynchronous protection");
	return *fd;
}

//@ track: userfaultfd
/* UFFDIO_REGISTER in mode WP, or RWP. */
static void track(int64_t start, int64_t stop, enum tracking tracking)
{
	struct uffdio_register range = {
		.range = { (uintptr_t)at(start), (stop - start) * PAGE },
		.mode = tracking == ACCESS ? UFFDIO_REGISTER_MODE_RWP : UFFDIO_REGISTER_MODE_WP,
	};

	must(ioctl(userfaultfd(tracking), UFFDIO_REGISTER, &range), "UFFDIO_REGISTER");
}

//@ untrack: userfaultfd
/* UFFDIO_UNREGISTER. */
static void untrack(int64_t start, int64_t stop)
{
	struct uffdio_range range = { (uintptr_t)at(start), (stop - start) * PAGE };

	must(ioctl(userfaultfd(ASYNC), UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER");
}

//@ close_userfaultfd: userfaultfd
static void close_userfaultfd(void)
{
	for (int index = 0; index < 3; index++) {
		if (userfaultfds[index] >= 0)
			close(userfaultfds[index]);
		userfaultfds[index] = -1;
	}
}

//@ write_protect: userfaultfd
/* UFFDIO_WRITEPROTECT, with or without its mode WP. */
static void write_protect(int64_t start, int64_t stop, int protect)
{
	struct uffdio_writeprotect range = {
		.range = { (uintptr_t)at(start), (stop - start) * PAGE },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	must(ioctl(userfaultfd(ASYNC), UFFDIO_WRITEPROTECT, &range), "UFFDIO_WRITEPROTECT");
}

//@ rw_protect: userfaultfd
/* UFFDIO_RWPROTECT in mode RWP. */
static void rw_protect(int64_t start, int64_t stop)
{
	struct uffdio_writeprotect range = {
		.range = { (uintptr_t)at(start), (stop - start) * PAGE },
		.mode = UFFDIO_RWPROTECT_MODE_RWP,
	};

	must(ioctl(userfaultfd(ACCESS), UFFDIO_RWPROTECT, &range), "UFFDIO_RWPROTECT");
}

//@ read_pages: base
/* Loads a byte of each page. */
static void read_pages(int64_t start, int64_t stop)
{
	for (int64_t page = start; page < stop; page++)
		(void)*(volatile char *)at(page);
}

//@ write_pages: base
/* Stores a byte in each page. */
static void write_pages(int64_t start, int64_t stop)
{
	for (int64_t page = start; page < stop; page++)
		*(volatile char *)at(page) = 1;
}

//@ kernel_writes: base
/* read(2) into each page: the kernel writes on behalf of the process. */
static void kernel_writes(int64_t start, int64_t stop)
{
	int zero = must(open("/dev/zero", O_RDONLY | O_CLOEXEC), "open /dev/zero");

	for (int64_t page = start; page < stop; page++)
		must(read(zero, at(page), 1), "read /dev/zero");
	close(zero);
}

//@ write_file: map_file
/* pwrite(2) to pages of a mapped file. */
static void write_file(const char *file, int64_t start, int64_t stop)
{
	for (int64_t page = start; page < stop; page++)
		must(pwrite(file_of(file, MEMFD), "w", 1, page * PAGE), "pwrite");
}

//@ punch_hole: map_file
/* fallocate(2) with FALLOC_FL_PUNCH_HOLE; the pages are the file's. */
static void punch_hole(const char *file, int64_t start, int64_t stop)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	must(fallocate(file_of(file, MEMFD), mode, start * PAGE, (stop - start) * PAGE), "fallocate");
}

//@ truncate_file: map_file
/* ftruncate(2) of a mapped file to a page, and to a later one again. */
static void truncate_file(const char *file, int64_t start, int64_t stop)
{
	must(ftruncate(file_of(file, MEMFD), start * PAGE), "ftruncate");
	must(ftruncate(file_of(file, MEMFD), stop * PAGE), "ftruncate");
}

//@ clear_refs: base
/* Writes 4 to /proc/self/clear_refs. From here on, what is expected names the pages that are soft-dirty. */
static void clear_refs(void)
{
	int fd = must(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC), "open /proc/self/clear_refs");

	if (!has_soft_dirty)
		end(CANNOT_ASK, "can't be asked here: the kernel is built without CONFIG_MEM_SOFT_DIRTY");
	must(write(fd, "4", 1), "write /proc/self/clear_refs");
	close(fd);
	all_soft_dirty = 0;
}

//@ fork_child: child_pagemap
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static pid_t child = -1;

/* fork(2): from now on there is a child to scan, which does nothing. */
static void fork_child(void)
{
	pid_t parent = getpid();
	char path[32];

	child = must(fork(), "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)child);
	child_pagemap = must(open(path, O_RDONLY | O_CLOEXEC), path);
}

//@ kill_child: fork_child
/* Ends the child and reaps it, while its pagemap stays open. */
static void kill_child(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}

//@ expect_entries: entries
struct run {
	int64_t pages;
	uint64_t bits;
};
#define RUNS(...) (struct run[]){ __VA_ARGS__, { 0, 0 } }
/* The bits that tell a page's state, and all but those that tell of frames. */
#define STATE (PM_PRESENT | PM_SWAPPED | PM_GUARD)
#define EVERY_BIT (STATE | PM_SOFT_DIRTY | PM_UFFD_WP | PM_FILE)

static void show_entry(const char *title, int64_t page, uint64_t entry)
{
	static const char *const names[] = { [55] = "SOFT_DIRTY", [57] = "UFFD_WP", [58] = "GUARD",
					     [61] = "FILE",	  [62] = "SWAPPED", [63] = "PRESENT" };

	say("# pagemap, page %" PRId64 ", %s: 1 x 0", page, title);
	for (int bit = 55; bit < 64; bit++)
		if (entry >> bit & 1)
			say("|%s", names[bit] ? names[bit] : "?");
	say("\n");
}

/* Compares what read(2) of pagemap says, reduced to some of its bits. */
static void expect_entries(int64_t start, int64_t stop, uint64_t bits, int otherwise, const struct run *runs)
{
	uint64_t *found = entries(start, stop);
	int64_t page = start;

	for (; runs->pages; runs++) {
		for (int64_t last = page + runs->pages; page < last; page++) {
			uint64_t soft_dirty = all_soft_dirty && page < stop ? PM_SOFT_DIRTY : 0;
			uint64_t expected = (runs->bits | soft_dirty) & bits, observed = found[page - start] & bits;

			if (observed == expected)
				continue;
			show_entry("expected", page, expected);
			show_entry("observed", page, observed);
			if (otherwise == CANNOT_ASK)
				end(CANNOT_ASK, "can't be asked here: the memory isn't what it should be");
			end(DIFFERS, "doesn't keep the clause");
		}
	}
}

//@ expect_huge: entries
static uint64_t frame(const char *place)
{
	uint64_t entry = 0;

	must(pread(pagemap, &entry, 8, (uintptr_t)place / PAGE * 8), "read /proc/self/pagemap");
	return entry & ((1ULL << 55) - 1);
}

/* smaps doesn't count the huge zero page: it is told by its frame, which every use of it shares. */
static uint64_t frame_of_huge_zero_page(void)
{
	char *place = mmap(NULL, 2 * HUGE_PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *aligned = (char *)(((uintptr_t)place + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE);
	uint64_t found;

	madvise(aligned, HUGE_PAGE, MADV_HUGEPAGE);
	(void)*(volatile char *)aligned;
	found = frame(aligned);
	munmap(place, 2 * HUGE_PAGE);
	return found;
}

/* Whether smaps counts so many pages of a range as mapped by huge pages, huge zero pages added. */
static void expect_huge(int64_t start, int64_t stop, long pages)
{
	static const char *const counts[] = { "AnonHugePages: %lu", "ShmemPmdMapped: %lu", "FilePmdMapped: %lu",
					      "Shared_Hugetlb: %lu", "Private_Hugetlb: %lu" };
	FILE *smaps = fopen("/proc/self/smaps", "r");
	int64_t unit = HUGE_PAGE / PAGE;
	unsigned long from = 0, first, last, count, found = 0;
	char line[512];

	while (smaps && fgets(line, sizeof(line), smaps)) {
		if (sscanf(line, "%lx-%lx ", &first, &last) == 2)
			from = first;
		for (int index = 0; from >= (uintptr_t)at(start) && from < (uintptr_t)at(stop) && index < 5; index++)
			found += sscanf(line, counts[index], &count) == 1 ? count * 1024 / PAGE : 0;
	}
	if (smaps)
		fclose(smaps);
	start = (start + unit - 1) / unit * unit;
	for (int64_t page = start; found != (unsigned long)pages && page < stop; page += unit)
		found += frame(at(page)) && frame(at(page)) == frame_of_huge_zero_page() ? unit : 0;
	if (found != (unsigned long)pages)
		end(CANNOT_ASK, "can't be asked here: %lu pages are mapped by huge pages, not %ld", found, pages);
}

//@ scan: child_pagemap base
struct region {
	int64_t start, stop;
	uint64_t categories;
	/* The same again, `times` in all, each `stride` pages behind the one before. */
	int64_t times, stride;
};
#define REGIONS(...) (struct region[]){ __VA_ARGS__, { 0, 0, 0, 0, 0 } }
#define R(start, stop, categories) { start, stop, categories, 1, 0 }
#define EVERY(start, stop, categories, times, stride) { start, stop, categories, times, stride }
#define MOST_REGIONS 4096
/* For vec_len: for all regions, for none, no vec at all; for returned: all categories that are known, none. */
#define ROOM 0
#define NO_ROOM UINT64_MAX
#define NO_VEC (UINT64_MAX - 1)
#define EVERY_CATEGORY 0
#define NO_CATEGORY UINT64_MAX
/* In place of a page to which walk_end points. */
#define NOT_WRITTEN -1
/* For the place of the argument: where it doesn't matter, and NULL. */
#define ON_THE_STACK 0
#define AT_NULL UINT64_MAX

/* A field of the argument that is given another value. */
struct field {
	size_t offset;
	uint64_t value;
};
#define PUT(field, value) { offsetof(struct pm_scan_arg, field), value }
#define FIELDS(...) (struct field[]){ __VA_ARGS__, { SIZE_MAX, 0 } }
/* The address of a byte of the arena. */
#define ADDRESS(page, offset) ((uintptr_t)at(page) + (offset))

struct scan {
	int64_t start, stop;
	uint64_t flags, mask, anyof, inverted, returned, max_pages, vec_len;
	int of_child;
	/* Instead of what these say: fields, another number of the ioctl, another place for the argument. */
	const struct field *put;
	unsigned long request;
	uint64_t place, vec;
	/* What the contract says: an errno, or the regions; where the walk ends, when not at stop. */
	int error, stops;
	int64_t walk_end;
	const struct region *regions;
};
#define SCAN(from, to, ...) scan((struct scan){ .start = from, .stop = to, __VA_ARGS__ })
#define STOPS_AT(page) .stops = 1, .walk_end = page

static const char *const category_names[] = { "WPALLOWED", "WRITTEN", "FILE", "PRESENT", "SWAPPED", "PFNZERO", "HUGE",
					      "SOFT_DIRTY", "GUARD", "ACCESSED" };

static const char *errno_name(int number)
{
	static const struct {
		int number;
		const char *name;
	} names[] = { { EINVAL, "EINVAL" }, { EFAULT, "EFAULT" }, { EPERM, "EPERM" }, { ENOMEM, "ENOMEM" },
		      { ESRCH, "ESRCH" },   { ENOTTY, "ENOTTY" }, { EINTR, "EINTR" } };

	for (size_t index = 0; index < sizeof(names) / sizeof(*names); index++)
		if (names[index].number == number)
			return names[index].name;
	return strerror(number);
}

static void show(const char *title, long result, uint64_t walk_end, const struct page_region *regions, size_t count)
{
	if (result < 0)
		say("# %s: returns -1, errno %s; walk_end ", title, errno_name(-result));
	else
		say("# %s: returns %ld region%s; walk_end ", title, result, result == 1 ? "" : "s");
	if (walk_end == UNTOUCHED)
		say("untouched\n");
	else
		say("page %g\n", (double)(int64_t)(walk_end - (uintptr_t)arena) / PAGE);
	for (size_t index = 0; index < count; index++) {
		say("#   pages %" PRId64 "-%" PRId64,
		    ((int64_t)regions[index].start - (int64_t)(uintptr_t)arena) / PAGE,
		    ((int64_t)regions[index].end - (int64_t)(uintptr_t)arena) / PAGE - 1);
		for (int bit = 0, more = 0; bit < 10; bit++)
			if (regions[index].categories >> bit & 1)
				say("%s%s", more++ ? "|" : " ", category_names[bit]);
		say("\n");
	}
}

/* The expected regions as the kernel would write them: neighbours that say the same are one. */
static size_t expected_regions(const struct scan *scan, uint64_t returned, struct page_region *found)
{
	size_t count = 0;

	for (const struct region *region = scan->regions; region && region->stop; region++) {
		for (int64_t turn = 0; turn < (region->times ? region->times : 1); turn++) {
			uint64_t soft_dirty = all_soft_dirty ? PAGE_IS_SOFT_DIRTY : 0;
			uint64_t categories = (region->categories | soft_dirty) & returned;
			uint64_t start = (uintptr_t)at(region->start + turn * region->stride);
			uint64_t stop = (uintptr_t)at(region->stop + turn * region->stride);

			if (count && found[count - 1].end == start && found[count - 1].categories == categories)
				found[count - 1].end = stop;
			else
				found[count++] = (struct page_region){ start, stop, categories };
		}
	}
	return count;
}

/* Puts the argument where the kernel shall look for it: memory that may only be read, or none at all. */
static void *store(uint64_t address, const struct pm_scan_arg *arg)
{
	void *place = (void *)(uintptr_t)address, *page = (void *)(uintptr_t)(address / PAGE * PAGE);

	if (mprotect(page, PAGE, PROT_READ | PROT_WRITE) == 0) {
		memcpy(place, arg, sizeof(*arg));
		mprotect(page, PAGE, PROT_READ);
	}
	return place;
}

/* PAGEMAP_SCAN, compared with what the contract says. */
static void scan(struct scan scan)
{
	static struct page_region vec[MOST_REGIONS + 1], expected[MOST_REGIONS];
	static size_t touched = MOST_REGIONS + 1;
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		.flags = scan.flags,
		.start = (uintptr_t)at(scan.start),
		.end = (uintptr_t)at(scan.stop),
		.walk_end = UNTOUCHED,
		.vec = scan.vec_len == NO_VEC ? 0 : (uintptr_t)vec,
		.vec_len = scan.vec_len >= NO_VEC ? 0 : scan.vec_len ? scan.vec_len : MOST_REGIONS,
		.max_pages = scan.max_pages,
		.category_inverted = scan.inverted,
		.category_mask = scan.mask,
		.category_anyof_mask = scan.anyof,
		.return_mask = scan.returned == NO_CATEGORY ? 0 : scan.returned ? scan.returned : known & MADE_FOR,
	};
	uint64_t masks, walk_end = (uintptr_t)at(scan.stops ? scan.walk_end : scan.stop);
	const struct page_region *regions = vec;
	void *place = &arg;
	size_t wanted, found;
	long result, due;

	if (scan.stops && scan.walk_end == NOT_WRITTEN)
		walk_end = UNTOUCHED;
	while (touched)
		vec[--touched].start = UNTOUCHED;
	for (const struct field *field = scan.put; field && field->offset != SIZE_MAX; field++)
		memcpy((char *)&arg + field->offset, &field->value, sizeof(field->value));
	masks = arg.category_inverted | arg.category_mask | arg.category_anyof_mask;
	if ((masks | arg.return_mask) & (known ^ MADE_FOR))
		end(CANNOT_ASK, "can't be asked here: the kernel knows other categories than this was made for");
	if (masks & PAGE_IS_SOFT_DIRTY && all_soft_dirty)
		end(CANNOT_ASK, "can't be asked here: this is for kernels without CONFIG_MEM_SOFT_DIRTY");
	wanted = expected_regions(&scan, arg.return_mask, expected);
	due = scan.error ? -scan.error : (long)wanted;
	if (scan.place == AT_NULL)
		place = NULL;
	else if (scan.place != ON_THE_STACK)
		place = store(scan.place, &arg);
	result = ioctl(scan.of_child ? child_pagemap : pagemap, scan.request ? scan.request : PAGEMAP_SCAN, place);
	result = result < 0 ? -errno : result;
	while (touched <= MOST_REGIONS && vec[touched].start != UNTOUCHED)
		touched++;
	if (scan.vec && result > 0)
		regions = (const struct page_region *)(uintptr_t)scan.vec;
	found = regions == vec ? touched : (size_t)result;
	if (result == due && arg.walk_end == walk_end && found == wanted &&
	    !memcmp(regions, expected, found * sizeof(*regions)))
		return;
	say("# scan of pages %" PRId64 " to %" PRId64 ": ", scan.start, scan.stop);
	say("the kernel differs from the contract\n");
	show("expected", due, walk_end, expected, wanted);
	show("observed", result, arg.walk_end, regions, found);
	end(DIFFERS, "doesn't keep the clause");
}

//@ resume: scan
#define PAGES(...) (int64_t[]){ __VA_ARGS__ }
#define RESUMED(from, to, ends, ...) resume((struct scan){ .start = from, .stop = to, __VA_ARGS__ }, ends)

/* Scans that go on where the one before stopped; regions of each lie before the place where it stops. */
static void resume(struct scan whole, const int64_t *walk_ends)
{
	const struct region *region = whole.regions;
	struct region told[MOST_REGIONS + 1];

	for (; whole.start < whole.stop; whole.start = *walk_ends++) {
		struct scan part = whole;
		size_t count = 0;

		while (region->stop && region->start < *walk_ends)
			told[count++] = *region++;
		told[count] = (struct region){ 0, 0, 0, 0, 0 };
		part.stops = 1;
		part.walk_end = *walk_ends;
		part.regions = told;
		scan(part);
	}
}

//@ accepts_category: map write_pages
/* A bit in a mask, whose place in the argument is given, is refused exactly when the kernel doesn't know it. */
static void accepts_category(size_t mask, int bit)
{
	struct pm_scan_arg arg = { .size = sizeof(arg) };
	uint64_t category = 1ULL << bit;
	long result;

	map(0, 1, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	write_pages(0, 1);
	arg.start = (uintptr_t)at(0);
	arg.end = (uintptr_t)at(1);
	memcpy((char *)&arg + mask, &category, sizeof(category));
	result = ioctl(pagemap, PAGEMAP_SCAN, &arg) < 0 ? -errno : 0;
	if (result != (known & category ? 0 : -EINVAL))
		end(DIFFERS, "bit %d of the mask at %zu: the result is %ld", bit, mask, result);
}

//@ limits: scan write_protect write_pages
#define MOST_PAGES 2048

/* What the contract says of written pages (a byte each) under both limits; returns where the walk ends. */
static int64_t limited(const uint8_t *written, int64_t start, int64_t stop, uint64_t max_pages, uint64_t vec_len,
		       struct region *found)
{
	uint64_t pages = 0, count = 0;

	for (int64_t page = start; page < stop; page++) {
		int continues = count && found[count - 1].stop == page;

		if (!written[page])
			continue;
		if ((max_pages && pages == max_pages) || (!continues && count == vec_len)) {
			found[count] = (struct region){ 0, 0, 0, 0, 0 };
			return page;
		}
		pages++;
		if (continues)
			found[count - 1].stop++;
		else
			found[count++] = (struct region)R(page, page + 1, PAGE_IS_WRITTEN);
	}
	found[count] = (struct region){ 0, 0, 0, 0, 0 };
	return stop;
}

/* Scans, and comes back to where the walk ended, until the end. What the first protects, and no more, isn't written. */
static void scan_and_resume(uint8_t *written, int64_t pages, uint64_t flags, uint64_t max_pages, uint64_t vec_len)
{
	static struct region expected[MOST_PAGES + 1];
	int64_t start = 0;

	while (start < pages) {
		int64_t walk_end = limited(written, start, pages, max_pages, vec_len, expected);

		SCAN(start, pages, .flags = flags, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN,
		     .max_pages = max_pages, .vec_len = vec_len, STOPS_AT(walk_end), .regions = expected);
		if (flags)
			memset(written + start, 0, walk_end - start);
		if (flags && start == 0) {
			limited(written, 0, pages, 0, MOST_PAGES, expected);
			SCAN(0, pages, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN, .regions = expected);
		}
		start = walk_end;
	}
}

/* Exactly the pages of a pattern are written. */
static void lay(const uint8_t *written, int64_t pages)
{
	write_protect(0, pages, 1);
	for (int64_t page = 0; page < pages; page++)
		if (written[page])
			write_pages(page, page + 1);
}

//@ small_scope: limits map track
/* Every 16th pattern of 8 pages, with every max_pages from 0 to 9 and every vec_len from 1 to 9. */
static void small_scope(int block, uint64_t flags)
{
	uint8_t written[8];

	map(0, 8, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, 8, ASYNC);
	for (int turn = block * 90; turn < 256 * 90; turn += turn % 90 == 89 ? 1 + 15 * 90 : 1) {
		uint64_t max_pages = turn % 90 / 9, vec_len = turn % 9 + 1;

		for (int page = 0; page < 8; page++)
			written[page] = turn / 90 >> page & 1;
		if (flags || turn % 90 == 0)
			lay(written, 8);
		scan_and_resume(written, 8, flags, max_pages, vec_len);
	}
}

//@ each_subset: limits map track
/* Protects from a page on, with each subset of four pages written that has no more than are there. */
static void each_subset(int first)
{
	struct region expected[5];
	uint8_t written[4];

	map(0, 4, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, 4, ASYNC);
	for (int pattern = 1; pattern < 16; pattern++) {
		if (__builtin_popcount(pattern) > 4 - first)
			continue;
		for (int page = 0; page < 4; page++)
			written[page] = pattern >> page & 1;
		lay(written, 4);
		limited(written, first, 4, 0, 4, expected);
		SCAN(first, 4, .flags = PM_SCAN_WP_MATCHING, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN,
		     .regions = expected);
		limited(written, 0, first, 0, 4, expected);
		SCAN(0, 4, .mask = PAGE_IS_WRITTEN, .returned = PAGE_IS_WRITTEN, .regions = expected);
	}
}

//@ random_pattern: limits map track
/* A linear congruential generator: the pattern of a seed is the same everywhere. */
static uint32_t dice(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

static void random_pattern(int64_t pages, int seed)
{
	static const int vec_lens[] = { 1, 3, 64, 511, 512, 513, 4000 }, most[] = { 0, 7, 600 };
	uint64_t state = seed * 10000 + pages;
	uint8_t written[MOST_PAGES];

	map(0, pages, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, pages, ASYNC);
	for (int64_t page = 0; page < pages; page++)
		written[page] = dice(&state) % 4 < (seed % 2 ? 1 : 2);
	lay(written, pages);
	for (int index = 0; index < 7; index++)
		scan_and_resume(written, pages, 0, most[dice(&state) % 3], vec_lens[index]);
	scan_and_resume(written, pages, PM_SCAN_WP_MATCHING, 0, 100);
	SCAN(0, pages, .mask = PAGE_IS_WRITTEN);
}

//@ held: child_pagemap map_file userfaultfd kill_child
/* Gives back all that a test holds. */
static void clean_up(void)
{
	munmap(arena, (size_t)1 << 27); /* After that, nothing is registered with the userfaultfds any more. */
	for (struct mapped_file *file = files; file->name; file++) {
		close(file->fd);
		file->name = NULL;
	}
	if (child > 0)
		kill_child();
	if (child_pagemap >= 0)
		close(child_pagemap);
	child = child_pagemap = -1;
}

/* What is held now, above what clean_up unmaps, stays for later tests. */
static void set_aside(void)
{
	userfaultfds[SYNC] = userfaultfds[ASYNC] = -1;
	memset(files, 0, sizeof(files));
}

//@ masks: scan advise held map unmap track write_pages
#include <time.h>

static int there_are_guards(void)
{
	char *place = mmap(NULL, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	int result = madvise(place, PAGE, MADV_GUARD_INSTALL);

	munmap(place, PAGE);
	return result == 0;
}

static int mask_selects(uint64_t categories, const struct pm_scan_arg *arg)
{
	categories ^= arg->category_inverted;
	return (categories & arg->category_mask) == arg->category_mask &&
	       (!arg->category_anyof_mask || categories & arg->category_anyof_mask);
}

/* What the contract says of memory whose categories are known. */
static long mask_oracle(const struct page_region *memory, size_t runs, const struct pm_scan_arg *arg,
			struct page_region *expected)
{
	struct page_region *last;
	long count = 0;

	for (size_t run = 0; run < runs; run++) {
		uint64_t categories = memory[run].categories & arg->return_mask;

		if (!mask_selects(memory[run].categories, arg))
			continue;
		last = count ? &expected[count - 1] : NULL;
		if (last && last->end == memory[run].start && last->categories == categories)
			last->end = memory[run].end;
		else
			expected[count++] = (struct page_region){ memory[run].start, memory[run].end, categories };
	}
	return count;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec + now.tv_nsec / 1e9;
}

/* Categories as this kernel says them: WRITTEN of registered memory only, where it knows ACCESSED. */
static uint64_t categories_here(uint64_t categories)
{
	if (known & PAGE_IS_ACCESSED && !(categories & PAGE_IS_WPALLOWED))
		categories &= ~PAGE_IS_WRITTEN;
	return (categories | (has_soft_dirty ? PAGE_IS_SOFT_DIRTY : 0)) & known & MADE_FOR;
}

/* How long a test may take over the masks, which decides how many are proven; 0: as long as all of them take. */
static double mask_seconds = 0.001;

/* Memory that holds every set of categories side by side: its runs, in addresses. It is made once. */
static struct page_region mosaic[64];
static size_t mosaic_runs;

static void make_mosaic(int swap, int guards, int empties);

static void set_mosaic(const struct region *told)
{
	for (mosaic_runs = 0; told[mosaic_runs].stop; mosaic_runs++)
		mosaic[mosaic_runs] = (struct page_region){ (uintptr_t)at(told[mosaic_runs].start),
							    (uintptr_t)at(told[mosaic_runs].stop),
							    categories_here(told[mosaic_runs].categories) };
	set_aside();
}

/* Whether an empty entry beside one that isn't is WRITTEN. It should be; tests that aren't about it do without. */
static int empties_are_written(void)
{
	struct page_region vec[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	/* Not for WRITTEN alone: that takes a shortcut, which says so in any case. */
	struct pm_scan_arg arg = { .size = sizeof(arg), .start = (uintptr_t)at(0), .end = (uintptr_t)at(2),
				   .vec = (uintptr_t)vec, .vec_len = 2,
				   .return_mask = PAGE_IS_WRITTEN | PAGE_IS_PRESENT };

	map(0, 2, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	track(0, 2, ASYNC);
	write_pages(0, 1);
	must(ioctl(pagemap, PAGEMAP_SCAN, &arg), "PAGEMAP_SCAN");
	unmap(0, 2);
	return vec[1].categories == PAGE_IS_WRITTEN;
}

static void need_mosaic(void)
{
	if (!mosaic_runs)
		make_mosaic(there_is_swap(), there_are_guards(), empties_are_written());
}

/*
 * Combinations of the three masks over bits 0 to 7, from one on: all, or an evenly spread part that fits. The
 * distance is odd, so that no bit keeps its value.
 */
static void every_mask(uint64_t first, uint64_t count, uint64_t returned)
{
	static double seconds_each;
	struct page_region vec[65], expected[64];
	struct pm_scan_arg arg = { .size = sizeof(arg), .vec = (uintptr_t)vec, .vec_len = 64 };
	uint64_t stride = 1, proven = 0;
	double begun = seconds();

	need_mosaic();
	arg.start = mosaic[0].start;
	arg.end = mosaic[mosaic_runs - 1].end;
	arg.return_mask = returned == EVERY_CATEGORY ? known & MADE_FOR : returned;
	if (mask_seconds > 0 && seconds_each > 0)
		stride = (uint64_t)(count * seconds_each / mask_seconds) | 1;
	for (uint64_t combination = first; combination < first + count; combination += stride, proven++) {
		long wanted, result;

		if (mask_seconds > 0 && seconds_each == 0 && proven == 100) {
			seconds_each = (seconds() - begun) / proven;
			stride = (uint64_t)(count * seconds_each / mask_seconds) | 1;
		}
		arg.category_inverted = combination & 0xff;
		arg.category_mask = combination >> 8 & 0xff;
		arg.category_anyof_mask = combination >> 16 & 0xff;
		wanted = mask_oracle(mosaic, mosaic_runs, &arg, expected);
		vec[wanted].start = UNTOUCHED;
		arg.walk_end = UNTOUCHED;
		result = ioctl(pagemap, PAGEMAP_SCAN, &arg);
		if (result == wanted && arg.walk_end == arg.end && vec[wanted].start == UNTOUCHED &&
		    !memcmp(vec, expected, wanted * sizeof(*vec)))
			continue;
		say("# category_inverted %#x, category_mask %#x, category_anyof_mask %#x: the kernel differs\n",
		    (int)arg.category_inverted, (int)arg.category_mask, (int)arg.category_anyof_mask);
		show("expected", wanted, arg.end, expected, wanted);
		show("observed", result, arg.walk_end, vec, result > 0 ? result : 0);
		end(DIFFERS, "doesn't keep the clause");
	}
	say("# %" PRIu64 " mask combinations proven\n", proven);
}

//@ machine: base
#include <signal.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

/* The machine's settings: each change is noted, and undone when the program ends, whatever ends it but SIGKILL. */
struct change {
	char path[128], value[64];
};
static struct change changes[8];
static int changed;
static char swap_area[64];
static pid_t owner, tester = -1;

static int read_setting(const char *path, char *value, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, value, size - 1);

	if (fd >= 0)
		close(fd);
	value[length < 0 ? 0 : length] = 0;
	return length < 0 ? -1 : 0;
}

static int write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : write(fd, value, strlen(value));

	if (fd >= 0)
		close(fd);
	return length < 0 ? -1 : 0;
}

static int change_setting(const char *path, const char *value, const char *now)
{
	if (write_setting(path, value))
		return -1;
	snprintf(changes[changed].path, sizeof(changes[changed].path), "%s", path);
	snprintf(changes[changed++].value, sizeof(changes[0].value), "%s", now);
	return 0;
}

static void put_back(void)
{
	if (getpid() != owner)
		return;
	if (tester > 0) { /* It may hold what is taken back. */
		kill(tester, SIGKILL);
		waitpid(tester, NULL, 0);
	}
	if (*swap_area)
		swapoff(swap_area);
	while (changed) {
		changed--;
		write_setting(changes[changed].path, changes[changed].value);
	}
}

static void put_back_and_die(int number)
{
	put_back();
	signal(number, SIG_DFL);
	raise(number);
}

static void allow_huge_pages(void)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	static const char zero[] = "/sys/kernel/mm/transparent_hugepage/use_zero_page";
	char value[64];

	if (!read_setting(path, value, sizeof(value)) && strstr(value, "[never]"))
		change_setting(path, "madvise", "never");
	if (!read_setting(zero, value, sizeof(value)) && *value == '0')
		change_setting(zero, "1", "0");
}

static void fill_hugetlb_pool(void)
{
	char path[128], now[64], more[32];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages", HUGE_PAGE / 1024);
	if (read_setting(path, now, sizeof(now)))
		return;
	snprintf(more, sizeof(more), "%d", atoi(now) + 10);
	change_setting(path, more, now);
}

/* A compressed block device as swap, where there is none. */
static void provide_swap(void)
{
	char value[64], path[128], header[PAGE];
	uint32_t fields[] = { 1, (64 << 20) / PAGE - 1 };
	int fd;

	if (read_setting("/proc/swaps", value, sizeof(value)) || strchr(value, '/') ||
	    read_setting("/sys/class/zram-control/hot_add", value, sizeof(value)))
		return;
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", atoi(value));
	write_setting(path, "67108864");
	snprintf(changes[changed].path, sizeof(path), "/sys/class/zram-control/hot_remove");
	snprintf(changes[changed++].value, sizeof(value), "%d", atoi(value));
	snprintf(path, sizeof(path), "/sys/block/zram%d/reset", atoi(value));
	snprintf(changes[changed].path, sizeof(path), "%s", path);
	snprintf(changes[changed++].value, sizeof(value), "1");
	snprintf(path, sizeof(path), "/dev/zram%d", atoi(value));
	memset(header, 0, sizeof(header));
	memcpy(header + 1024, fields, sizeof(fields));
	memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && pwrite(fd, header, PAGE, 0) == PAGE && fsync(fd) == 0 && swapon(path, 0) == 0)
		snprintf(swap_area, sizeof(swap_area), "%.60s", path);
	if (fd >= 0)
		close(fd);
}

/* As the first process of a machine, in an initramfs: what an init does. */
static void be_init(void)
{
	static const char *const mounts[][2] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" }, { "tmpfs", "/dev/shm" },
	};

	for (int index = 0; index < 4; index++) {
		mkdir(mounts[index][1], 0755);
		mount(mounts[index][0], mounts[index][1], mounts[index][0], 0, NULL);
	}
	if (open("/dev/console", O_RDWR) == 0) {
		dup2(0, 1);
		dup2(0, 2);
	}
}

static void set_machine_up(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	owner = getpid();
	atexit(put_back);
	for (int index = 0; index < 4; index++)
		signal(numbers[index], put_back_and_die);
	allow_huge_pages();
	fill_hugetlb_pool();
	provide_swap();
}

//@ prepare: advise map_file read_pages write_pages set_protection track expect_entries expect_huge
struct kind {
	const char *name;
	int64_t pages;
	int backing, sharing;
	/* What is done once it is mapped: advice (MADV_*), or one of these. */
	int steps[4];
	/* What it is then: its categories but for those of tracking, its state by pagemap, pages in huge ones or -1. */
	uint64_t categories, state;
	long huge;
};
enum { READ = -1, WRITE = -2, PROTECT_NONE = -3 };

/* The kind of memory that a test is about. */
static const struct kind *kind;
#define END (kind->pages)
#define KIND (kind->categories)

@KINDS@
/* The first of a set of kinds. */
static const struct kind *kind_of(uint32_t set)
{
	return set ? &kinds[__builtin_ctz(set)] : NULL;
}

/* The kinds of which memory was verified; where all goes well, once for each is enough. */
static uint32_t verified;

static void verify(int64_t start, int64_t stop)
{
	expect_entries(start, stop, STATE, CANNOT_ASK, RUNS({ kind->pages, kind->state }));
	if (kind->huge >= 0)
		expect_huge(start, stop, kind->huge);
	verified |= 1U << (kind - kinds);
}

/* Memory of the kind, verified by other witnesses than the scan to be what it should be, then registered. */
static void prepare(int64_t start, const char *file, enum tracking tracking)
{
	int64_t stop = start + kind->pages;

	if (kind->backing == ANONYMOUS || kind->backing == HUGETLB)
		map(start, stop, kind->backing, kind->sharing, PROT_READ | PROT_WRITE);
	else
		map_file(start, stop, kind->backing, kind->sharing, PROT_READ | PROT_WRITE, file, 0);
	for (const int *step = kind->steps; *step; step++) {
		if (*step == READ)
			read_pages(start, stop);
		else if (*step == WRITE)
			write_pages(start, stop);
		else if (*step == PROTECT_NONE)
			set_protection(start, stop, PROT_NONE);
		else
			advise(start, stop, *step);
	}
	if (verified & 1U << (kind - kinds))
		expect_entries(start, start + 1, STATE, CANNOT_ASK, RUNS({ 1, kind->state }));
	else
		verify(start, stop);
	if (tracking != UNTRACKED)
		track(start, stop, tracking);
}

//@ suite: machine masks prepare held
#include <regex.h>
#include <setjmp.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

/* A known defect. It is there when its probe, on memory of a kind, differs from the contract. */
struct issue {
	const char *name;
	void (*probe)(void);
	uint32_t kind;
	/* What a test says that fails for it: a regular expression. */
	const char *match;
	enum { NOT_ASKED, ABSENT, THERE } answer;
};

/* Tests that differ in nothing but the kind of memory, a bit for each. */
struct row {
	uint32_t kinds;
	/* An asterisk stands for the kind's name, a number sign for the turn of a loop. */
	const char *name;
	struct issue *issue;
	/* Not where WRITTEN is said of registered memory only, as kernels do that know PAGE_IS_ACCESSED. */
	int old_written;
};

struct group {
	const char *name;
	/* All rows; or the one row, and what is called for it. */
	void (*rows)(void), (*test)(void);
	struct row row;
};

enum { PASS, FAIL, XFAIL, SKIP };
static int totals[4];
static const char *chosen = "";
static const struct group *group;
static enum { LIST, COUNT, RUN } pass;
static size_t number;

static struct row row;
static int turn, has_begun, is_running, is_second, has_defect, status;
static char name[256];
static sigjmp_buf way_out;

static void leave(int outcome)
{
	status = outcome;
	siglongjmp(way_out, 1);
}

static void die_of(int signal_number)
{
	end(DIFFERS, "ended by signal %d", signal_number);
}

/* Whether the kernel shows a defect, asked once. */
static int shows(struct issue *issue)
{
	if (issue->answer == NOT_ASKED) {
		const struct kind *before = kind;

		kind = kind_of(issue->kind);
		status = KEEPS;
		all_soft_dirty = has_soft_dirty;
		if (!sigsetjmp(way_out, 0))
			issue->probe();
		clean_up();
		issue->answer = status == DIFFERS ? THERE : ABSENT;
		kind = before;
		said_length = 0;
	}
	return issue->answer == THERE;
}

static int says(const char *expression)
{
	regex_t match;
	int found;

	if (regcomp(&match, expression, REG_EXTENDED | REG_NOSUB))
		return 0;
	found = regexec(&match, said, 0, NULL, 0) == 0;
	regfree(&match);
	return found;
}

static int outcome(void)
{
	if (status == CANNOT_ASK)
		return SKIP;
	if (is_second)
		return FAIL;
	if (has_defect && status == KEEPS)
		say("# the known issue %s says that this fails, and its probe agrees\n", row.issue->name);
	if (has_defect && status == DIFFERS && says(row.issue->match))
		return XFAIL;
	return status == KEEPS && !has_defect ? PASS : FAIL;
}

static void begin_test(void)
{
	is_running = 1;
	is_second = 0;
	said_length = *said = 0;
	has_defect = row.issue && shows(row.issue);
	status = KEEPS;
	all_soft_dirty = has_soft_dirty;
	alarm(300);
}

static void finish_test(void)
{
	static const char *const directives[] = { "", "", " # XFAIL ", " # SKIP" };
	int found = outcome();

	is_running = 0;
	clean_up();
	totals[found]++;
	for (char *line = strtok(said, "\n"); line; line = strtok(NULL, "\n"))
		printf("  %s\n", line);
	printf("  %s %zu %s%s%s\n", found == FAIL ? "not ok" : "ok", number, name, directives[found],
	       found == XFAIL ? row.issue->name : "");
}

/* Whether to run a test again: its memory may not have been what it should be, unless all of it is verified. */
static int fails_for_the_first_time(void)
{
	if (status != DIFFERS || has_defect || is_second || !kind)
		return 0;
	is_second = 1;
	status = KEEPS;
	verified = 0;
	return 1;
}

/* The name that pytest has for the test. */
static void tell_name(void)
{
	size_t length = snprintf(name, sizeof(name), "%s%s", group->name, *row.name ? "[" : "");

	for (const char *letter = row.name; *letter; letter++) {
		char *rest = name + length;

		if (*letter == '*')
			length += snprintf(rest, sizeof(name) - length, "%s", kind->name);
		else if (*letter == '#')
			length += snprintf(rest, sizeof(name) - length, "%d", turn);
		else
			length += snprintf(rest, sizeof(name) - length, "%c", *letter);
	}
	if (*row.name)
		snprintf(name + length, sizeof(name) - length, "]");
}

static void begin_row(struct row tests)
{
	row = tests;
	has_begun = 0;
}

/* Goes on to the next test of a row; whether there is one to run. */
static int next_test(void)
{
	if (is_running && fails_for_the_first_time()) {
		clean_up();
		return 1;
	}
	if (is_running)
		finish_test();
	while (row.kinds || !has_begun) {
		has_begun = 1;
		kind = kind_of(row.kinds);
		row.kinds &= row.kinds - 1;
		tell_name();
		if (!strstr(name, chosen))
			continue;
		number++;
		if (pass == LIST)
			printf("%s\n", name);
		if (pass != RUN)
			continue;
		begin_test();
		if (!row.old_written || !(known & PAGE_IS_ACCESSED))
			return 1;
		status = CANNOT_ASK;
		finish_test();
	}
	return 0;
}

/* A row: kinds, name, what is called for each, and what else there is to say of it. */
#define TEST(kinds, name, call, ...) RUN_EACH(((struct row)ROW(kinds, name, __VA_ARGS__)), call)
#define RUN_EACH(row, call)                         \
	for (begin_row(row); next_test();)          \
		if (!sigsetjmp(way_out, 0))         \
			call
#define ROW(on, called, ...) { .kinds = on, .name = called, __VA_ARGS__ }
#define KNOWN(defect) .issue = &defect
#define OLD_WRITTEN .old_written = 1
#define NO_KIND 0
/* A group: one row without arguments, or the function that tells its rows. */
#define ONE(group, called, ...) { .name = #group, .test = called, .row = ROW(__VA_ARGS__) }
#define ROWS(group) { .name = #group, .rows = group }

static size_t run_rows(int how)
{
	pass = how;
	number = 0;
	if (group->rows)
		group->rows();
	else
		RUN_EACH(group->row, group->test());
	return number;
}

static void run_group(size_t place)
{
	int failed = totals[FAIL], answered = totals[PASS] + totals[FAIL] + totals[XFAIL];

	printf("  KTAP version 1\n  # Subtest: %s\n  1..%zu\n", group->name, run_rows(COUNT));
	run_rows(RUN);
	printf("%s %zu %s%s\n", totals[FAIL] > failed ? "not ok" : "ok", place, group->name,
	       totals[PASS] + totals[FAIL] + totals[XFAIL] == answered ? " # SKIP" : "");
	fflush(stdout);
}

static int run_all(const struct group *groups)
{
	static const int deadly[] = { SIGSEGV, SIGBUS, SIGALRM };
	size_t planned = 0, place = 0;

	for (int index = 0; index < 3; index++)
		sigaction(deadly[index], &(struct sigaction){ .sa_handler = die_of, .sa_flags = SA_NODEFER }, NULL);
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
static int run_in_a_child(const struct group *groups)
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
		_exit(run_all(groups));
	}
	if (tester < 0 || waitpid(tester, &ended, 0) < 0)
		return CANNOT_ASK;
	tester = -1;
	if (WIFEXITED(ended))
		return WEXITSTATUS(ended);
	printf("\nBail out! ended by signal %d\n", WTERMSIG(ended));
	return DIFFERS;
}

static int suite(int argc, char **argv, const struct group *groups)
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
	result = run_in_a_child(groups);
	put_back();
	fflush(stdout);
	if (is_init)
		reboot(RB_POWER_OFF);
	return result;
}
