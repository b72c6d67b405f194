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

//@ kernel_writes: new_file
#include <sys/uio.h>

/* How the kernel is had to write on behalf of the process. */
enum writer { BY_READ, BY_MEM, BY_VM_WRITEV, BY_DIRECT, BY_POPULATE };

/* read(2) past the page cache of a file that is as long as a page. */
static int open_directly(void)
{
	static char page[PAGE];
	int file = must(new_file(ON_DISK), "a file on a disk"), direct;
	char path[32];

	must(write(file, page, PAGE), "write");
	must(fsync(file), "fsync");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
	direct = open(path, O_RDONLY | O_DIRECT | O_CLOEXEC);
	close(file);
	return must(direct, "open with O_DIRECT");
}

/* The kernel writes to each page. */
static void kernel_writes(int64_t start, int64_t stop, enum writer writer)
{
	struct iovec from = { "", 1 }, to = { NULL, 1 };
	int fd = -1;

	if (writer == BY_READ)
		fd = must(open("/dev/zero", O_RDONLY | O_CLOEXEC), "open /dev/zero");
	else if (writer == BY_MEM)
		fd = must(open("/proc/self/mem", O_WRONLY | O_CLOEXEC), "open /proc/self/mem");
	else if (writer == BY_DIRECT)
		fd = open_directly();
	else if (writer == BY_POPULATE)
		must(madvise(at(start), (stop - start) * PAGE, MADV_POPULATE_WRITE), "MADV_POPULATE_WRITE");
	for (int64_t page = start; page < stop; page++) {
		to.iov_base = at(page);
		if (writer == BY_READ)
			must(read(fd, at(page), 1), "read /dev/zero");
		else if (writer == BY_MEM)
			must(pwrite(fd, "w", 1, (uintptr_t)at(page)), "write to /proc/self/mem");
		else if (writer == BY_VM_WRITEV)
			must(process_vm_writev(getpid(), &from, 1, &to, 1, 0), "process_vm_writev");
		else if (writer == BY_DIRECT)
			must(pread(fd, at(page), PAGE, 0), "read with O_DIRECT");
	}
	if (fd >= 0)
		close(fd);
}
