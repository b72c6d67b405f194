//@ write_file: map_file
/* pwrite(2) to pages of a mapped file. */
static void write_file(const char *file, int64_t start, int64_t stop)
{
	for (int64_t page = start; page < stop; page++)
		must(pwrite(file_of(file, MEMFD), "w", 1, page * PAGE), "pwrite");
}

//@ punch_hole: map_file
/* fallocate(2) with FALLOC_FL_PUNCH_HOLE; the pages are the file's. */
static void punch_hole(const char *file, int64_t start, int64_t stop)
{
	int mode = FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE;

	must(fallocate(file_of(file, MEMFD), mode, start * PAGE, (stop - start) * PAGE), "fallocate");
}

//@ truncate_file: map_file
/* ftruncate(2) of a mapped file to a page, and to a later one again. */
static void truncate_file(const char *file, int64_t start, int64_t stop)
{
	must(ftruncate(file_of(file, MEMFD), start * PAGE), "ftruncate");
	must(ftruncate(file_of(file, MEMFD), stop * PAGE), "ftruncate");
}
