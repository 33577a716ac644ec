/* The lower bound of any reader of NETLINK_SOCK_DIAG: receives the dumps of TCP and UDP over IPv4
 * and IPv6, all states, no extensions, and looks at nothing but where each message ends.
 * Prints the number of sockets and of bytes. */
#include <errno.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static _Alignas(struct nlmsghdr) char buffer[1 << 16];
static unsigned long messages, bytes;

static int request(int fd, int family, int protocol)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 body;
	} dump = {
		.header = {
			.nlmsg_len = sizeof(dump),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.body = {
			.sdiag_family = family,
			.sdiag_protocol = protocol,
			.idiag_states = ~0U,
		},
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };

	return sendto(fd, &dump, sizeof(dump), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0;
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

int main(void)
{
	static const int families[] = { AF_INET, AF_INET6 };
	static const int protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);

	if (fd < 0) {
		perror("socket");
		return 1;
	}
	for (int p = 0; p < 2; p++)
		for (int f = 0; f < 2; f++)
			if (request(fd, families[f], protocols[p]) || receive(fd)) {
				perror("dump");
				return 1;
			}
	printf("%lu sockets, %lu bytes\n", messages, bytes);
	return 0;
}
