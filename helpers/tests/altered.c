/*
 * Preloaded, alters what PAGEMAP_SCAN does for the program under it, as the variable ALTER says: a kernel with one
 * thing broken. Structures are those of linux/fs.h, by index.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { SIZE, FLAGS, START, END, WALK_END, VEC, VEC_LEN, MAX_PAGES, INVERTED, MASK, ANYOF, RETURNED };

static int is(const char *name)
{
	const char *wanted = getenv("ALTER");

	return wanted && !strcmp(wanted, name);
}

static void before(uint64_t *arg)
{
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
	if ((request & 0xffff) != (('f' << 8) | 16) || (uintptr_t)arg - (uintptr_t)kept > 1 << 20)
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
