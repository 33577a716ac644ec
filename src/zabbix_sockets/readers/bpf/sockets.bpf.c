// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Four iterators over the open files of all tasks (bpf_iter "task_file", Linux 5.11), and one
 * over the tasks (bpf_iter "task"):
 *
 *   count_sockets   one struct record per TCP, UDP or unix socket and owner, made to be counted:
 *                   equal sockets give equal bytes, so the reader needs no look at each
 *   own_sockets     one struct owner per socket and owner: who holds which inode
 *   inform_sockets  one struct information per TCP socket and owner: its tcp_info
 *   count_clients   one struct client per established TCP connection, unless connect(2) took its
 *                   local port, and owner: who is at its other end; made to be counted, too
 *   describe_processes  one struct process per process: the name of the file that it executes, and
 *                   how many descriptors it has open
 *
 * Where totals.bpf.c is loaded, its count_sockets is in the place of the one here.
 */
#include "record.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct owner {
	__u32 pid;
	__u32 inode;
	__u32 started;
	char comm[16];
};

#define UNCOUNTED 0xffffffffU

struct process {
	__u32 pid;
	__u32 started;
	__u32 fds;	/* descriptors that are open; UNCOUNTED: too much to look at, or it ends */
	char name[NAME_MAX + 1];	/* padded with zeros; empty: its mount has been detached */
};

struct information {
	__u64 cookie;	/* 0: nobody has asked for it yet */
	__u32 inode;
	__u32 unused;
	char congestion_control[TCP_CA_NAME_MAX];
	/* struct tcp_info up to tcpi_bytes_retrans; what sock_diag/tcp_info.py doesn't read is 0. */
	__u64 tcp_info[27];
};

struct client {
	__u32 netns;	/* inode number of the namespace */
	__u32 device;	/* index of the device that it is bound to */
	__u32 local;	/* the fold of the local address, an IPv4 one as it is mapped to IPv6 */
	__u16 local_port;	/* host order */
	__u8 kind;	/* INBOUND or UNDECIDED */
	__u8 flags;	/* IPV6, SHARED */
	__u32 inode;	/* SHARED; else 0, so that equal clients are equal bytes */
	__u32 address[4];	/* the remote one */
};

SEC("iter/task_file")
int count_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct record rec = {};
	struct sock *sk;

	if (!task || is_in_other(half_of(ctx->meta), task, ctx->fd))
		return 0;
	sk = set_record(&rec, ctx);
	if (sk)
		write_record(ctx->meta->seq, &rec, sk);
	return 0;
}

SEC("iter/task_file")
int own_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct task_struct *leader;
	struct owner rec = {};
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = sock_of(file);
	if (!sk || !(is_inet(sk) || is_unix(sk)))
		return 0;
	leader = task->group_leader;
	rec.pid = pid_for_reader(leader);
	rec.inode = file->f_inode->i_ino;
	rec.started = leader->start_boottime / NSEC_PER_SEC;
	bpf_probe_read_kernel_str(rec.comm, sizeof(rec.comm), leader->comm);
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

/* As tcp_get_info() in net/ipv4/tcp.c, with the fields that readers/sock_diag/tcp_info.py reads. */
static __always_inline void set_information(struct information *rec, struct tcp_sock *tp,
					    const int probed)
{
	__u32 sent = READ(tp, lsndtime), received = READ(tp, inet_conn.icsk_ack.lrcvtime);
	__u32 start = READ(tp, chrono_start), now = bpf_jiffies64();
	__u32 delivered = READ(tp, rate_delivered), interval = READ(tp, rate_interval_us);
	struct tcp_info *info = (void *)rec->tcp_info;
	__u8 type = READ_CHRONO_TYPE(tp);
	const struct tcp_congestion_ops *congestion = READ(tp, inet_conn.icsk_ca_ops);

	info->tcpi_retransmits = READ(tp, inet_conn.icsk_retransmits);
	info->tcpi_unacked = READ(tp, packets_out);
	info->tcpi_lost = READ(tp, lost_out);
	info->tcpi_retrans = READ(tp, retrans_out);
	info->tcpi_last_data_sent = (__u64)(now - sent) * 1000 / constants.hz;
	info->tcpi_last_data_recv = (__u64)(now - received) * 1000 / constants.hz;
	info->tcpi_rtt = READ(tp, srtt_us) >> 3;
	info->tcpi_rttvar = READ(tp, mdev_us) >> 2;
	info->tcpi_snd_ssthresh = READ(tp, snd_ssthresh);
	info->tcpi_snd_cwnd = READ(tp, snd_cwnd);
	info->tcpi_rcv_rtt = READ(tp, rcv_rtt_est.rtt_us) >> 3;
	info->tcpi_total_retrans = READ(tp, total_retrans);
	info->tcpi_bytes_acked = READ(tp, bytes_acked);
	info->tcpi_bytes_received = READ(tp, bytes_received);
	info->tcpi_min_rtt = READ(tp, rtt_min.s[0].v);
	if (delivered && interval)
		info->tcpi_delivery_rate =
			(__u64)delivered * READ(tp, mss_cache) * USEC_PER_SEC / interval;
	info->tcpi_rwnd_limited = chrono_us(READ(tp, chrono_stat[RWND_LIMITED - 1]),
					    type == RWND_LIMITED, now, start);
	info->tcpi_sndbuf_limited = chrono_us(READ(tp, chrono_stat[SNDBUF_LIMITED - 1]),
					      type == SNDBUF_LIMITED, now, start);
	info->tcpi_busy_time = info->tcpi_rwnd_limited + info->tcpi_sndbuf_limited +
			       chrono_us(READ(tp, chrono_stat[BUSY - 1]), type == BUSY, now, start);
	info->tcpi_bytes_sent = READ(tp, bytes_sent);
	info->tcpi_bytes_retrans = READ(tp, bytes_retrans);
	bpf_probe_read_kernel_str(rec->congestion_control, TCP_CA_NAME_MAX, congestion->name);
}

/* Return 0 for what is no TCP connection. */
static __always_inline int inform(struct information *rec, struct sock *sk)
{
	struct sock *first = 0;
	struct tcp_sock *tp;
	__u8 state;

	if (sk->sk_protocol == IPPROTO_TCP) {
		tp = bpf_skc_to_tcp_sock(sk);
		state = sk->__sk_common.skc_state;
		if (!tp || state == TCP_LISTEN || state == TCP_CLOSE)
			return 0;
		rec->cookie = sk->__sk_common.skc_cookie.counter;
		set_information(rec, tp, 0);
		return 1;
	}
	if (sk->sk_protocol != IPPROTO_MPTCP)
		return 0;
	first = first_subflow_of(sk);
	if (!first)
		return 0;
	state = BPF_CORE_READ(first, __sk_common.skc_state);
	if (state == TCP_LISTEN || state == TCP_CLOSE)
		return 0;
	rec->cookie = BPF_CORE_READ(first, __sk_common.skc_cookie.counter);
	set_information(rec, (void *)first, 1);
	return 1;
}

SEC("iter/task_file")
int inform_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct information rec = {};
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = inet_sock_of(file);
	if (!sk || !inform(&rec, sk))
		return 0;
	rec.inode = file->f_inode->i_ino;
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

/*
 * The last part of what d_path() in fs/d_path.c says: where a file is mounted on another, it is
 * the other's name. 0 where nothing leads to it any more.
 */
static __always_inline struct dentry *name_in_tree(struct path *path)
{
	struct dentry *dentry = BPF_CORE_READ(path, dentry);
	struct vfsmount *mounted = BPF_CORE_READ(path, mnt);
	struct mount *mount, *parent;
	int i;

#pragma unroll
	for (i = 0; i < MOUNTS_TRIED; i++) {
		if (BPF_CORE_READ(mounted, mnt_root) != dentry)
			return dentry;
		mount = (void *)mounted - bpf_core_field_offset(struct mount, mnt);
		parent = BPF_CORE_READ(mount, mnt_parent);
		if (parent == mount)
			return 0;
		dentry = BPF_CORE_READ(mount, mnt_mountpoint);
		mounted = (void *)parent + bpf_core_field_offset(struct mount, mnt);
	}
	return dentry;
}

/*
 * The ones in up to WORDS_AT_ONCE words of the kernel's memory, of *size* bytes. As a function that
 * is not static the verifier looks at it once, and not in each turn of the loop around it.
 */
__noinline __u32 count_ones(__u64 address, __u64 size)
{
	__u64 words[WORDS_AT_ONCE] = {};
	__u32 count = 0, i;

	if (size > sizeof(words))
		return 0;
	bpf_probe_read_kernel(words, size, (void *)address);
#pragma unroll
	for (i = 0; i < WORDS_AT_ONCE; i++) {
		__u64 word = words[i];

		word -= word >> 1 & 0x5555555555555555;
		word = (word & 0x3333333333333333) + (word >> 2 & 0x3333333333333333);
		word = (word + (word >> 4)) & 0x0f0f0f0f0f0f0f0f;
		count += word * 0x0101010101010101 >> 56;
	}
	return count;
}

/*
 * The words that the iterator of a session may still look at: thousands of tasks of a user may share one
 * table of half a million descriptors.
 */
static __u64 counting_session;
static __u32 words_left;

/* As proc_readfd_count() in fs/proc/fd.c, by which procfs tells it since Linux 6.2. */
static __always_inline __u32 count_fds(struct task_struct *task, __u64 session)
{
	struct files_struct *files = BPF_CORE_READ(task, files);
	struct fdtable *table = BPF_CORE_READ(files, fdt);
	__u64 bitmap = (__u64)BPF_CORE_READ(table, open_fds);
	__u32 words = BPF_CORE_READ(table, max_fds) / 64;
	__u32 count = 0, at;

	if (counting_session != session) {
		counting_session = session;
		words_left = WORDS_OF_ALL;
	}
	if (!bitmap || words > MAX_WORDS || words > words_left)
		return UNCOUNTED;
	words_left -= words;
	for (at = 0; at < MAX_WORDS && at + WORDS_AT_ONCE <= words; at += WORDS_AT_ONCE)
		count += count_ones(bitmap + at * 8, WORDS_AT_ONCE * 8);
	count += count_ones(bitmap + at * 8, words % WORDS_AT_ONCE * 8);
	/* An end of the process, or a larger table, during the count. */
	if (BPF_CORE_READ(task, files) != files || BPF_CORE_READ(files, fdt) != table)
		return UNCOUNTED;
	return count;
}

SEC("iter/task")
int describe_processes(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct process rec = {};
	struct task_struct *leader;
	struct dentry *dentry;
	struct mm_struct *mm;
	struct file *file;

	if (!task || task->flags & PF_KTHREAD)
		return 0;
	leader = task->group_leader;
	/* A main thread that has exited has no memory: each of the others tells for it. */
	if (task != leader && BPF_CORE_READ(leader, mm))
		return 0;
	mm = BPF_CORE_READ(task, mm);
	if (!mm)
		return 0;
	file = BPF_CORE_READ(mm, exe_file);
	if (!file)
		return 0;
	rec.fds = count_fds(task, ctx->meta->session_id);
	dentry = name_in_tree(__builtin_preserve_access_index(&file->f_path));
	if (dentry)
		bpf_probe_read_kernel_str(rec.name, sizeof(rec.name),
					  BPF_CORE_READ(dentry, d_name.name));
	rec.pid = pid_for_reader(leader);
	rec.started = leader->start_boottime / NSEC_PER_SEC;
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

/* Return 0 for what is no established connection that a listener may have accepted. */
static __always_inline int set_client(struct client *rec, struct sock *sk, struct net *net,
				      const int probed)
{
	__u8 state = READ(sk, __sk_common.skc_state);
	struct record ends = {};

	if (state == TCP_LISTEN && !READ(sk, sk_max_ack_backlog))
		were_mistaken(READ(sk, __sk_common.skc_num));
	if (state != TCP_ESTABLISHED)
		return 0;
	rec->kind = INBOUND;
	if (!READ(sk, sk_max_ack_backlog)) {
		if (has_port_of_connect(sk, net, probed))
			return 0;
		rec->kind = UNDECIDED;
	}
	set_addresses(&ends, sk, 0, probed);
	rec->flags = ends.flags;
	rec->local = ends.bound;
	__builtin_memcpy(rec->address, ends.address, sizeof(rec->address));
	if (!(ends.flags & IPV6)) { /* the local one is behind the remote one */
		rec->local = bpf_htonl(0xffff) * 0x85ebca77 ^ ends.address[1] * 0xc2b2ae3d;
		rec->address[1] = 0;
	}
	rec->local_port = READ(sk, __sk_common.skc_num);
	rec->device = READ(sk, __sk_common.skc_bound_dev_if);
	return 1;
}

static __always_inline int set_client_of(struct client *rec, struct sock *sk, struct net *net)
{
	struct tcp_sock *tp;
	struct sock *first;

	if (sk->sk_protocol == IPPROTO_TCP) {
		tp = bpf_skc_to_tcp_sock(sk);
		return tp && set_client(rec, sk, net, 0);
	}
	if (sk->sk_protocol != IPPROTO_MPTCP)
		return 0;
	first = first_subflow_of(sk);
	return first && set_client(rec, first, net, 1);
}

SEC("iter/task_file")
int count_clients(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct client rec = {};
	struct net *net;
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = inet_sock_of(file);
	if (!sk)
		return 0;
	net = sk->__sk_common.skc_net.net;
	if (!set_client_of(&rec, sk, net))
		return 0;
	rec.netns = net->ns.inum;
	if (maybe_shared(task, file)) {
		rec.flags |= SHARED;
		rec.inode = file->f_inode->i_ino;
	}
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}
