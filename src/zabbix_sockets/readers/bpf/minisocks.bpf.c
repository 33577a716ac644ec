// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * An iterator over the TCP sockets of the reader's network namespace (bpf_iter "tcp", Linux 5.9):
 *
 *   count_minisocks   one struct minisock per socket without a file: in TIME_WAIT or SYN_RECV, which
 *                     the kernel keeps in smaller structures (net/ipv4/tcp_minisocks.c), an orphan, or
 *                     not yet accepted
 *
 * The records are made to be counted: of the two ends the one is left out that is distinct for each
 * socket, so that equal sockets give equal bytes. Which one that is depends on the listeners, whom
 * the kernel shows before all other sockets.
 *
 * Structures of the kernel are declared in kernel.bpf.h; those below this program alone uses.
 */
#include "kernel.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define TCP_TIME_WAIT 6
#define TCP_NEW_SYN_RECV 12
#define REMEMBERED 300 /* seconds: longer than any read takes */
#define MAX_LISTENERS 4096

struct inet_timewait_sock {
	volatile unsigned char tw_substate;
} CORE;

struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
} CORE;

struct sock___with_file { /* a flavour: the kernel's is struct sock, with which a tcp_sock begins */
	struct socket *sk_socket; /* none: no file has it */
} CORE;

struct bpf_iter__tcp {
	struct bpf_iter_meta *meta;
	struct sock_common *sk_common;
} CORE;

/* Kinds of records; readers/bpf/minisocks.py has the same. */
enum {
	LOCAL_END = 1,	/* the local port is that of a listener, or none that connect(2) takes */
	REMOTE_END = 2,	/* connect(2) took the local port, and nobody listens there */
	BOTH_ENDS = 3,	/* connect(2) may have taken the local port, and somebody listens there */
};

enum {
	IPV6 = 1,
	REMOTE_PORT_EPHEMERAL = 2, /* LOCAL_END: connect(2) may have taken the remote port, here */
};

struct minisock {
	__u8 kind;
	__u8 state;
	__u8 flags;
	__u8 unused;
	__u16 local_port;	/* LOCAL_END, BOTH_ENDS; host order */
	__u16 remote_port;	/* REMOTE_END, BOTH_ENDS; host order */
	__u32 local;		/* the fold of the local address, an IPv4 one as it is mapped to IPv6 */
	__u32 device;		/* index of the device that it is bound to */
	__u32 address[4];	/* REMOTE_END, BOTH_ENDS: the remote address */
};

struct listener {
	__u32 netns;
	__u16 family;
	__u16 port;
	__u32 address[4];
};

/*
 * The listeners, each with the session of the last iteration that has seen it. Where one is missing,
 * as it is here from another session or had no room, the record has both ends.
 */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_LISTENERS);
	__type(key, struct listener);
	__type(value, __u64);
} listeners SEC(".maps");

/*
 * When a listener was last seen at a port, by any iteration; seconds since boot. So none is missing
 * here, whatever other iterations take place at the same time.
 */
static __u32 listened[65536];

static __always_inline void set_local_address(__u32 address[4], struct sock_common *sk)
{
	int i;

	if (sk->skc_family == AF_INET) {
		address[0] = 0;
		address[1] = 0;
		address[2] = bpf_htonl(0xffff);
		address[3] = sk->skc_rcv_saddr;
		return;
	}
#pragma unroll
	for (i = 0; i < 4; i++)
		address[i] = sk->skc_v6_rcv_saddr.in6_u.u6_addr32[i];
}

static __always_inline void set_remote_address(__u32 address[4], struct sock_common *sk)
{
	int i;

	if (sk->skc_family == AF_INET) {
		address[0] = sk->skc_daddr;
		return;
	}
#pragma unroll
	for (i = 0; i < 4; i++)
		address[i] = sk->skc_v6_daddr.in6_u.u6_addr32[i];
}

static __always_inline void set_listener(struct listener *key, struct sock_common *sk)
{
	key->netns = sk->skc_net.net->ns.inum;
	key->family = sk->skc_family;
	key->port = sk->skc_num;
	set_local_address(key->address, sk);
}

static __always_inline void note_listener(struct sock_common *sk, __u64 session, __u32 now)
{
	struct listener key = {};

	set_listener(&key, sk);
	listened[key.port] = now;
	bpf_map_update_elem(&listeners, &key, &session, BPF_ANY);
}

/* Whether this session has seen a listener at the socket's local port and address, or at any address. */
static __always_inline int is_accepted(struct sock_common *sk, __u64 session)
{
	struct listener key = {};
	__u64 *seen;

	set_listener(&key, sk);
	seen = bpf_map_lookup_elem(&listeners, &key);
	if (seen && *seen == session)
		return 1;
	key.address[0] = key.address[1] = key.address[3] = 0;
	if (key.family != AF_INET)
		key.address[2] = 0;
	seen = bpf_map_lookup_elem(&listeners, &key);
	return seen && *seen == session;
}

/* The socket's state as netlink tells it; 0 if it is one that a file has, or is not connected. */
static __always_inline __u8 state_without_file(struct sock_common *sk)
{
	struct tcp_timewait_sock *tw;
	__u8 state = sk->skc_state;
	struct sock___with_file *full;

	switch (state) {
	case TCP_TIME_WAIT:
		tw = bpf_skc_to_tcp_timewait_sock(sk);
		return tw ? tw->tw_sk.tw_substate : 0; /* FIN_WAIT2, too */
	case TCP_NEW_SYN_RECV:
		return TCP_SYN_RECV;
	case TCP_ESTABLISHED:
	case TCP_SYN_SENT:
	case TCP_CLOSE:
		return 0;
	}
	full = (void *)bpf_skc_to_tcp_sock(sk);
	return full && !full->sk_socket ? state : 0;
}

static __always_inline void set_ends(struct minisock *rec, struct sock_common *sk, __u64 session,
				     __u32 now)
{
	__u16 local_port = sk->skc_num, remote_port = bpf_ntohs(sk->skc_dport);
	struct net *net = sk->skc_net.net;
	int is_listened;

	rec->kind = LOCAL_END;
	if (is_ephemeral(net, local_port)) {
		is_listened = now - listened[local_port] < REMEMBERED;
		if (!is_listened)
			rec->kind = REMOTE_END;
		else if (!is_accepted(sk, session))
			rec->kind = BOTH_ENDS;
	}
	if (rec->kind != REMOTE_END)
		rec->local_port = local_port;
	if (rec->kind != LOCAL_END) {
		rec->remote_port = remote_port;
		set_remote_address(rec->address, sk);
	} else if (is_ephemeral(net, remote_port)) {
		rec->flags |= REMOTE_PORT_EPHEMERAL;
	}
}

SEC("iter/tcp")
int count_minisocks(struct bpf_iter__tcp *ctx)
{
	struct sock_common *sk = ctx->sk_common;
	__u32 local[4], now;
	struct minisock rec = {};

	if (!sk)
		return 0;
	now = bpf_ktime_get_ns() / NSEC_PER_SEC + REMEMBERED; /* later than 0 by as much, at boot too */
	if (sk->skc_state == TCP_LISTEN) {
		note_listener(sk, ctx->meta->session_id, now);
		return 0;
	}
	rec.state = state_without_file(sk);
	if (!rec.state)
		return 0;
	if (sk->skc_family != AF_INET)
		rec.flags = IPV6;
	set_ends(&rec, sk, ctx->meta->session_id, now);
	set_local_address(local, sk);
	rec.local = fold(local);
	rec.device = sk->skc_bound_dev_if;
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}
