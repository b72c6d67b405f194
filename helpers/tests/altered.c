/*
 * Preloaded, alters what the kernel does for the program under it, as the variable ALTER says: a kernel with one thing
 * broken. Most are stubs of helpers/stubs.py, and alter PAGEMAP_SCAN; others lie of what a program finds out before it
 * asks. Structures are those of linux/fs.h, by index.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WRITTEN (1ULL << 1)
#define SOFT_DIRTY (1ULL << 7)
#define ACCESSED (1ULL << 9)
/* All categories that have a name. */
#define NAMED 0x3ffULL
#define PM_SOFT_DIRTY (1ULL << 55)
#define PM_PRESENT (1ULL << 63)

enum { SIZE, FLAGS, START, END, WALK_END, VEC, VEC_LEN, MAX_PAGES, INVERTED, MASK, ANYOF, RETURNED };

static int is(const char *name)
{
	const char *wanted = getenv("ALTER");

	return wanted && !strcmp(wanted, name);
}

static int lies(const char *name)
{
	return is(name);
}

static int is_pagemap(int fd)
{
	char link[32], path[64];
	ssize_t length;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	length = readlink(link, path, sizeof(path) - 1);
	path[length < 0 ? 0 : length] = 0;
	return length > 8 && !strcmp(path + length - 8, "/pagemap");
}

static uint64_t named(const uint64_t *arg)
{
	return arg[INVERTED] | arg[MASK] | arg[ANYOF] | arg[RETURNED];
}

static void forget(uint64_t *arg, uint64_t categories)
{
	for (int mask = INVERTED; mask <= RETURNED; mask++)
		arg[mask] &= ~categories;
}

static void before(uint64_t *arg)
{
	if (lies("accepts-every-category"))
		forget(arg, ~NAMED);
	if (lies("accepts-accessed"))
		forget(arg, ACCESSED);
	if (is("ignores-max-pages"))
		arg[MAX_PAGES] = 0;
	if (is("max-pages-is-one-too-many"))
		arg[MAX_PAGES] += arg[MAX_PAGES] > 0;
	if (is("ignores-return-mask"))
		arg[RETURNED] = 0xff;
	if (is("ignores-inverted"))
		arg[INVERTED] = 0;
	if (is("ignores-check-wpasync"))
		arg[FLAGS] &= ~2ULL;
	if (is("does-not-protect"))
		arg[FLAGS] &= ~1ULL;
	if (is("accepts-any-size"))
		arg[SIZE] = 96;
	if (is("accepts-unknown-flags"))
		arg[FLAGS] &= 3;
}

static int after(uint64_t *arg, uint64_t *vec, int result)
{
	int last = 3 * (result - 1);

	if (lies("says-soft-dirty") && arg[RETURNED] & SOFT_DIRTY)
		for (int entry = 0; entry < result; entry++)
			vec[3 * entry + 2] |= SOFT_DIRTY;
	if (is("walk-end-is-always-end"))
		arg[WALK_END] = arg[END];
	if (is("walk-end-is-one-too-far") && arg[WALK_END] < arg[END])
		arg[WALK_END] += 4096;
	if (is("counts-wrongly") && (uint64_t)result == arg[VEC_LEN])
		return result + 1;
	if (is("loses-last-region") && result > 1) {
		vec[last] = 0x5e5e5e5e5e5e5e5eULL;
		return result - 1;
	}
	if (is("regions-overlap") && result > 1)
		vec[1] += 4096;
	if (is("does-not-merge") && result == 1 && arg[VEC_LEN] > 1 && vec[1] - vec[0] > 4096) {
		vec[3] = vec[0] + 4096;
		vec[4] = vec[1];
		vec[5] = vec[2];
		vec[1] = vec[3];
		return 2;
	}
	if (is("reports-inverted"))
		for (int entry = 0; entry < result; entry++)
			vec[3 * entry + 2] ^= arg[INVERTED] & arg[RETURNED];
	return result;
}

/* Whether a request is refused by an altered kernel, be it PAGEMAP_SCAN or one of userfaultfd. */
static int is_refused(unsigned long request, const uint64_t *arg)
{
	switch (request & 0xffff) {
	case 'f' << 8 | 16:
		return lies("refuses-written") && named(arg) & WRITTEN;
	case 0xaa << 8 | 0x00:
		return lies("refuses-to-register");
	case 0xaa << 8 | 0x06:
		return lies("refuses-to-protect");
	}
	return 0;
}

int ioctl(int fd, unsigned long request, ...)
{
	static int (*kernel)(int, unsigned long, ...);
	uint64_t kept[12], *arg;
	va_list rest;
	int result;

	va_start(rest, request);
	arg = va_arg(rest, uint64_t *);
	va_end(rest);
	if (!kernel)
		kernel = (int (*)(int, unsigned long, ...))dlsym(RTLD_NEXT, "ioctl");
	/* An argument that isn't on the stack may be anywhere, and is the kernel's to refuse. */
	if ((uintptr_t)arg - (uintptr_t)kept > 1 << 20)
		return kernel(fd, request, arg);
	if (is_refused(request, arg)) {
		errno = EINVAL;
		return -1;
	}
	if ((request & 0xffff) != (('f' << 8) | 16))
		return kernel(fd, request, arg);
	memcpy(kept, arg, sizeof(kept));
	before(arg);
	result = kernel(fd, request, arg);
	kept[WALK_END] = arg[WALK_END];
	memcpy(arg, kept, sizeof(kept));
	if (result >= 0)
		return after(arg, (uint64_t *)(uintptr_t)arg[VEC], result);
	if (errno == EPERM && is("eperm-is-einval"))
		errno = EINVAL;
	else if (errno == EINVAL && is("einval-is-efault"))
		errno = EFAULT;
	else if (errno == EFAULT && is("efault-is-einval"))
		errno = EINVAL;
	return result;
}

ssize_t pread(int fd, void *buffer, size_t size, off_t offset)
{
	static ssize_t (*kernel)(int, void *, size_t, off_t);
	uint64_t *entries = buffer;
	ssize_t length;

	if (!kernel)
		kernel = (ssize_t (*)(int, void *, size_t, off_t))dlsym(RTLD_NEXT, "pread");
	length = kernel(fd, buffer, size, offset);
	if (!is_pagemap(fd))
		return length;
	for (ssize_t entry = 0; entry < length / 8; entry++) {
		if (lies("reads-nothing-present"))
			entries[entry] &= ~PM_PRESENT;
		if (lies("reads-soft-dirty"))
			entries[entry] |= PM_SOFT_DIRTY;
	}
	return length;
}
