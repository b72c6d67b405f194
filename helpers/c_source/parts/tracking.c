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

//@ promised: base
/* What a userfaultfd agreed to do is promised, and under test. */
static void promised(int result, const char *what)
{
	if (result < 0)
		end(DIFFERS, "doesn't keep the clause: %s: %s", what, strerror(errno));
}

//@ refused: base
/* What a document says to be refused, and with which errno, is under test as well. */
static void refused(int result, const char *what, int error)
{
	int found = result < 0 ? errno : 0;

	if (found != error)
		end(DIFFERS, "doesn't keep the clause: %s: %s, not %s", what, strerror(found), strerror(error));
}

//@ ask_to_track: userfaultfd
/* UFFDIO_REGISTER in mode WP, or RWP. */
static int ask_to_track(int64_t start, int64_t stop, enum tracking tracking)
{
	struct uffdio_register range = {
		.range = { (uintptr_t)at(start), (stop - start) * PAGE },
		.mode = tracking == ACCESS ? UFFDIO_REGISTER_MODE_RWP : UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(userfaultfd(tracking), UFFDIO_REGISTER, &range);
}

//@ track: ask_to_track promised
static void track(int64_t start, int64_t stop, enum tracking tracking)
{
	in_use = tracking;
	promised(ask_to_track(start, stop, tracking), "UFFDIO_REGISTER");
}

//@ expect_track: ask_to_track refused
static void expect_track(int64_t start, int64_t stop, enum tracking tracking, int error)
{
	refused(ask_to_track(start, stop, tracking), "UFFDIO_REGISTER", error);
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

//@ fill: userfaultfd promised
/* From linux/userfaultfd.h. */
struct uffdio_copy {
	uint64_t dst, src, len, mode;
	int64_t copy;
};
struct uffdio_zeropage {
	struct uffdio_range range;
	uint64_t mode;
	int64_t zeropage;
};

/* How pages that aren't there are filled. */
enum filler { BY_COPY, BY_COPY_PROTECTED, BY_ZEROPAGE };

static void fill(int64_t start, int64_t stop, enum filler filler)
{
	size_t length = (stop - start) * PAGE;
	struct uffdio_zeropage zeros = { .range = { (uintptr_t)at(start), length } };
	struct uffdio_copy copy = { .dst = (uintptr_t)at(start), .len = length };
	void *source;

	if (filler == BY_ZEROPAGE) {
		promised(ioctl(userfaultfd(in_use), UFFDIO_ZEROPAGE, &zeros), "UFFDIO_ZEROPAGE");
		return;
	}
	source = malloc(length);
	must(source ? 0 : -1, "malloc");
	memset(source, 1, length);
	copy.src = (uintptr_t)source;
	copy.mode = filler == BY_COPY_PROTECTED ? UFFDIO_COPY_MODE_WP : 0;
	promised(ioctl(userfaultfd(in_use), UFFDIO_COPY, &copy), "UFFDIO_COPY");
	free(source);
}

//@ ask_to_move_in: userfaultfd
/* From linux/userfaultfd.h. */
struct uffdio_move {
	uint64_t dst, src, len, mode;
	int64_t move;
};

/* UFFDIO_MOVE, which came after asynchronous protection. */
static int ask_to_move_in(int64_t start, int64_t stop, int64_t source)
{
	struct uffdio_move range = {
		.dst = (uintptr_t)at(start), .src = (uintptr_t)at(source), .len = (stop - start) * PAGE,
	};
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_MOVE };
	int fd = must(syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY), "userfaultfd");

	if (ioctl(fd, UFFDIO_API, &api))
		end(CANNOT_ASK, "can't be asked here: the kernel has no UFFDIO_MOVE");
	close(fd);
	return ioctl(userfaultfd(in_use), UFFDIO_MOVE, &range);
}

//@ move_in: ask_to_move_in promised
static void move_in(int64_t start, int64_t stop, int64_t source)
{
	promised(ask_to_move_in(start, stop, source), "UFFDIO_MOVE");
}

//@ expect_move_in: ask_to_move_in refused
static void expect_move_in(int64_t start, int64_t stop, int64_t source, int error)
{
	refused(ask_to_move_in(start, stop, source), "UFFDIO_MOVE", error);
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
