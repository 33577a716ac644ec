/* The lower bound of any reader of /proc/net: reads the four tables to their ends and looks at
 * nothing. Prints the number of bytes. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

static char buffer[1 << 16];

int main(void)
{
	static const char *const tables[] = {
		"/proc/net/tcp", "/proc/net/tcp6", "/proc/net/udp", "/proc/net/udp6",
	};
	unsigned long bytes = 0;

	for (int i = 0; i < 4; i++) {
		int fd = open(tables[i], O_RDONLY | O_CLOEXEC);
		ssize_t length;

		if (fd < 0) {
			if (errno == ENOENT) /* booted without IPv6 */
				continue;
			perror(tables[i]);
			return 1;
		}
		while ((length = read(fd, buffer, sizeof(buffer))) > 0)
			bytes += length;
		if (length < 0) {
			perror(tables[i]);
			return 1;
		}
		close(fd);
	}
	printf("%lu bytes\n", bytes);
	return 0;
}
