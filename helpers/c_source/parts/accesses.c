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
