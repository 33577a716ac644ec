/* netlink_receive [tcp=STATES|udp=STATES|both=STATES]...
 *
 * The lower bound of any reader of NETLINK_SOCK_DIAG: receives the dumps of TCP and UDP over IPv4
 * and IPv6, no extensions, and looks at nothing but where each message ends. STATES is a mask;
 * each argument is a request of its own, and without any all states of both are asked for. both
 * are TCP over IPv4 and IPv6 by one request of the first interface (TCPDIAG_GETSOCK).
 * Prints the number of sockets and of bytes. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static _Alignas(struct nlmsghdr) char buffer[1 << 16];
static unsigned long messages, bytes;

static int request(int fd, int family, int protocol, unsigned int states)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} message = {
		.header = {
			.nlmsg_len = sizeof(message),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.body = {
			.sdiag_family = family,
			.sdiag_protocol = protocol,
			.idiag_states = states,
		},
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(fd, &message, sizeof(message), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0;
}

static int request_both(int fd, unsigned int states)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req body;
	} message = {
		.header = {
			.nlmsg_len = sizeof(message),
			.nlmsg_type = TCPDIAG_GETSOCK,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.body = { .idiag_family = AF_INET, .idiag_states = states },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(fd, &message, sizeof(message), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0;
}

/* 1: the dump goes on; 0: it is done; -1: it failed, errno says how. */
static int count(ssize_t length)
{
	struct nlmsghdr *header = (struct nlmsghdr *)buffer;

	for (; NLMSG_OK(header, length); header = NLMSG_NEXT(header, length)) {
		if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) {
			errno = -*(int *)NLMSG_DATA(header);
			/* ENOENT: this kernel has no diag module for the protocol, so no sockets. */
			return errno && errno != ENOENT ? -1 : 0;
		}
		messages++;
	}
	return 1;
}

static int receive(int fd)
{
	int more;

	do {
		ssize_t length = recv(fd, buffer, sizeof(buffer), 0);

		if (length < 0)
			return -1;
		bytes += length;
		more = count(length);
	} while (more > 0);
	return more;
}

static int dump(int fd, const char *what)
{
	static const int families[] = { AF_INET, AF_INET6 };
	int protocol = strncmp(what, "udp=", 4) ? IPPROTO_TCP : IPPROTO_UDP;
	unsigned int states = strtoul(strchr(what, '=') + 1, NULL, 0);

	if (!strncmp(what, "both=", 5))
		return request_both(fd, states) || receive(fd) ? -1 : 0;
	for (int i = 0; i < 2; i++)
		if (request(fd, families[i], protocol, states) || receive(fd))
			return -1;
	return 0;
}

int main(int argc, char **argv)
{
	static char *everything[] = { "tcp=0xffffffff", "udp=0xffffffff" };
	char **wanted = argc > 1 ? argv + 1 : everything;
	int count = argc > 1 ? argc - 1 : 2;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0) {
		perror("socket");
		return 1;
	}
	for (int i = 0; i < count; i++)
		if (dump(fd, wanted[i])) {
			perror(wanted[i]);
			return 1;
		}
	printf("%lu sockets, %lu bytes\n", messages, bytes);
	return 0;
}
