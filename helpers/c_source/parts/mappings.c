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

//@ map_file: map_at file
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

//@ remap: base
static void remap(int64_t start, int64_t stop, int64_t to, int flags)
{
	size_t length = (stop - start) * PAGE;
	void *moved = mremap(at(start), length, length, MREMAP_MAYMOVE | MREMAP_FIXED | flags, at(to));

	must(moved == MAP_FAILED ? -1 : 0, "mremap");
}

//@ move: remap
static void move(int64_t start, int64_t stop, int64_t to)
{
	remap(start, stop, to, 0);
}

//@ move_pages: remap
/* The mapping stays where it is, without its pages. */
static void move_pages(int64_t start, int64_t stop, int64_t to)
{
	remap(start, stop, to, MREMAP_DONTUNMAP);
}

//@ require_memory: base
/* ENOMEM may be a limit's of the process, or of the machine: such a limit refuses a mapping of its own, too. */
static void require_memory(int64_t start, int64_t stop)
{
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE;
	void *mapped = mmap(at(start), (stop - start) * PAGE, PROT_READ | PROT_WRITE, flags, -1, 0);

	must(mapped == MAP_FAILED && errno == ENOMEM ? -1 : 0, "mremap");
	if (mapped != MAP_FAILED)
		munmap(mapped, (stop - start) * PAGE);
}

//@ ask_to_resize: require_memory
/* mremap(2) of a mapping that may not be moved. */
static int ask_to_resize(int64_t start, int64_t stop, int64_t new_end)
{
	void *resized = mremap(at(start), (stop - start) * PAGE, (new_end - start) * PAGE, 0);
	int error = errno;

	if (resized != MAP_FAILED)
		return 0;
	if (error == ENOMEM)
		require_memory(stop, new_end);
	errno = error;
	return -1;
}

//@ resize: ask_to_resize promised
static void resize(int64_t start, int64_t stop, int64_t new_end)
{
	promised(ask_to_resize(start, stop, new_end), "mremap");
}

//@ expect_resize: ask_to_resize refused
static void expect_resize(int64_t start, int64_t stop, int64_t new_end, int error)
{
	refused(ask_to_resize(start, stop, new_end), "mremap", error);
}

//@ set_protection: base
static void set_protection(int64_t start, int64_t stop, int prot)
{
	must(mprotect(at(start), (stop - start) * PAGE, prot), "mprotect");
}
