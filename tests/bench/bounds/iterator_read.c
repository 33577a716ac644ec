/* iterator_read PATH
 *
 * Reads the pinned iterator at PATH, of iterate.bpf.c, to its end, and looks at nothing but the
 * last number. Prints how many files it visited and how many bytes it wrote. */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char buffer[1 << 18]; /* the kernel fills at most 32 KB of it */

int main(int argc, char **argv)
{
	unsigned long bytes = 0;
	uint64_t visited = 0;
	ssize_t length;
	int fd;

	if (argc != 2)
		return 2;
	fd = open(argv[1], O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		perror(argv[1]);
		return 1;
	}
	/* EAGAIN: a million files, and the program wrote nothing. */
	while ((length = read(fd, buffer, sizeof(buffer))) > 0 || (length < 0 && errno == EAGAIN)) {
		if (length < 0)
			continue;
		bytes += length;
		if (length >= (ssize_t)sizeof(visited))
			memcpy(&visited, buffer + length - sizeof(visited), sizeof(visited));
	}
	if (length < 0) {
		perror("read");
		return 1;
	}
	printf("%llu files, %lu bytes\n", (unsigned long long)visited, bytes);
	return 0;
}
