/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * What the programs use of the kernel's structures, and nothing else: libbpf finds the fields by
 * the running kernel's BTF (CO-RE). What changed between kernels is chosen by what exists, never
 * by a version.
 */
#include <linux/bpf.h>
#include <linux/tcp.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_MPTCP 262
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_FIN_WAIT1 4
#define TCP_FIN_WAIT2 5
#define TCP_TIME_WAIT 6
#define TCP_CLOSE 7
#define TCP_CLOSE_WAIT 8
#define TCP_LAST_ACK 9
#define TCP_LISTEN 10
#define TCP_CLOSING 11
#define SOCK_STREAM 1
#define SOCK_SEQPACKET 5
#define SOCK_BINDPORT_LOCK 8
#define RLIMIT_NOFILE 7
#define TCP_CA_NAME_MAX 16
#define PF_KTHREAD 0x00200000
#define NAME_MAX 255
#define MOUNTS_TRIED 4 /* how many mounts are followed that are stacked on the same file */
#define WORDS_AT_ONCE 8 /* of the bitmap of a process's descriptors, each of 64 */
#define WORDS_OF_ALL 4194304 /* of all processes together */
#define MAX_WORDS 32768 /* 2097152 descriptors: the verifier follows each turn of a loop */
#define NSEC_PER_SEC 1000000000ULL
#define USEC_PER_SEC 1000000ULL
#define USEC_PER_MSEC 1000
#define MISTAKEN_FOR (10 * NSEC_PER_SEC) /* a read that takes longer may take such for outbound */

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

struct pid_namespace;

struct upid {
	int nr;
	struct pid_namespace *ns;
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

struct fdtable { /* include/linux/fdtable.h */
	unsigned int max_fds;
	unsigned long *open_fds;
} CORE;

struct files_struct {
	atomic_t count;
	struct fdtable *fdt;
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

typedef struct {
	unsigned int val;
} kuid_t;

struct cred {
	kuid_t euid;
} CORE;

struct task_struct {
	int pid;
	int tgid;
	unsigned int flags;
	struct mm_struct *mm;
	char comm[16];
	__u64 start_boottime;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	struct signal_struct *signal;
	struct files_struct *files;
	const struct cred *cred;
	struct css_set *cgroups;
} CORE;

struct inode {
	unsigned long i_ino;
} CORE;

struct file {
	struct inode *f_inode;
	struct path f_path;
	unsigned int f_flags;
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
	__u64 net_cookie; /* since 5.12 */
	__u32 hash_mix; /* random */
	struct ns_common ns;
	struct netns_ipv4 ipv4;
} CORE;

typedef struct {
	struct net *net;
} possible_net_t;

struct sock_common {
	__u32 skc_daddr;
	__u32 skc_rcv_saddr;
	__u16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	unsigned long skc_flags;
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

struct sk_buff_head {
	__u32 qlen;
} CORE;

struct sock {
	struct sock_common __sk_common;
	struct sk_buff_head sk_receive_queue;
	struct sk_backlog sk_backlog;
	refcount_t sk_wmem_alloc;
	int sk_wmem_queued;
	__u8 sk_userlocks;
	__u16 sk_type;
	__u16 sk_protocol;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
	kuid_t sk_uid;
	int sk_err;
	atomic_t sk_drops;
} CORE;

struct numa_drop_counters {
	atomic_t drops0;
	atomic_t drops1;
} CORE;

struct sock___since_6_18 {
	struct numa_drop_counters *sk_drop_counters; /* of UDP; 0: sk_drops has them */
} CORE;

struct inet_sock {
	__u16 inet_sport;
} CORE;

struct request_sock_queue {
	atomic_t qlen;
} CORE;

struct tcp_congestion_ops {
	char name[TCP_CA_NAME_MAX];
} CORE;

struct inet_connection_sock {
	struct inet_sock icsk_inet;
	struct request_sock_queue icsk_accept_queue;
	const struct tcp_congestion_ops *icsk_ca_ops;
	void *icsk_ulp_data;
	__u8 icsk_retransmits;
	__u8 icsk_probes_out;
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
	__u32 snd_nxt;
	__u64 tcp_mstamp;
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

struct tcp_sock___mptcp { /* with CONFIG_MPTCP */
	_Bool is_mptcp;
} CORE;

struct mptcp_subflow_context { /* net/mptcp/protocol.h */
	__u32 mp_join : 1;
} CORE;

struct udp_sock {
	int forward_deficit;
} CORE;

struct sockaddr_un { /* include/uapi/linux/un.h */
	char sun_path[108];
} CORE;

struct unix_address { /* include/net/af_unix.h */
	int len; /* of the name, from sun_family on */
	struct sockaddr_un name[];
} CORE;

struct unix_sock {
	struct unix_address *addr;
} CORE;

struct mptcp_sock {
	struct sock *first;
} CORE;

struct socket {
	struct sock *sk;
} CORE;

struct seq_file {
	const struct file *file;
} CORE;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 session_id;
	__u64 seq_num;
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

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *key;
	void *value;
} CORE;

/* As addresses.fold_address(). */
static __always_inline __u32 fold(const __u32 address[4])
{
	return address[0] ^ (address[1] * 0x9e3779b1) ^ (address[2] * 0x85ebca77) ^
	       (address[3] * 0xc2b2ae3d);
}

/* Whether connect(2) may take that port, by net.ipv4.ip_local_port_range. */
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
