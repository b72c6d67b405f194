//@ accepts_category: map write_pages
/* A bit in a mask, whose place in the argument is given, is refused exactly when the kernel doesn't know it. */
static void accepts_category(size_t mask, int bit)
{
	struct pm_scan_arg arg = { .size = sizeof(arg) };
	uint64_t category = 1ULL << bit;
	long result;

	map(0, 1, ANONYMOUS, MAP_PRIVATE, PROT_READ | PROT_WRITE);
	write_pages(0, 1);
	arg.start = (uintptr_t)at(0);
	arg.end = (uintptr_t)at(1);
	memcpy((char *)&arg + mask, &category, sizeof(category));
	result = ioctl(pagemap, PAGEMAP_SCAN, &arg) < 0 ? -errno : 0;
	if (result != (known & category ? 0 : -EINVAL))
		end(DIFFERS, "bit %d of the mask at %zu: the result is %ld", bit, mask, result);
}
