/* The lower bound of any program that learns a socket's owners from /proc: reads the link of every
 * descriptor of every process, and does nothing with it. Prints the number of links. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static unsigned long links;

static int is_number(const char *name)
{
	return *name >= '0' && *name <= '9';
}

/* A process that has gone, or that may not be looked into, is passed over. */
static void read_process(int proc, const char *pid)
{
	char path[300], target[128];
	struct dirent *entry;
	DIR *fds;
	int fd;

	snprintf(path, sizeof(path), "%s/fd", pid);
	fd = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	fds = fdopendir(fd);
	if (!fds) {
		close(fd);
		return;
	}
	while ((entry = readdir(fds)))
		if (is_number(entry->d_name))
			links += readlinkat(fd, entry->d_name, target, sizeof(target)) > 0;
	closedir(fds);
}

int main(void)
{
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	if (!proc) {
		perror("/proc");
		return 1;
	}
	while ((entry = readdir(proc)))
		if (is_number(entry->d_name))
			read_process(dirfd(proc), entry->d_name);
	closedir(proc);
	printf("%lu links\n", links);
	return 0;
}
