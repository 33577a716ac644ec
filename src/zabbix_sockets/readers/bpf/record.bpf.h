/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The record of a TCP, UDP or unix socket and one of its owners, made to be counted: equal sockets
 * give equal bytes, so the reader needs no look at each.
 */
#include "kernel.bpf.h"

/* Kinds of records; readers/bpf/records.py has the same. */
enum {
	LISTENER = 1,	/* listening TCP, bound UDP; queues: accept queue, backlog, or bytes */
	INBOUND = 2,	/* accepted; port and, but in CLOSE_WAIT, address are the local ones */
	OUTBOUND = 3,	/* connect(2) took an ephemeral port; address and port are the remote ones */
	UNDECIDED = 4,	/* as OUTBOUND, and the local port is there, to be compared with listeners */
	UNIX_LISTENER = 5,	/* queues: accept queue, backlog; behind it its name, as struct unix_name */
	UNIX_CONNECTED = 6,	/* accepted, if address is a listener's; else connected, or one of a pair */
	UNIX_NAME = 7,
};

enum {
	IPV6 = 1,
	SHARED = 2,	/* perhaps: the file may have other owners; inode tells which file */
	AGAIN = 4,	/* LISTENER: what it accepted may have been taken for OUTBOUND; read again */
	DROPS = 8,	/* a second record of a LISTENER or of UDP: recv_queue is what was dropped there */
};

struct record {
	__u32 pid;	/* at the reader's level */
	__u32 netns;	/* inode number of the namespace */
	__u64 cgroup;	/* id of the owner's cgroup v2 directory */
	__u32 uid;	/* of the socket's creator */
	__u8 kind;
	__u8 state;
	__u8 protocol;
	__u8 flags;
	__u16 local_port;	/* LISTENER, INBOUND, UNDECIDED; host order */
	__u16 remote_port;	/* OUTBOUND, UNDECIDED; host order */
	/*
	 * Where address is the local one: index of the device that it is bound to; else, over IPv6, the
	 * fold of the local one
	 */
	__u32 bound;
	char comm[16];
	/*
	 * LISTENER, and INBOUND but in CLOSE_WAIT: the local one; else the remote one and, over IPv4,
	 * behind it the local one
	 */
	union {
		__u32 address[4];
		__u64 name;	/* UNIX_*: number_of() the name that it is bound to; 0: to none */
	};
	__u32 recv_queue;
	__u32 send_queue;
	__u32 inode;	/* LISTENER, UDP, UNIX_LISTENER, SHARED; else 0, so that equal sockets are equal bytes */
	__u32 started;	/* seconds from boot to the owner's start */
	__u32 fds_limit;	/* soft RLIMIT_NOFILE; all ones: more than that */
	union {
		__u32 requests;	/* LISTENER: connections in SYN_RECV, which have no file */
		__u32 device;	/* where address is the remote one: index of the device it is bound to */
	};
	/*
	 * What follows is of TCP in ESTABLISHED that has an rtt sample and sent or received data
	 * within an hour; else 0. B: bucket_of() tells the value.
	 */
	__u8 rtt;	/* B, us */
	__u8 idle;	/* idle_class() of the time since data was sent or received */
	__u8 receiver_limited;	/* B, ms */
	__u8 sender_buffer_limited;	/* B, ms */
	__u8 retransmitting;	/* 0 or 1 */
	__u8 unused[3];
	__u32 retransmits;	/* segments in all */
	__u32 lost;	/* segments */
};

/*
 * The name of a listening unix socket, or 64 bytes of it: as a record, so that all are equally long.
 * Names are up to 109 bytes long, and few sockets listen.
 */
struct unix_name {
	__u32 part;	/* 0, and 1 for what is behind the first 64 bytes */
	__u32 length;	/* bytes of all of it: of a path with the NUL at its end */
	__u64 name;	/* as in struct record */
	__u32 unused;
	__u8 kind;	/* UNIX_NAME */
	__u8 zeros[3];
	char bytes[64];	/* the first one of an abstract name is NUL */
	__u8 behind[16];
};

_Static_assert(sizeof(struct unix_name) == sizeof(struct record), "all records are equally long");

/* What is set before the programs are loaded. */
static const volatile struct {
	__u32 hz;	/* ticks in a second, which nothing in the kernel tells */
	__u32 append;	/* O_APPEND and O_NONBLOCK of this architecture */
	__u32 nonblock;
	__u64 secrets[3];	/* random: they keep addresses in the kernel's memory from those who read */
} constants = {1000, 02000, 04000, {1, 2, 3}};

/*
 * Two threads may read the sockets at once, a half each: descriptors with O_APPEND, which means nothing to
 * a reader else, get the first half, and with O_NONBLOCK beside it the second. Descriptors alternate
 * between the halves in blocks of 64, so that the two readers seldom hold the same file at once, which
 * would then look shared to maybe_shared(). A process's id decides which half has its first block.
 */
enum half { WHOLE = -1, FIRST, SECOND };

#define BLOCK_BITS 6

static __always_inline enum half half_of(struct bpf_iter_meta *meta)
{
	__u32 flags = meta->seq->file->f_flags;

	if (!(flags & constants.append))
		return WHOLE;
	return flags & constants.nonblock ? SECOND : FIRST;
}

/* Whether a task's descriptor is for the reader of the other half. */
static __always_inline int is_in_other(enum half half, struct task_struct *task, __u32 fd)
{
	return half != WHOLE && ((fd >> BLOCK_BITS ^ task->pid) & 1) != half;
}

/* The task's process id as the reader's pid namespace numbers it. */
static __always_inline __u32 pid_for_reader(struct task_struct *leader)
{
	struct task_struct *reader = bpf_get_current_task_btf();
	__u64 level = reader->thread_pid->level;
	__u32 nr = leader->tgid;
	__u64 pid;

	/*
	 * numbers[] is indexed by level; only the running kernel knows the size of an entry.
	 * The address must be a mere number: up to 6.8 the verifier refuses sums of a pointer
	 * that it knows and an unknown index.
	 */
	if (level) {
		pid = (__u64)BPF_CORE_READ(leader, thread_pid);
		bpf_probe_read_kernel(&nr, sizeof(nr),
				      (void *)(pid +
					       bpf_core_field_offset(struct pid___numbers, numbers) +
					       level * bpf_core_type_size(struct upid) +
					       bpf_core_field_offset(struct upid, nr)));
	}
	return nr;
}

static __always_inline __u32 fds_limit(struct task_struct *leader)
{
	unsigned long soft = leader->signal->rlim[RLIMIT_NOFILE].rlim_cur;

	return soft < 0xffffffffUL ? soft : 0xffffffffUL;
}

/*
 * Whether another process, or another visit of this one, may come along with the same file.
 * The iterator holds one reference itself, so an unshared file shows two. A thread that is
 * blocked in a system call holds one more, which makes the file seem shared and is harmless.
 */
static __always_inline int maybe_shared(struct task_struct *task, struct file *file)
{
	struct file___since_6_13 *since = (void *)file;
	struct file___before_6_13 *before = (void *)file;
	long references;

	if (bpf_core_field_exists(since->f_ref))
		references = since->f_ref.refcnt.counter + 1; /* it counts from zero */
	else
		references = before->f_count.counter;
	return references != 2 || task != task->group_leader ||
	       task->files->count.counter != task->signal->live.counter;
}

static __always_inline struct sock *sock_of(struct file *file)
{
	struct socket *sock = bpf_sock_from_file(file);

	return sock ? sock->sk : 0;
}

static __always_inline int is_inet(struct sock *sk)
{
	__u16 family = sk->__sk_common.skc_family;

	return family == AF_INET || family == AF_INET6;
}

/* Whether it is a unix socket that listens or has a connection, or may do so. */
static __always_inline int is_unix(struct sock *sk)
{
	return sk->__sk_common.skc_family == AF_UNIX &&
	       (sk->sk_type == SOCK_STREAM || sk->sk_type == SOCK_SEQPACKET);
}

static __always_inline struct sock *inet_sock_of(struct file *file)
{
	struct sock *sk = sock_of(file);

	return sk && is_inet(sk) ? sk : 0;
}

/*
 * The verifier knows the type of a socket that it led us to, so its fields are plain loads.
 * The subflow of an MPTCP socket it doesn't know: each field takes a helper call. probed is
 * constant wherever these functions are inlined.
 */
#define READ(ptr, field) (probed ? BPF_CORE_READ(ptr, field) : (ptr)->field)

/*
 * Fill in the local address (local: a listener's, or of what it accepted) or the remote one. Behind
 * a remote IPv4 address there is room for the local one, of a local IPv6 one for its fold only.
 */
static __always_inline void set_addresses(struct record *rec, struct sock *sk, int local,
					  const int probed)
{
	__u32 here[4];
	int i;

	if (READ(sk, __sk_common.skc_family) == AF_INET) {
		here[0] = READ(sk, __sk_common.skc_rcv_saddr);
		rec->address[0] = local ? here[0] : READ(sk, __sk_common.skc_daddr);
		rec->address[1] = local ? 0 : here[0];
		return;
	}
	rec->flags |= IPV6;
#pragma unroll
	for (i = 0; i < 4; i++) {
		here[i] = READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i]);
		rec->address[i] =
			local ? here[i] :
				READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[i]);
	}
	if (!local)
		rec->bound = fold(here);
}

static __always_inline void set_endpoints(struct record *rec, struct sock *sk, const int probed)
{
	/* Those in CLOSE_WAIT carry the remote address, so that it can be said whose they are. */
	int local = rec->kind == LISTENER ||
		    (rec->kind == INBOUND && rec->state != TCP_CLOSE_WAIT);

	if (rec->kind != OUTBOUND)
		rec->local_port = READ(sk, __sk_common.skc_num);
	if (rec->kind == OUTBOUND || rec->kind == UNDECIDED)
		rec->remote_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
	if (local)
		rec->bound = READ(sk, __sk_common.skc_bound_dev_if);
	else
		rec->device = READ(sk, __sk_common.skc_bound_dev_if);
	set_addresses(rec, sk, local, probed);
}

/*
 * Ports where listeners without a backlog were seen. What these accept inherits nothing that
 * would tell it from a socket that connect(2) gave an ephemeral port.
 */
static __u8 without_backlog[65536];
static __u64 last_without_backlog; /* when the last of the ports was found; ns since boot */

/*
 * Note that a listener without a backlog has the port; whether what such listeners accepted was, or
 * within this read may have been, taken for OUTBOUND before the port was known.
 */
static __always_inline int were_mistaken(__u16 port)
{
	__u64 now = bpf_ktime_get_ns();

	if (!without_backlog[port]) {
		without_backlog[port] = 1;
		last_without_backlog = now;
	}
	return now - last_without_backlog < MISTAKEN_FOR;
}

/* Whether connect(2) chose the local port, and not bind(2) or a listener. */
static __always_inline int has_port_of_connect(struct sock *sk, struct net *net, const int probed)
{
	__u16 port = READ(sk, __sk_common.skc_num);
	__u8 locks;

	if (probed)
		locks = BPF_CORE_READ_BITFIELD_PROBED(sk, sk_userlocks);
	else
		locks = BPF_CORE_READ_BITFIELD(sk, sk_userlocks); /* until 6.12 it is one */
	return !(locks & SOCK_BINDPORT_LOCK) && !without_backlog[port] && is_ephemeral(net, port);
}

/*
 * Values below 8 by themselves, others by their power of two and the 3 bits that follow the
 * first: 8 buckets an octave, of which the middle is within a sixteenth. model/quality.py has the same.
 */
static __always_inline __u8 bucket_of(__u32 value)
{
	__u32 octave = 0, high = value;

	if (value < 8)
		return value;
	if (high >> 16) {
		octave += 16;
		high >>= 16;
	}
	if (high >> 8) {
		octave += 8;
		high >>= 8;
	}
	if (high >> 4) {
		octave += 4;
		high >>= 4;
	}
	if (high >> 2) {
		octave += 2;
		high >>= 2;
	}
	octave += high >> 1;
	return (octave - 2) * 8 + (value >> ((octave - 3) & 31) & 7);
}

/* The place, from 1, of the first of 10, 30, 60, 120, 300, 600, 3600 seconds not exceeded; 0: none. */
static __always_inline __u8 idle_class(__u32 ticks)
{
	if (ticks <= 10 * constants.hz)
		return 1;
	if (ticks <= 30 * constants.hz)
		return 2;
	if (ticks <= 60 * constants.hz)
		return 3;
	if (ticks <= 120 * constants.hz)
		return 4;
	if (ticks <= 300 * constants.hz)
		return 5;
	if (ticks <= 600 * constants.hz)
		return 6;
	return ticks <= 3600 * constants.hz ? 7 : 0;
}

/* The time in us of what enum tcp_chrono numbers, the present run included, as tcp_get_info(). */
static __always_inline __u64 chrono_us(__u32 ticks, int running, __u32 now, __u32 start)
{
	return (__u64)(running ? ticks + (now - start) : ticks) * (USEC_PER_SEC / constants.hz);
}

#define READ_CHRONO_TYPE(tp)                                            \
	(probed ? BPF_CORE_READ_BITFIELD_PROBED(tp, chrono_type) :      \
		  BPF_CORE_READ_BITFIELD(tp, chrono_type))

enum { BUSY = 1, RWND_LIMITED = 2, SNDBUF_LIMITED = 3 }; /* enum tcp_chrono */

static __always_inline void set_quality(struct record *rec, struct tcp_sock *tp, const int probed)
{
	__u32 sent = READ(tp, lsndtime), received = READ(tp, inet_conn.icsk_ack.lrcvtime);
	__u32 start = READ(tp, chrono_start), rtt = READ(tp, srtt_us) >> 3;
	__u32 now = bpf_jiffies64(); /* read behind them: none is later */
	__u8 type;

	sent = now - sent;
	received = now - received;
	if (rtt)
		rec->idle = idle_class(sent < received ? sent : received);
	if (!rec->idle)
		return;
	rec->rtt = bucket_of(rtt);
	rec->retransmits = READ(tp, total_retrans);
	rec->retransmitting = READ(tp, inet_conn.icsk_retransmits) != 0;
	if (READ(tp, packets_out)) { /* else neither, which shows without their cache lines */
		rec->lost = READ(tp, lost_out);
		if (READ(tp, retrans_out))
			rec->retransmitting = 1;
	}
	type = READ_CHRONO_TYPE(tp);
	rec->receiver_limited =
		bucket_of(chrono_us(READ(tp, chrono_stat[RWND_LIMITED - 1]), type == RWND_LIMITED,
				    now, start) / USEC_PER_MSEC);
	rec->sender_buffer_limited =
		bucket_of(chrono_us(READ(tp, chrono_stat[SNDBUF_LIMITED - 1]),
				    type == SNDBUF_LIMITED, now, start) / USEC_PER_MSEC);
}

/* Return 0 for a TCP socket that is neither connected nor listening. */
static __always_inline int set_tcp(struct record *rec, struct sock *sk, struct tcp_sock *tp,
				   struct net *net, const int probed)
{
	int unread;

	rec->state = READ(sk, __sk_common.skc_state);
	rec->protocol = IPPROTO_TCP;
	if (rec->state == TCP_CLOSE)
		return 0;
	if (rec->state == TCP_LISTEN) {
		rec->kind = LISTENER;
		rec->recv_queue = READ(sk, sk_ack_backlog);
		rec->send_queue = READ(sk, sk_max_ack_backlog);
		rec->requests = READ(tp, inet_conn.icsk_accept_queue.qlen.counter);
		if (!rec->send_queue && were_mistaken(READ(sk, __sk_common.skc_num)))
			rec->flags |= AGAIN;
	} else {
		/* Most queues are empty, which shows without the cache lines of their ends. */
		if (READ(sk, sk_backlog.rmem_alloc.counter)) {
			unread = READ(tp, rcv_nxt) - READ(tp, copied_seq);
			rec->recv_queue = unread > 0 ? unread : 0;
		}
		if (READ(sk, sk_wmem_queued))
			rec->send_queue = READ(tp, write_seq) - READ(tp, snd_una);
		if (READ(sk, sk_max_ack_backlog)) /* inherited from its listener */
			rec->kind = INBOUND;
		else
			rec->kind = has_port_of_connect(sk, net, probed) ? OUTBOUND : UNDECIDED;
		if (rec->state == TCP_ESTABLISHED)
			set_quality(rec, tp, probed);
	}
	set_endpoints(rec, sk, probed);
	return 1;
}

/*
 * Return the subflow of an MPTCP socket that netlink shows as TCP, or 0. A kernel without MPTCP has no
 * such type, and refuses a program that can come to read it.
 */
static __always_inline struct sock *first_subflow_of(struct sock *sk)
{
	struct mptcp_sock *msk = (void *)sk;

	return bpf_core_field_exists(msk->first) ? BPF_CORE_READ(msk, first) : 0;
}

/* Return 0 for an MPTCP socket without its first subflow. */
static __always_inline int set_mptcp(struct record *rec, struct sock *sk, struct net *net)
{
	struct sock *first = first_subflow_of(sk);

	return first && set_tcp(rec, first, (void *)first, net, 1);
}

/* Return 0 for a UDP socket that is not bound. */
static __always_inline int set_udp(struct record *rec, struct sock *sk)
{
	struct udp_sock *up = (void *)sk;

	if (!sk->__sk_common.skc_num)
		return 0;
	rec->state = sk->__sk_common.skc_state;
	rec->protocol = IPPROTO_UDP;
	rec->kind = rec->state == TCP_CLOSE ? LISTENER : UNDECIDED;
	rec->recv_queue = sk->sk_backlog.rmem_alloc.counter - BPF_CORE_READ(up, forward_deficit);
	rec->send_queue = sk->sk_wmem_alloc.refs.counter - 1;
	set_endpoints(rec, sk, 0);
	return 1;
}

static __always_inline int set_socket(struct record *rec, struct sock *sk, struct net *net)
{
	struct tcp_sock *tp;

	switch (sk->sk_protocol) {
	case IPPROTO_TCP:
		tp = bpf_skc_to_tcp_sock(sk);
		return tp && set_tcp(rec, sk, tp, net, 0);
	case IPPROTO_UDP:
		return set_udp(rec, sk);
	case IPPROTO_MPTCP:
		return set_mptcp(rec, sk, net);
	}
	return 0;
}

/*
 * The number of an object in the kernel's memory: no two have the same, and nobody learns from it
 * where they are.
 */
static __always_inline __u64 number_of(const void *object)
{
	__u64 number = (__u64)object;

	if (!number)
		return 0;
	number ^= constants.secrets[0];
	number = (number ^ (number >> 30)) * 0xbf58476d1ce4e5b9ULL;
	number ^= constants.secrets[1];
	number = (number ^ (number >> 27)) * 0x94d049bb133111ebULL;
	number ^= constants.secrets[2];
	return number ^ (number >> 31);
}

static __always_inline struct unix_address *unix_address_of(struct sock *sk)
{
	return BPF_CORE_READ((struct unix_sock *)sk, addr);
}

/*
 * Return 0 for a unix socket that neither listens nor is connected. What it accepted has the very
 * address of the listener, which lives as long as one of them.
 */
static __always_inline int set_unix(struct record *rec, struct sock *sk)
{
	rec->state = sk->__sk_common.skc_state;
	if (rec->state == TCP_LISTEN) {
		rec->kind = UNIX_LISTENER;
		rec->recv_queue = sk->sk_receive_queue.qlen; /* of what connects, a socket each */
		rec->send_queue = sk->sk_max_ack_backlog;
	} else if (rec->state == TCP_ESTABLISHED) {
		rec->kind = UNIX_CONNECTED;
	} else {
		return 0;
	}
	rec->name = number_of(unix_address_of(sk));
	return 1;
}

static __always_inline void set_owner(struct record *rec, struct task_struct *leader)
{
	rec->pid = pid_for_reader(leader);
	rec->cgroup = leader->cgroups->dfl_cgrp->kn->id;
	rec->started = leader->start_boottime / NSEC_PER_SEC;
	rec->fds_limit = fds_limit(leader);
	bpf_probe_read_kernel_str(rec->comm, sizeof(rec->comm), leader->comm);
}

/* Fill in the record of the visited file and its owner; return 0 if that is no socket to count. */
static __always_inline struct sock *set_record(struct record *rec, struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct net *net;
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = sock_of(file);
	if (!sk || !(is_inet(sk) || is_unix(sk)))
		return 0;
	net = sk->__sk_common.skc_net.net;
	if (is_inet(sk) ? !set_socket(rec, sk, net) : !set_unix(rec, sk))
		return 0;
	rec->netns = net->ns.inum;
	rec->uid = sk->sk_uid.val;
	set_owner(rec, task->group_leader);
	if (maybe_shared(task, file))
		rec->flags |= SHARED;
	if (rec->flags & SHARED || rec->kind == LISTENER || rec->kind == UNIX_LISTENER ||
	    rec->protocol == IPPROTO_UDP)
		rec->inode = file->f_inode->i_ino;
	return sk;
}

/* How many packets the kernel dropped at the socket since it was made, as sk_drops_read(). */
static __always_inline __u32 drops_of(struct sock *sk)
{
	struct sock___since_6_18 *since = (void *)sk;
	struct numa_drop_counters *counters;

	if (bpf_core_field_exists(since->sk_drop_counters)) {
		counters = BPF_CORE_READ(since, sk_drop_counters);
		if (counters)
			return BPF_CORE_READ(counters, drops0.counter) +
			       BPF_CORE_READ(counters, drops1.counter);
	}
	return BPF_CORE_READ(sk, sk_drops.counter);
}

/*
 * Write the drops of a listener or a UDP socket, if there are any, in a second record: so the others
 * need no room for them, nor a look.
 */
static __always_inline void write_drops(struct seq_file *seq, struct record *rec, struct sock *sk)
{
	__u32 drops;

	if (sk->sk_protocol == IPPROTO_MPTCP)
		sk = first_subflow_of(sk);
	drops = drops_of(sk);
	if (!drops)
		return;
	rec->flags |= DROPS;
	rec->recv_queue = drops;
	bpf_seq_write(seq, rec, sizeof(*rec));
}

/* Write a part of the name of a listening unix socket, if it has that part. */
static __always_inline void write_name(struct seq_file *seq, struct unix_name *name,
				       struct unix_address *address, const __u32 part)
{
	__u32 length = name->length - part * sizeof(name->bytes);

	if (name->length <= part * sizeof(name->bytes))
		return;
	if (length > sizeof(name->bytes))
		length = sizeof(name->bytes);
	name->part = part;
	__builtin_memset(name->bytes, 0, sizeof(name->bytes));
	bpf_probe_read_kernel(name->bytes, length,
			      (void *)address + bpf_core_field_offset(struct unix_address, name) +
				      bpf_core_field_offset(struct sockaddr_un, sun_path) +
				      part * sizeof(name->bytes));
	bpf_seq_write(seq, name, sizeof(*name));
}

/* Write the name of a listening unix socket; the record is used up then. */
static __always_inline void write_names(struct seq_file *seq, struct record *rec, struct sock *sk)
{
	struct unix_name *name = (void *)rec;
	struct unix_address *address;
	__u64 number = rec->name;

	address = unix_address_of(sk);
	if (!address || number_of(address) != number)
		return; /* it is being closed */
	__builtin_memset(name, 0, sizeof(*name));
	name->kind = UNIX_NAME;
	name->name = number;
	name->length = BPF_CORE_READ(address, len) -
		       bpf_core_field_offset(struct sockaddr_un, sun_path);
	write_name(seq, name, address, 0);
	write_name(seq, name, address, 1);
}

/*
 * Write the record that set_record() made of the socket, and what goes with it: of a listening unix
 * socket its name, of other listeners and of UDP what was dropped.
 */
static __always_inline void write_record(struct seq_file *seq, struct record *rec, struct sock *sk)
{
	bpf_seq_write(seq, rec, sizeof(*rec));
	if (rec->kind == UNIX_LISTENER)
		write_names(seq, rec, sk);
	else if (rec->kind == LISTENER || rec->protocol == IPPROTO_UDP)
		write_drops(seq, rec, sk);
}
