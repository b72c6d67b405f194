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

enum tracking { SYNC, ASYNC, EXPLICIT, FOLLOWING, ACCESS, UNTRACKED };
static int userfaultfds[] = { -1, -1, -1, -1, -1 };
static const uint64_t features[] = {
	[SYNC] = UFFD_FEATURE_PAGEFAULT_FLAG_WP | UFFD_FEATURE_WP_HUGETLBFS_SHMEM | UFFD_FEATURE_WP_UNPOPULATED,
	[ASYNC] = UFFD_FEATURE_WP_ASYNC, /* It implies UFFD_FEATURE_WP_UNPOPULATED. */
	[EXPLICIT] = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_WP_UNPOPULATED,
	[FOLLOWING] = UFFD_FEATURE_WP_ASYNC | UFFD_FEATURE_EVENT_FORK,
	[ACCESS] = UFFD_FEATURE_RWP | UFFD_FEATURE_RWP_ASYNC,
};
/* With which something was registered last. */
static enum tracking in_use = ASYNC;

/* A userfaultfd that was asked for certain features. */
static int userfaultfd(enum tracking tracking)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features[tracking] };
	int fd = userfaultfds[tracking];

	if (fd >= 0)
		return fd;
	fd = must(syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY), "userfaultfd");
	if (ioctl(fd, UFFDIO_API, &api) == 0)
		return userfaultfds[tracking] = fd;
	close(fd);
	end(CANNOT_ASK, "can't be asked here: the kernel has no userfaultfd with asynchronous protection");
}

//@ ask_to_track: userfaultfd
/* UFFDIO_REGISTER in mode WP, or RWP, and in others besides. */
static int ask_to_track(int64_t start, int64_t stop, enum tracking tracking, int modes)
{
	struct uffdio_register range = {
		.range = { (uintptr_t)at(start), (stop - start) * PAGE },
		.mode = modes | (tracking == ACCESS ? UFFDIO_REGISTER_MODE_RWP : UFFDIO_REGISTER_MODE_WP),
	};

	return ioctl(userfaultfd(tracking), UFFDIO_REGISTER, &range);
}

//@ track: ask_to_track promised
static void track(int64_t start, int64_t stop, enum tracking tracking)
{
	in_use = tracking;
	promised(ask_to_track(start, stop, tracking, 0), "UFFDIO_REGISTER");
}

//@ supports: userfaultfd
/* Ends the program where no userfaultfd has a feature, which came after asynchronous protection. */
static void supports(uint64_t feature, const char *what)
{
	struct uffdio_api api = { .api = UFFD_API, .features = feature };
	int fd = must(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY), "userfaultfd");

	if (ioctl(fd, UFFDIO_API, &api))
		end(CANNOT_ASK, "can't be asked here: the kernel has no %s", what);
	close(fd);
}

//@ track_faults: ask_to_track promised supports
/* The same in modes in which an access waits for the owner of the userfaultfd. */
static void track_faults(int64_t start, int64_t stop, enum tracking tracking, int modes)
{
	if (modes & UFFDIO_REGISTER_MODE_MINOR)
		supports(UFFD_FEATURE_MINOR_SHMEM | UFFD_FEATURE_MINOR_HUGETLBFS, "minor faults");
	in_use = tracking;
	promised(ask_to_track(start, stop, tracking, modes), "UFFDIO_REGISTER");
}

//@ expect_track: ask_to_track refused
static void expect_track(int64_t start, int64_t stop, enum tracking tracking, int error)
{
	refused(ask_to_track(start, stop, tracking, 0), "UFFDIO_REGISTER", error);
}

//@ untrack: userfaultfd promised
/* UFFDIO_UNREGISTER. */
static void untrack(int64_t start, int64_t stop)
{
	struct uffdio_range range = { (uintptr_t)at(start), (stop - start) * PAGE };

	promised(ioctl(userfaultfd(in_use), UFFDIO_UNREGISTER, &range), "UFFDIO_UNREGISTER");
}

//@ close_userfaultfd: userfaultfd
static void close_userfaultfd(void)
{
	for (int index = 0; index < UNTRACKED; index++) {
		if (userfaultfds[index] >= 0)
			close(userfaultfds[index]);
		userfaultfds[index] = -1;
	}
}

//@ ask_to_protect: userfaultfd
/* UFFDIO_WRITEPROTECT, with or without its mode WP. */
static int ask_to_protect(int64_t start, int64_t stop, int protect)
{
	struct uffdio_writeprotect range = {
		.range = { (uintptr_t)at(start), (stop - start) * PAGE },
		.mode = protect ? UFFDIO_WRITEPROTECT_MODE_WP : 0,
	};

	return ioctl(userfaultfd(in_use), UFFDIO_WRITEPROTECT, &range);
}

//@ write_protect: ask_to_protect promised
static void write_protect(int64_t start, int64_t stop, int protect)
{
	promised(ask_to_protect(start, stop, protect), "UFFDIO_WRITEPROTECT");
}

//@ expect_write_protect: ask_to_protect refused
static void expect_write_protect(int64_t start, int64_t stop, int protect, int error)
{
	refused(ask_to_protect(start, stop, protect), "UFFDIO_WRITEPROTECT", error);
}

//@ rw_protect: userfaultfd promised
/* UFFDIO_RWPROTECT in mode RWP. */
static void rw_protect(int64_t start, int64_t stop)
{
	struct uffdio_writeprotect range = {
		.range = { (uintptr_t)at(start), (stop - start) * PAGE },
		.mode = UFFDIO_RWPROTECT_MODE_RWP,
	};

	promised(ioctl(userfaultfd(ACCESS), UFFDIO_RWPROTECT, &range), "UFFDIO_RWPROTECT");
}
