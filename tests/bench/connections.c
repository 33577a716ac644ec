/* Opens and closes TCP connections over loopback, in one process on one processor.
 *
 *   connections NUMBER [kept]
 *
 * Each is connected and accepted, carries 1 kB each way and is closed, by the client first. With
 * `kept` one connection carries that NUMBER times. Prints the nanoseconds of processor time that each
 * took, of which other programs take nothing: the median of groups of them, which leaves out what an
 * interrupt adds to some. The remote address changes, since ports stay taken in TIME_WAIT.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define ADDRESSES 100
#define GROUP 50

static void carry(int from, int to)
{
	char data[1024] = {0};

	if (send(from, data, sizeof(data), 0) != sizeof(data) ||
	    recv(to, data, sizeof(data), MSG_WAITALL) != sizeof(data)) {
		perror("carry");
		exit(1);
	}
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1e9 + time.tv_nsec;
}

/* Open a connection, and return its ends: the client's, and by `server` the other one. */
static int open_one(int listener, struct sockaddr_in *at, int *server)
{
	int client = socket(AF_INET, SOCK_STREAM, 0);

	if (connect(client, (void *)at, sizeof(*at))) {
		perror("connect");
		exit(1);
	}
	*server = accept(listener, NULL, NULL);
	return client;
}

static void ask(int client, int server)
{
	carry(client, server);
	carry(server, client);
}

static void serve(int listener, struct sockaddr_in *at)
{
	int server, client = open_one(listener, at, &server);

	ask(client, server);
	close(client);
	close(server);
}

static int compare(const void *one, const void *other)
{
	double difference = *(const double *)one - *(const double *)other;

	return (difference > 0) - (difference < 0);
}

int main(int argc, char **argv)
{
	int groups = argc > 1 ? atoi(argv[1]) / GROUP : 0;
	int listener = socket(AF_INET, SOCK_STREAM, 0), client, server, kept = argc > 2;
	struct sockaddr_in at = {.sin_family = AF_INET};
	socklen_t size = sizeof(at);
	double *took = calloc(groups + 1, sizeof(*took)), start;
	cpu_set_t first;

	CPU_ZERO(&first);
	CPU_SET(0, &first);
	if (groups <= 0 || sched_setaffinity(0, sizeof(first), &first) ||
	    bind(listener, (void *)&at, sizeof(at)) || listen(listener, 16) ||
	    getsockname(listener, (void *)&at, &size)) {
		perror("connections NUMBER [kept]");
		return 1;
	}
	if (kept)
		client = open_one(listener, &at, &server);
	for (int group = 0; group < groups; group++) {
		start = now();
		for (int i = 0; i < GROUP; i++) {
			if (kept) {
				ask(client, server);
				continue;
			}
			at.sin_addr.s_addr = htonl(0x7f000001 + (group * GROUP + i) % ADDRESSES);
			serve(listener, &at);
		}
		took[group] = (now() - start) / GROUP;
	}
	qsort(took, groups, sizeof(*took), compare);
	printf("%.1f\n", took[groups / 2]);
	return 0;
}
