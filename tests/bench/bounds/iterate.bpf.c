// SPDX-License-Identifier: MIT OR GPL-2.0-only
/* The lower bounds of any reader of a BPF iterator over the open files of all tasks:
 *
 *   iterator_nothing   visits every file and looks at nothing
 *   iterator_records   finds out which are TCP or UDP sockets, and writes RECORD_SIZE bytes
 *                      for each, the size of what `get` reads: its inode, and constants
 *
 * Either ends with one number of 64 bits: the files that were visited. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#define CORE __attribute__((preserve_access_index))
#define AF_INET 2
#define AF_INET6 10
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17

char LICENSE[] SEC("license") = "Dual MIT/GPL";

struct inode {
	unsigned long i_ino;
} CORE;

struct file {
	struct inode *f_inode;
} CORE;

struct sock_common {
	unsigned short skc_family;
} CORE;

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
} CORE;

struct socket {
	struct sock *sk;
} CORE;

struct seq_file;
struct task_struct;

struct bpf_iter_meta {
	struct seq_file *seq;
	__u64 seq_num;
} CORE;

struct bpf_iter__task_file {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
	struct file *file;
} CORE;

/* The last call of a pass has no file; by then seq_num has counted all others. */
static __always_inline int is_over(struct bpf_iter__task_file *ctx)
{
	__u64 visited = ctx->meta->seq_num;

	if (ctx->task && ctx->file)
		return 0;
	bpf_seq_write(ctx->meta->seq, &visited, sizeof(visited));
	return 1;
}

static __always_inline int is_tcp_or_udp(struct file *file)
{
	struct socket *sock = bpf_sock_from_file(file);
	struct sock *sk;

	if (!sock || !sock->sk)
		return 0;
	sk = sock->sk;
	return (sk->__sk_common.skc_family == AF_INET || sk->__sk_common.skc_family == AF_INET6) &&
	       (sk->sk_protocol == IPPROTO_TCP || sk->sk_protocol == IPPROTO_UDP);
}

SEC("iter/task_file")
int iterator_nothing(struct bpf_iter__task_file *ctx)
{
	is_over(ctx);
	return 0;
}

SEC("iter/task_file")
int iterator_records(struct bpf_iter__task_file *ctx)
{
	struct {
		__u64 inode;
		char constants[RECORD_SIZE - sizeof(__u64)];
	} record;
	struct file *file = ctx->file;

	if (is_over(ctx) || !file || !is_tcp_or_udp(file))
		return 0;
	__builtin_memset(&record, 1, sizeof(record));
	record.inode = file->f_inode->i_ino;
	bpf_seq_write(ctx->meta->seq, &record, sizeof(record));
	return 0;
}
