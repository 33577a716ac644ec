/* Opens and closes TCP connections over loopback at a steady rate, in one process.
 *
 *   churn PORT CONNECTIONS_A_SECOND
 *
 * It listens on that port at all addresses, connects to itself, carries 1 kB each way, and closes:
 * three of four by a reset, so that not too many stay in TIME_WAIT. What it is behind by, because it
 * did not run for a while, it makes up for. It ends when it is killed, or at the end of its input.
 */
#include <arpa/inet.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define TICK_MS 10
#define ADDRESSES 200

static void check(int failed, const char *what)
{
	if (failed) {
		perror(what);
		exit(1);
	}
}

static void carry(int from, int to)
{
	char data[1024] = {0};

	check(send(from, data, sizeof(data), 0) != sizeof(data), "send");
	check(recv(to, data, sizeof(data), MSG_WAITALL) != sizeof(data), "recv");
}

static void connect_once(int listener, struct sockaddr_in *at, long number)
{
	struct linger reset = {.l_onoff = 1};
	int client = socket(AF_INET, SOCK_STREAM, 0), server;

	at->sin_addr.s_addr = htonl(0x7f000001 + number % ADDRESSES);
	check(connect(client, (void *)at, sizeof(*at)), "connect");
	server = accept(listener, NULL, NULL);
	check(server < 0, "accept");
	carry(client, server);
	carry(server, client);
	if (number % 4)
		setsockopt(client, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close(client);
	close(server);
}

static double now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec + time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct pollfd input = {.fd = 0, .events = POLLIN};
	int listener = socket(AF_INET, SOCK_STREAM, 0), yes = 1;
	struct sockaddr_in at = {.sin_family = AF_INET};
	double began = now(), rate;
	long made = 0;

	if (argc != 3)
		return 2;
	at.sin_port = htons(atoi(argv[1]));
	rate = atof(argv[2]);
	setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
	check(bind(listener, (void *)&at, sizeof(at)), "bind");
	check(listen(listener, 64), "listen");
	while (!poll(&input, 1, TICK_MS))
		while (made < (now() - began) * rate)
			connect_once(listener, &at, made++);
	printf("%ld\n", made);
	return 0;
}
