//@ child_pagemap: base
/* Of the child, once there is one. */
static int child_pagemap = -1;

//@ fork_child: child_pagemap
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

static pid_t child = -1;

/* fork(2): from now on there is a child to scan, which does nothing. */
static void fork_child(void)
{
	pid_t parent = getpid();
	char path[32];

	child = must(fork(), "fork");
	if (child == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		while (getppid() == parent)
			pause();
		_exit(0);
	}
	snprintf(path, sizeof(path), "/proc/%d/pagemap", (int)child);
	child_pagemap = must(open(path, O_RDONLY | O_CLOEXEC), path);
}

//@ kill_child: fork_child
/* Ends the child and reaps it, while its pagemap stays open. */
static void kill_child(void)
{
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
}
