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
