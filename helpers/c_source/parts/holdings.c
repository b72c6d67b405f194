//@ held: child_pagemap child_userfaultfd file userfaultfd kill_child
/* Gives back all that a test holds. */
static void clean_up(void)
{
	/*
	 * After that, nothing is registered with the userfaultfds any more. Tests come as far as that; the memory with
	 * all sets of categories, which is kept, lies beyond.
	 */
	munmap(arena, (size_t)PAGE << 15);
	for (struct mapped_file *file = files; file->name; file++) {
		close(file->fd);
		file->name = NULL;
	}
	if (child > 0)
		kill_child();
	if (child_pagemap >= 0)
		close(child_pagemap);
	if (child_userfaultfd >= 0)
		close(child_userfaultfd);
	child = child_pagemap = child_userfaultfd = -1;
}

/* What is held now, above what clean_up unmaps, stays for later tests. */
static void set_aside(void)
{
	userfaultfds[SYNC] = userfaultfds[ASYNC] = -1;
	memset(files, 0, sizeof(files));
}
