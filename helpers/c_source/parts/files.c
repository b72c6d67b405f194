//@ new_file: base
#include <sys/statfs.h>
#include <sys/syscall.h>

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
		uint32_t type;

		snprintf(path, sizeof(path), "%s%s", directories[backing][index], name);
		if (statfs(directories[backing][index], &fs))
			continue;
		type = fs.f_type; /* Of 32 bits, whose sign depends on the machine. */
		if ((type == TMPFS_MAGIC) != (backing == TMPFS) ||
		    (backing == ON_DISK && (type == RAMFS_MAGIC || type == OVERLAYFS_MAGIC)))
			continue;
		/* A file without a name from the start: a signal can't leave it behind. */
		fd = open(directories[backing][index], O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0 && (fd = mkstemp(path)) >= 0)
			unlink(path);
		if (fd >= 0)
			return fd;
	}
	errno = ENOENT;
	return -1;
}

//@ file: new_file
struct mapped_file {
	const char *name;
	int fd;
};
static struct mapped_file files[8];

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

//@ write_file: file
/* pwrite(2) to pages of a mapped file. */
static void write_file(const char *file, int64_t start, int64_t stop)
{
	for (int64_t page = start; page < stop; page++)
		must(pwrite(file_of(file, MEMFD), "w", 1, page * PAGE), "pwrite");
}

//@ punch_hole: file
/* fallocate(2) with FALLOC_FL_PUNCH_HOLE; the pages are the file's. */
static void punch_hole(const char *file, int64_t start, int64_t stop)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	must(fallocate(file_of(file, MEMFD), mode, start * PAGE, (stop - start) * PAGE), "fallocate");
}

//@ truncate_file: file
/* ftruncate(2) of a mapped file to a page, and to a later one again. */
static void truncate_file(const char *file, int64_t start, int64_t stop)
{
	must(ftruncate(file_of(file, MEMFD), start * PAGE), "ftruncate");
	must(ftruncate(file_of(file, MEMFD), stop * PAGE), "ftruncate");
}
