//@ clear_refs: base
/* Writes 4 to /proc/self/clear_refs. From here on, what is expected names the pages that are soft-dirty. */
static void clear_refs(void)
{
	int fd = must(open("/proc/self/clear_refs", O_WRONLY | O_CLOEXEC), "open /proc/self/clear_refs");

	if (!has_soft_dirty)
		end(CANNOT_ASK, "can't be asked here: the kernel is built without CONFIG_MEM_SOFT_DIRTY");
	must(write(fd, "4", 1), "write /proc/self/clear_refs");
	close(fd);
	all_soft_dirty = 0;
}
