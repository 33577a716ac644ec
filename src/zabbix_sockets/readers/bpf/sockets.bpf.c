// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Three iterators over the open files of all tasks (bpf_iter "task_file", Linux 5.11), and one
 * over the tasks (bpf_iter "task"):
 *
 *   count_sockets   one struct record per TCP or UDP socket and owner, made to be counted:
 *                   equal sockets give equal bytes, so the reader needs no look at each
 *   own_sockets     one struct owner per socket and owner: who holds which inode
 *   inform_sockets  one struct information per TCP socket and owner: its tcp_info
 *   name_programs   one struct program per process: the name of the file that it executes
 *
 * Only what is used of a kernel structure is declared; libbpf finds the fields by the
 * running kernel's BTF (CO-RE). What changed between kernels is chosen by what exists,
 * never by a version.
 */
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define TCP_ESTABLISHED 1
#define TCP_CLOSE 7
#define TCP_LISTEN 10
#define SOCK_BINDPORT_LOCK 8
#define RLIMIT_NOFILE 7
#define TCP_CA_NAME_MAX 16
#define PF_KTHREAD 0x00200000
#define NAME_MAX 255
#define MOUNTS_TRIED 4 /* one on another, on the same file */
#define NSEC_PER_SEC 1000000000ULL
#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000
#define MISTAKEN_FOR (10 * NSEC_PER_SEC) /* longer than any one read takes */

#define CORE __attribute__((preserve_access_index))

typedef struct {
	int counter;
} atomic_t;

typedef struct {
	long counter;
} atomic_long_t;

typedef struct {
	__s64 counter;
} atomic64_t;

struct pid {
	unsigned int level;
} CORE;

struct upid {
	int nr;
} CORE;

struct pid___numbers {
	struct upid numbers[1];
} CORE;

struct rlimit {
	unsigned long rlim_cur;
} CORE;

struct signal_struct {
	atomic_t live;
	struct rlimit rlim[16];
} CORE;

struct kernfs_node {
	__u64 id;
} CORE;

struct cgroup {
	struct kernfs_node *kn;
} CORE;

struct css_set {
	struct cgroup *dfl_cgrp;
} CORE;

struct files_struct {
	atomic_t count;
} CORE;

struct dentry;

struct vfsmount {
	struct dentry *mnt_root;
} CORE;

struct mount { /* fs/mount.h */
	struct mount *mnt_parent;
	struct dentry *mnt_mountpoint;
	struct vfsmount mnt;
} CORE;

struct qstr {
	const unsigned char *name;
} CORE;

struct dentry {
	struct qstr d_name;
} CORE;

struct path {
	struct vfsmount *mnt;
	struct dentry *dentry;
} CORE;

struct mm_struct {
	struct file *exe_file;
} CORE;

struct task_struct {
	int tgid;
	unsigned int flags;
	struct mm_struct *mm;
	char comm[16];
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct files_struct *files;
	struct css_set *cgroups;
} CORE;

struct inode {
	unsigned long i_ino;
} CORE;

struct file {
	struct inode *f_inode;
	struct path f_path;
} CORE;

struct file___before_6_13 {
	atomic_long_t f_count;
} CORE;

typedef struct {
	atomic_long_t refcnt;
} file_ref_t;

struct file___since_6_13 {
	file_ref_t f_ref;
} CORE;

struct in6_addr {
	union {
		__u32 u6_addr32[4];
	} in6_u;
} CORE;

struct ns_common {
	unsigned int inum;
} CORE;

struct local_ports {
} CORE;

struct local_ports___before_6_8 {
	int range[2];
} CORE;

struct local_ports___since_6_8 {
	__u32 range; /* the highest port << 16 | the lowest */
} CORE;

struct netns_ipv4 {
	struct local_ports ip_local_ports;
} CORE;

struct net {
	struct ns_common ns;
	struct netns_ipv4 ipv4;
} CORE;

typedef struct {
	struct net *net;
} possible_net_t;

typedef struct {
	unsigned int val;
} kuid_t;

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	atomic64_t skc_cookie;
} CORE;

struct sk_backlog {
	atomic_t rmem_alloc;
} CORE;

typedef struct {
	atomic_t refs;
} refcount_t;

struct sock {
	struct sock_common __sk_common;
	struct sk_backlog sk_backlog;
	refcount_t sk_wmem_alloc;
	int sk_wmem_queued;
	__u8 sk_userlocks;
	__u16 sk_protocol;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	kuid_t sk_uid;
} CORE;

struct request_sock_queue {
	atomic_t qlen;
} CORE;

struct tcp_congestion_ops {
	char name[TCP_CA_NAME_MAX];
} CORE;

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
	const struct tcp_congestion_ops *icsk_ca_ops;
	__u8 icsk_retransmits;
	struct {
		__u32 lrcvtime;
	} icsk_ack;
} CORE;

struct minmax_sample {
	__u32 v;
} CORE;

struct minmax {
	struct minmax_sample s[3];
} CORE;

struct tcp_sock {
	struct inet_connection_sock inet_conn;
	__u32 rcv_nxt;
	__u32 copied_seq;
	__u32 write_seq;
	__u32 snd_una;
	__u32 srtt_us;
	__u32 mdev_us;
	struct minmax rtt_min;
	struct {
		__u32 rtt_us;
	} rcv_rtt_est;
	__u32 snd_cwnd;
	__u32 snd_ssthresh;
	__u32 mss_cache;
	__u32 packets_out;
	__u32 lost_out;
	__u32 retrans_out;
	__u32 total_retrans;
	__u32 lsndtime;
	__u64 bytes_sent;
	__u64 bytes_acked;
	__u64 bytes_received;
	__u64 bytes_retrans;
	__u32 rate_delivered;
	__u32 rate_interval_us;
	__u32 chrono_start;
	__u32 chrono_stat[3];
	__u8 chrono_type : 2;
} CORE;

struct udp_sock {
	int forward_deficit;
} CORE;

struct mptcp_sock {
	struct sock *first;
} CORE;

struct socket {
	struct sock *sk;
} CORE;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} CORE;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	__u32 fd;
	struct file *file;
} CORE;

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} CORE;

/* Kinds of records; readers/bpf/records.py has the same. */
enum {
	LISTENER = 1,	/* listening TCP, bound UDP; queues: accept queue, backlog, or bytes */
	INBOUND = 2,	/* accepted; address and port are the local ones */
	OUTBOUND = 3,	/* connect(2) took an ephemeral port; address and port are the remote ones */
	UNDECIDED = 4,	/* as OUTBOUND, and the local port is there, to be compared with listeners */
};

enum {
	IPV6 = 1,
	SHARED = 2,	/* perhaps: the file may have other owners; inode tells which file */
	AGAIN = 4,	/* LISTENER: what it accepted may have been taken for OUTBOUND; read again */
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
	/* LISTENER, INBOUND: index of the device it is bound to; else IPv6: fold of the local address */
	__u32 bound;
	char comm[16];
	/* LISTENER, INBOUND: the local one; else the remote one and, over IPv4, behind it the local one */
	__u32 address[4];
	__u32 recv_queue;
	__u32 send_queue;
	__u32 inode;	/* LISTENER, UDP, SHARED; else 0, so that equal sockets are equal bytes */
	__u32 started;	/* seconds from boot to the owner's start */
	__u32 fds_limit;	/* soft RLIMIT_NOFILE; all ones: more than that */
	union {
		__u32 requests;	/* LISTENER: connections in SYN_RECV, which have no file */
		__u32 device;	/* OUTBOUND, UNDECIDED: index of the device it is bound to */
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

struct owner {
	__u32 pid;
	__u32 inode;
	__u32 started;
	char comm[16];
};

struct program {
	__u32 pid;
	__u32 started;
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

/* Ticks in a second, which nothing in the kernel tells: set before the programs are loaded. */
static const volatile __u32 hz = 1000;

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

static __always_inline struct sock *inet_sock_of(struct file *file)
{
	struct socket *sock = bpf_sock_from_file(file);
	struct sock *sk;
	__u16 family;

	if (!sock)
		return 0;
	sk = sock->sk;
	if (!sk)
		return 0;
	family = sk->__sk_common.skc_family;
	return family == AF_INET || family == AF_INET6 ? sk : 0;
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
		rec->bound = here[0] ^ (here[1] * 0x9e3779b1) ^ (here[2] * 0x85ebca77) ^
			     (here[3] * 0xc2b2ae3d);
}

static __always_inline void set_endpoints(struct record *rec, struct sock *sk, const int probed)
{
	int local = rec->kind == LISTENER || rec->kind == INBOUND;

	if (rec->kind != OUTBOUND)
		rec->local_port = READ(sk, __sk_common.skc_num);
	if (local) {
		rec->bound = READ(sk, __sk_common.skc_bound_dev_if);
	} else {
		rec->remote_port = bpf_ntohs(READ(sk, __sk_common.skc_dport));
		rec->device = READ(sk, __sk_common.skc_bound_dev_if);
	}
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

static __always_inline int is_ephemeral(struct net *net, __u16 port)
{
	struct local_ports___before_6_8 *before = (void *)&net->ipv4.ip_local_ports;
	struct local_ports___since_6_8 *since = (void *)&net->ipv4.ip_local_ports;
	__u32 range;

	if (bpf_core_field_exists(before->range[1]))
		return before->range[0] <= port && port <= before->range[1];
	range = since->range;
	return (range & 0xffff) <= port && port <= range >> 16;
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
	if (ticks <= 10 * hz)
		return 1;
	if (ticks <= 30 * hz)
		return 2;
	if (ticks <= 60 * hz)
		return 3;
	if (ticks <= 120 * hz)
		return 4;
	if (ticks <= 300 * hz)
		return 5;
	if (ticks <= 600 * hz)
		return 6;
	return ticks <= 3600 * hz ? 7 : 0;
}

/* The time in us of what enum tcp_chrono numbers, the present run included, as tcp_get_info(). */
static __always_inline __u64 chrono_us(__u32 ticks, int running, __u32 now, __u32 start)
{
	return (__u64)(running ? ticks + (now - start) : ticks) * (USEC_PER_SEC / hz);
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

/* Return 0 for an MPTCP socket without the subflow that netlink shows as TCP. */
static __always_inline int set_mptcp(struct record *rec, struct sock *sk, struct net *net)
{
	struct mptcp_sock *msk = (void *)sk;
	struct sock *first = 0;

	if (!bpf_core_field_exists(msk->first))
		return 0;
	first = BPF_CORE_READ(msk, first);
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

static __always_inline void set_owner(struct record *rec, struct task_struct *leader)
{
	rec->pid = pid_for_reader(leader);
	rec->cgroup = leader->cgroups->dfl_cgrp->kn->id;
	rec->started = leader->start_boottime / NSEC_PER_SEC;
	rec->fds_limit = fds_limit(leader);
	bpf_probe_read_kernel_str(rec->comm, sizeof(rec->comm), leader->comm);
}

SEC("iter/task_file")
int count_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct record rec = {};
	struct net *net;
	struct sock *sk;

	if (!task || !file)
		return 0;
	sk = inet_sock_of(file);
	if (!sk)
		return 0;
	net = sk->__sk_common.skc_net.net;
	if (!set_socket(&rec, sk, net))
		return 0;
	rec.netns = net->ns.inum;
	rec.uid = sk->sk_uid.val;
	set_owner(&rec, task->group_leader);
	if (maybe_shared(task, file))
		rec.flags |= SHARED;
	if (rec.flags & SHARED || rec.kind == LISTENER || rec.protocol == IPPROTO_UDP)
		rec.inode = file->f_inode->i_ino;
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}

SEC("iter/task_file")
int own_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct file *file = ctx->file;
	struct task_struct *leader;
	struct owner rec = {};

	if (!task || !file || !inet_sock_of(file))
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
	info->tcpi_last_data_sent = (__u64)(now - sent) * 1000 / hz;
	info->tcpi_last_data_recv = (__u64)(now - received) * 1000 / hz;
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
	struct mptcp_sock *msk = (void *)sk;
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
	if (sk->sk_protocol != IPPROTO_MPTCP || !bpf_core_field_exists(msk->first))
		return 0;
	first = BPF_CORE_READ(msk, first);
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

SEC("iter/task")
int name_programs(struct bpf_iter__task *ctx)
{
	struct task_struct *task = ctx->task;
	struct program rec = {};
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
	dentry = name_in_tree(__builtin_preserve_access_index(&file->f_path));
	if (dentry)
		bpf_probe_read_kernel_str(rec.name, sizeof(rec.name),
					  BPF_CORE_READ(dentry, d_name.name));
	rec.pid = pid_for_reader(leader);
	rec.started = leader->start_boottime / NSEC_PER_SEC;
	bpf_seq_write(ctx->meta->seq, &rec, sizeof(rec));
	return 0;
}
