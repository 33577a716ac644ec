/* launch SECONDS UID STDOUT STDERR COMMAND [ARGUMENT...]
 *
 * Runs one command as user and group UID, without other groups and, unless UID is root, without
 * capabilities (-1: as the caller is), with its output in two files, ends it after SECONDS, and
 * prints what it took:
 *
 *     STATUS WALL_NS USER_US SYSTEM_US PEAK_KB
 *
 * STATUS is the exit code, -N for signal N, or "late" for a command that had to be ended.
 *
 * This is C because ru_maxrss survives exec: a command that Python forks starts with the peak
 * of Python itself, and every program smaller than that would be shown as equally large. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long long nanoseconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static long long microseconds(struct timeval time)
{
	return time.tv_sec * 1000000LL + time.tv_usec;
}

static int redirect(const char *path, int flags, int to)
{
	int fd = open(path, flags | O_CLOEXEC, 0600);

	return fd < 0 || dup2(fd, to) < 0;
}

static int become_user(long uid)
{
	return uid >= 0 && (setgroups(0, NULL) || setresgid(uid, uid, uid) ||
			    setresuid(uid, uid, uid));
}

static void become(char **argv, const sigset_t *mask)
{
	sigprocmask(SIG_SETMASK, mask, NULL);
	if (redirect("/dev/null", O_RDONLY, 0) ||
	    redirect(argv[4], O_WRONLY | O_CREAT | O_TRUNC, 2) ||
	    redirect(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 1))
		_exit(126);
	if (become_user(atol(argv[2]))) {
		perror("another user");
		_exit(126);
	}
	/* The command must not outlive a launcher that was killed. A new user clears this. */
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	execvp(argv[5], argv + 5);
	perror(argv[5]);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct timespec limit = { 0 };
	struct rusage used;
	sigset_t child, before;
	long long start, wall;
	int late, status;
	pid_t pid;

	if (argc < 6)
		return 2;
	limit.tv_sec = atol(argv[1]);
	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, &before);
	start = nanoseconds();
	pid = fork();
	if (pid < 0)
		return 1;
	if (!pid)
		become(argv, &before);
	late = sigtimedwait(&child, NULL, &limit) < 0 && errno == EAGAIN;
	if (late)
		kill(pid, SIGKILL);
	if (wait4(pid, &status, 0, &used) < 0)
		return 1;
	wall = nanoseconds() - start;
	if (late)
		printf("late");
	else
		printf("%d", WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status));
	printf(" %lld %lld %lld %ld\n", wall, microseconds(used.ru_utime),
	       microseconds(used.ru_stime), used.ru_maxrss);
	return 0;
}
