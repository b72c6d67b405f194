//@ machine: base
#include <signal.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/wait.h>

/* The machine's settings: each change is noted, and undone when the program ends, whatever ends it. */
struct change {
	char path[128], value[64];
};
static struct change changes[8];
static int changed;
static char swap_area[64];
static pid_t owner, tester = -1, keeper = -1;

/* Whoever has the lock of this file may change the machine: of all runs of the suite, whatever they are written in. */
#define JOURNAL "/run/pagemap-scan-suite.journal"
#define PATIENCE_WITH_OTHERS 900
static int journal = -1;

static void give_up(int number)
{
	(void)number;
	fputs("# another run has changed this machine, and isn't done\n", stderr);
	_exit(CANNOT_ASK);
}

static void wait_for_others(void)
{
	struct stat opened, found;

	signal(SIGALRM, give_up);
	alarm(PATIENCE_WITH_OTHERS);
	/* Who has the lock removes the file: then it is another one, and nobody's, by the time that one gets it. */
	while ((journal = open(JOURNAL, O_RDWR | O_CREAT | O_CLOEXEC, 0644)) >= 0) {
		if (flock(journal, LOCK_EX | LOCK_NB)) {
			fprintf(stderr, "# waiting for another run, which has changed this machine\n");
			flock(journal, LOCK_EX);
		}
		if (!fstat(journal, &opened) && !stat(JOURNAL, &found) && opened.st_ino == found.st_ino)
			break;
		close(journal);
	}
	alarm(0);
}

static void let_others_go_on(void)
{
	struct stat found;

	if (journal < 0)
		return;
	if (!fstat(journal, &found) && found.st_size == 0)
		unlink(JOURNAL);
	close(journal);
	journal = -1;
}

static int read_setting(const char *path, char *value, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : read(fd, value, size - 1);

	if (fd >= 0)
		close(fd);
	value[length < 0 ? 0 : length] = 0;
	return length < 0 ? -1 : 0;
}

static int write_setting(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? -1 : write(fd, value, strlen(value));

	if (fd >= 0)
		close(fd);
	return length < 0 ? -1 : 0;
}

static int change_setting(const char *path, const char *value, const char *now)
{
	if (write_setting(path, value))
		return -1;
	snprintf(changes[changed].path, sizeof(changes[changed].path), "%s", path);
	snprintf(changes[changed++].value, sizeof(changes[0].value), "%s", now);
	return 0;
}

static void put_back(void)
{
	if (getpid() != owner)
		return;
	if (tester > 0) { /* It may hold what is taken back. */
		kill(tester, SIGKILL);
		waitpid(tester, NULL, 0);
	}
	if (*swap_area)
		swapoff(swap_area);
	while (changed) {
		changed--;
		write_setting(changes[changed].path, changes[changed].value);
	}
	if (keeper > 0) {
		kill(keeper, SIGKILL);
		waitpid(keeper, NULL, 0);
	}
	let_others_go_on();
}

static void put_back_and_die(int number)
{
	put_back();
	signal(number, SIG_DFL);
	raise(number);
}

static void allow_huge_pages(void)
{
	static const char path[] = "/sys/kernel/mm/transparent_hugepage/enabled";
	static const char zero[] = "/sys/kernel/mm/transparent_hugepage/use_zero_page";
	char value[64];

	if (!read_setting(path, value, sizeof(value)) && strstr(value, "[never]"))
		change_setting(path, "madvise", "never");
	if (!read_setting(zero, value, sizeof(value)) && *value == '0')
		change_setting(zero, "1", "0");
}

static void fill_hugetlb_pool(void)
{
	char path[128], now[64], more[32];

	snprintf(path, sizeof(path), "/sys/kernel/mm/hugepages/hugepages-%zukB/nr_hugepages", HUGE_PAGE / 1024);
	if (read_setting(path, now, sizeof(now)))
		return;
	snprintf(more, sizeof(more), "%d", atoi(now) + 10);
	change_setting(path, more, now);
}

/* Room in swap for what a test has there, some huge pages at most. */
#define SWAP_SIZE (8 * HUGE_PAGE > 64 << 20 ? 8 * HUGE_PAGE : 64 << 20)

/* A compressed block device as swap, where there is none. */
static void provide_swap(void)
{
	char value[64], path[128], size[32], header[PAGE];
	uint32_t fields[] = { 1, SWAP_SIZE / PAGE - 1 };
	int fd;

	if (read_setting("/proc/swaps", value, sizeof(value)) || strchr(value, '/') ||
	    read_setting("/sys/class/zram-control/hot_add", value, sizeof(value)))
		return;
	snprintf(path, sizeof(path), "/sys/block/zram%d/disksize", atoi(value));
	snprintf(size, sizeof(size), "%zu", (size_t)SWAP_SIZE);
	write_setting(path, size);
	snprintf(changes[changed].path, sizeof(path), "/sys/class/zram-control/hot_remove");
	snprintf(changes[changed++].value, sizeof(value), "%d", atoi(value));
	snprintf(path, sizeof(path), "/sys/block/zram%d/reset", atoi(value));
	snprintf(changes[changed].path, sizeof(path), "%s", path);
	snprintf(changes[changed++].value, sizeof(value), "1");
	snprintf(path, sizeof(path), "/dev/zram%d", atoi(value));
	memset(header, 0, sizeof(header));
	memcpy(header + 1024, fields, sizeof(fields));
	memcpy(header + PAGE - 10, "SWAPSPACE2", 10);
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd >= 0 && pwrite(fd, header, PAGE, 0) == PAGE && fsync(fd) == 0 && swapon(path, 0) == 0)
		snprintf(swap_area, sizeof(swap_area), "%.60s", path);
	if (fd >= 0)
		close(fd);
}

/* Beside the program in an initramfs: modules, named in the order in which they need each other. */
static void load_modules(void)
{
	FILE *list = fopen("/modules/list", "r");
	char name[128], path[160];

	while (list && fscanf(list, "%127s", name) == 1) {
		snprintf(path, sizeof(path), "/modules/%s", name);
		int fd = open(path, O_RDONLY | O_CLOEXEC);

		/* As it is, or for the kernel to uncompress (MODULE_INIT_COMPRESSED_FILE). */
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) && syscall(SYS_finit_module, fd, "", 4)))
			printf("# module %s: %s\n", name, strerror(errno));
		if (fd >= 0)
			close(fd);
	}
	if (list)
		fclose(list);
}

/* As the first process of a machine, in an initramfs: what an init does. */
static void be_init(void)
{
	static const char *const mounts[][2] = {
		{ "proc", "/proc" }, { "sysfs", "/sys" }, { "devtmpfs", "/dev" }, { "tmpfs", "/dev/shm" },
	};

	for (int index = 0; index < 4; index++) {
		mkdir(mounts[index][1], 0755);
		mount(mounts[index][0], mounts[index][1], mounts[index][0], 0, NULL);
	}
	if (open("/dev/console", O_RDWR) == 0) {
		dup2(0, 1);
		dup2(0, 2);
	}
	load_modules();
	mkdir("/run", 0755);
	mkdir("/var", 0755);
	mkdir("/var/tmp", 0755);
	mount("/dev/vda", "/var/tmp", "ext4", 0, NULL);
}

/* Another process puts back what this one can't when it is killed. */
static void keep_watch(void)
{
	sigset_t end;
	int number;

	sigemptyset(&end);
	sigaddset(&end, SIGTERM);
	keeper = fork();
	if (keeper)
		return;
	setsid();
	sigprocmask(SIG_BLOCK, &end, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() == owner)
		sigwait(&end, &number);
	owner = getpid();
	put_back();
	_exit(0);
}

static void set_machine_up(void)
{
	static const int numbers[] = { SIGINT, SIGTERM, SIGHUP, SIGQUIT };

	wait_for_others();
	owner = getpid();
	atexit(put_back);
	for (int index = 0; index < 4; index++)
		signal(numbers[index], put_back_and_die);
	allow_huge_pages();
	fill_hugetlb_pool();
	provide_swap();
	keep_watch();
}
