//@ fill: userfaultfd promised supports
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
struct uffdio_continue {
	struct uffdio_range range;
	uint64_t mode;
	int64_t mapped;
};
struct uffdio_poison {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};

/* How pages that aren't there are filled. */
enum filler { BY_COPY, BY_COPY_PROTECTED, BY_ZEROPAGE, BY_CONTINUE, BY_CONTINUE_PROTECTED, BY_POISON };

static void copy_pages(int64_t start, int64_t stop, uint64_t mode)
{
	struct uffdio_copy copy = { .dst = (uintptr_t)at(start), .len = (stop - start) * PAGE, .mode = mode };
	void *source = malloc(copy.len);

	must(source ? 0 : -1, "malloc");
	memset(source, 1, copy.len);
	copy.src = (uintptr_t)source;
	promised(ioctl(userfaultfd(in_use), UFFDIO_COPY, &copy), "UFFDIO_COPY");
	free(source);
}

static void fill(int64_t start, int64_t stop, enum filler filler)
{
	struct uffdio_range range = { (uintptr_t)at(start), (stop - start) * PAGE };
	struct uffdio_zeropage zeros = { .range = range };
	struct uffdio_continue found = { .range = range };
	struct uffdio_poison lost = { .range = range };

	switch (filler) {
	case BY_COPY:
		copy_pages(start, stop, 0);
		break;
	case BY_COPY_PROTECTED:
		copy_pages(start, stop, UFFDIO_COPY_MODE_WP);
		break;
	case BY_ZEROPAGE:
		promised(ioctl(userfaultfd(in_use), UFFDIO_ZEROPAGE, &zeros), "UFFDIO_ZEROPAGE");
		break;
	case BY_CONTINUE_PROTECTED:
		found.mode = UFFDIO_CONTINUE_MODE_WP;
		/* fall through */
	case BY_CONTINUE:
		promised(ioctl(userfaultfd(in_use), UFFDIO_CONTINUE, &found), "UFFDIO_CONTINUE");
		break;
	case BY_POISON:
		supports(UFFD_FEATURE_POISON, "UFFDIO_POISON");
		promised(ioctl(userfaultfd(in_use), UFFDIO_POISON, &lost), "UFFDIO_POISON");
	}
}

//@ ask_to_move_in: userfaultfd supports
/* From linux/userfaultfd.h. */
struct uffdio_move {
	uint64_t dst, src, len, mode;
	int64_t move;
};

/* UFFDIO_MOVE, which came after asynchronous protection. What a busy kernel hasn't moved is asked for again. */
static int ask_to_move_in(int64_t start, int64_t stop, int64_t source)
{
	struct uffdio_move range = {
		.dst = (uintptr_t)at(start), .src = (uintptr_t)at(source), .len = (stop - start) * PAGE,
	};
	int result = -1;

	supports(UFFD_FEATURE_MOVE, "UFFDIO_MOVE");
	for (int tries = 0; tries < 1000; tries++) {
		result = ioctl(userfaultfd(in_use), UFFDIO_MOVE, &range);
		if (result == 0 || errno != EAGAIN)
			break;
		if (range.move > 0) {
			range.dst += range.move;
			range.src += range.move;
			range.len -= range.move;
		}
	}
	return result;
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
