// SPDX-License-Identifier: MIT OR GPL-2.0-only
/*
 * Totals of TCP connections, counted as they happen (docs/totals.md defines each):
 *
 *   count_states    at each change of a socket's state: attempts, handshakes, ends
 *   count_ends      at each end of a socket: what count_states missed, and its memory
 *   count_sockets   as that of sockets.bpf.c; besides it adds what open connections carried
 *   total_processes, total_listeners, total_upstreams
 *                   iterators over the totals (bpf_iter "bpf_map_elem"); the last record of each
 *                   is of the totals themselves
 *
 * A tracepoint's program is skipped where it would nest in itself: a softirq that came by an
 * interrupt while it ran. Some kernels skip all of them then (seen on 6.18.44): of a connection
 * everything that softirqs bring may be missing, its end included. What a process does itself, to
 * connect and to close, is never missing. So each transition is made good by the next one, by close,
 * by count_ends, by count_sockets, and the end by the next socket at this address: the connection's
 * memory says what was counted, and each of its steps is taken by one of them alone.
 */
#include "record.bpf.h"
#include "exchange.bpf.h"

char LICENSE[] SEC("license") = "Dual MIT/GPL";

#define MAX_KEYS 16384		/* of processes and listeners together */
#define MAX_UPSTREAMS 16384
#define MAX_CONNECTIONS 131072
#define SOCK_DEAD (1UL << 0)	/* enum sock_flags: no file refers to it any more */
#define SOCK_DONE (1UL << 1)	/* enum sock_flags: a FIN was received */
#define SLOT_BITS 13
#define ENDED_BITS 12
#define JUST_NOW 10000000	/* ns */
#define IDLE_MARGIN (constants.hz / 50 + 1)	/* jiffies; longer than JUST_NOW */
#define EEXIST 17
#define EPIPE 32
#define ECONNRESET 104

struct sock___lock {
	struct {
		int owned;
	} sk_lock; /* socket_lock_t: first comes a spinlock, whose first word is 0 while it is free */
} __attribute__((preserve_access_index));

struct sums {
	__u64 attempts;
	__u64 opened;
	__u64 failed;
	__u64 abandoned;
	__u64 accepted;
	__u64 closed;
	__u64 resets;
	__u64 bytes_sent;
	__u64 bytes_received;
	__u64 retransmitted;
	__u64 handshake_ns;
	__u64 lifetime_ns;
	__u64 changed;	/* ns since boot, without the time of suspension */
	/* Of listeners and upstreams: cookie_of() their namespace. Its inode number is used again. */
	__u64 namespace;
};

/* Processes of one name that are counted together. */
struct process {
	__u64 cgroup;
	__u32 netns;
	__u32 uid;	/* effective */
	__u32 is_kernel;	/* a kernel thread, whatever its name */
	__u32 unused;
	char comm[16];
};

/* A listener's address, or the remote end of connections of the process. */
struct endpoint {
	__u32 process;	/* 0: a listener */
	__u32 netns;
	__u32 device;
	__u32 address[4];
	__u16 port;	/* host order */
	__u16 family;
};

struct listener {
	__u32 sums;
	__u32 process;	/* that called listen(), or had the socket at the last pass */
};

enum {
	CONNECTING = 1,
	OPEN = 2,
	CLOSED = 3,	/* or not to be counted; the memory lasts as long as the socket */
};

enum {
	ATTEMPT = 1,
	OPENED = 2,
};

enum {
	HIDDEN = 1,	/* of the kernel itself: no pass sees it */
	CLOSING = 2,	/* a process has closed it */
};

struct connection {
	struct endpoint upstream;	/* inbound: the remote port alone */
	__u32 inbound;
	__u32 stage;
	__u32 process;
	__u32 listener;	/* its sums */
	__u32 untold;	/* outbound: ATTEMPT, OPENED, which the upstream's sums still lack */
	__u32 marks;	/* HIDDEN, CLOSING */
	__u64 started;	/* outbound; ns since boot */
	__u64 handshake;	/* ns */
	__u64 sent;	/* what was added up to now */
	__u64 received;
	__u64 retransmitted;
	__u64 sent_at_close;	/* what it had carried when the process closed it; before, 0 */
	__u64 received_at_close;
};

/* The records of the iterators; readers/bpf/totals.py has the same. */
struct process_total {
	__u32 id;	/* 0: of the totals themselves */
	__u32 unused;
	struct process process;
	struct sums sums;
};

struct server_total {
	struct endpoint endpoint;	/* port 0: of the totals themselves */
	__u32 process;	/* of a listener or an upstream */
	__u32 unused;
	struct sums sums;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_KEYS);
	__type(key, struct process);
	__type(value, __u32);
} processes SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_KEYS);
	__type(key, struct endpoint);
	__type(value, struct listener);
} listeners SEC(".maps");

/* Of processes and listeners, by the ids that the maps give them; 0 is nobody's. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, MAX_KEYS);
	__type(key, __u32);
	__type(value, struct sums);
} sums SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, MAX_UPSTREAMS);
	__type(key, struct endpoint);
	__type(value, struct sums);
} upstreams SEC(".maps");

/* By the address of the kernel's socket: those that found their slot taken (struct slot). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, MAX_CONNECTIONS);
	__type(key, __u64);
	__type(value, struct connection);
} connections SEC(".maps");

/*
 * The memory of most connections, as few are open for long: to make it and to end it takes a
 * fraction of what it takes in a map. A socket has the slot of its address' hash if that is free
 * when it begins, and keeps it; else its memory is in the map.
 */
struct slot {
	__u64 key;	/* the socket's address; 0: free, as with ENDED */
	struct connection connection;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << SLOT_BITS);
	__type(key, __u32);
	__type(value, struct slot);
} slots SEC(".maps");

/* Marks in the lowest bits of a slot's key; added, as pointers take no other operation. */
#define MAKING 1UL
#define ENDED 2UL	/* of this socket all is counted, and nothing is remembered: most end so */

/*
 * The memory of outbound connections for which there was no room, with the socket itself: to make that takes
 * longest, and no pass looks at it. Without it an end couldn't be told whose it is. An inbound one tells by its
 * port.
 */
struct {
	__uint(type, BPF_MAP_TYPE_SK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, struct connection);
} crowded_out SEC(".maps");

static volatile __u32 any_crowded_out; /* else it becomes a bit, which the BTF doesn't say */

/*
 * The sockets whose memory was in the map and went with CLOSE: count_ends looks for none. By a
 * hash of the address, where a later one takes the place of an earlier one.
 */
static __u64 ended[1 << ENDED_BITS];

static __u32 keys;	/* ids that are taken */
static __u64 overflow;	/* connections and keys for which there was no room */
static __u64 missed;	/* ends of connections of which nothing is known */
static __u64 based;	/* when both halves had been passed over: what has no memory is new; ns since boot */

/* The passes that are under way, by the iterator's sessions. */
static struct pass {
	__u64 session;
	__u64 began;	/* or before, if something was left to the next pass */
	__u64 before;	/* when the older of last_passes began, if both are of the same namespace; 0: else */
	__u64 now;	/* when it began, in ns since boot */
} passes[16];

/*
 * Of the last pass over each half that came to its end: when it began (jiffies; 0: none did), and
 * its reader's pid namespace. Volatile: else clang makes four variables of it that have no BTF, and
 * libbpf refuses the object.
 */
static volatile struct last_pass {
	__u64 began;
	__u64 reader;
} last_passes[2];

static volatile __u32 was_passed[2];	/* a pass over that half has ended, whoever read it */

#define ADD(to, field, number)                                          \
	do {                                                            \
		struct sums *_to = (to);                                \
									\
		if (_to)                                                \
			__sync_fetch_and_add(&_to->field, number);      \
	} while (0)

static __always_inline struct sums *sums_of(__u32 id)
{
	return id ? bpf_map_lookup_elem(&sums, &id) : 0;
}

/* Return a new id, and 0 where none is left. */
static __always_inline __u32 new_id(void)
{
	__u32 id = 0;

	if (keys < MAX_KEYS - 1)
		id = next_of(&keys);
	if (id && id < MAX_KEYS)
		return id;
	__sync_fetch_and_add(&overflow, 1);
	return 0;
}

/* Return the id of the process with that main thread. */
static __always_inline __u32 process_of(struct task_struct *leader, __u32 netns)
{
	struct process key = {};
	__u32 *found, id;

	key.netns = netns;
	if (leader->flags & PF_KTHREAD) {
		key.is_kernel = 1;
	} else {
		key.cgroup = leader->cgroups->dfl_cgrp->kn->id;
		key.uid = leader->cred->euid.val;
		bpf_probe_read_kernel_str(key.comm, sizeof(key.comm), leader->comm);
	}
	found = bpf_map_lookup_elem(&processes, &key);
	if (found)
		return *found;
	id = new_id();
	if (id && bpf_map_update_elem(&processes, &key, &id, BPF_NOEXIST)) {
		found = bpf_map_lookup_elem(&processes, &key); /* another CPU was first */
		return found ? *found : 0;
	}
	return id;
}

static __always_inline __u64 cookie_of(struct sock *sk, const int probed)
{
	struct net *net = READ(sk, __sk_common.skc_net.net);

	if (bpf_core_field_exists(net->net_cookie))
		return READ(net, net_cookie);
	return number_of((void *)((__u64)READ(net, hash_mix) << 32 | READ(net, ns.inum)));
}

/*
 * Let sums begin again where they are of another namespace, one that is gone. Who finds that first does
 * it alone: a second one, such as a pass, would take back what has been added since.
 */
static __always_inline void begin(struct sums *sums, __u64 namespace)
{
	__u64 before;

	if (!sums || sums->namespace == namespace)
		return;
	before = exchange(&sums->namespace, namespace);
	if (before && before != namespace)
		__builtin_memset(sums, 0, __builtin_offsetof(struct sums, namespace));
}

static __always_inline __u32 netns_of(struct sock *sk, const int probed)
{
	return probed ? BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum) :
			sk->__sk_common.skc_net.net->ns.inum;
}

/* Fill in the local end, as a listener at this very address has it. */
static __always_inline void set_local(struct endpoint *end, struct sock *sk, __u16 port,
				      const int probed)
{
	int i;

	end->netns = netns_of(sk, probed);
	end->device = READ(sk, __sk_common.skc_bound_dev_if);
	end->family = READ(sk, __sk_common.skc_family);
	end->port = port;
	if (end->family == AF_INET) {
		end->address[0] = READ(sk, __sk_common.skc_rcv_saddr);
		return;
	}
#pragma unroll
	for (i = 0; i < 4; i++)
		end->address[i] = READ(sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr32[i]);
}

static __always_inline __u16 remote_port(struct sock *sk, const int probed)
{
	return bpf_ntohs(READ(sk, __sk_common.skc_dport));
}

/* Fill in the remote end; an IPv4-mapped address is the IPv4 address. */
static __always_inline void set_remote(struct endpoint *end, struct sock *sk, const int probed)
{
	__u32 address[4];
	int i;

	end->netns = netns_of(sk, probed);
	end->device = READ(sk, __sk_common.skc_bound_dev_if);
	end->port = remote_port(sk, probed);
	end->family = AF_INET;
	if (READ(sk, __sk_common.skc_family) == AF_INET) {
		end->address[0] = READ(sk, __sk_common.skc_daddr);
		return;
	}
#pragma unroll
	for (i = 0; i < 4; i++)
		address[i] = READ(sk, __sk_common.skc_v6_daddr.in6_u.u6_addr32[i]);
	if (!address[0] && !address[1] && address[2] == bpf_htonl(0xffff)) {
		end->address[0] = address[3];
		return;
	}
	end->family = AF_INET6;
	__builtin_memcpy(end->address, address, sizeof(address));
}

/* Ports at which a listener of one address, or of one device, was seen: others need one look-up. */
static __u8 particular[65536];

/* Linux up to 6.1 (at least) doesn't see that a port from the wire is below 65536. */
static __always_inline __u8 *particular_at(__u16 port)
{
	__u64 index = port;

	asm volatile("%0 &= 0xffff" : "+r"(index));
	return &particular[index];
}

static __always_inline int is_any(const struct endpoint *end)
{
	return !end->device &&
	       !(end->address[0] | end->address[1] | end->address[2] | end->address[3]);
}

/* Note that the process listens at the socket's address. */
static __always_inline void note_listener(struct sock *sk, struct task_struct *leader,
					  const int probed)
{
	struct endpoint key = {};
	struct listener *found, listener = {};

	set_local(&key, sk, READ(sk, __sk_common.skc_num), probed);
	listener.process = process_of(leader, key.netns);
	found = bpf_map_lookup_elem(&listeners, &key);
	if (found) {
		found->process = listener.process;
		begin(sums_of(found->sums), cookie_of(sk, probed));
		return;
	}
	if (!is_any(&key))
		*particular_at(key.port) = 1;
	listener.sums = new_id();
	begin(sums_of(listener.sums), cookie_of(sk, probed));
	bpf_map_update_elem(&listeners, &key, &listener, BPF_NOEXIST);
}

/* Return the listener that accepted a connection at a local port: of its address before one of any. */
static __always_inline struct listener *listener_of(struct sock *sk, __u16 port, const int probed)
{
	struct endpoint key = {}, any = {};
	struct listener *found;

	any.netns = netns_of(sk, probed);
	any.family = READ(sk, __sk_common.skc_family);
	any.port = port;
	if (!*particular_at(port))
		return bpf_map_lookup_elem(&listeners, &any);
	set_local(&key, sk, port, probed);
	found = bpf_map_lookup_elem(&listeners, &key);
	if (found)
		return found;
	any.device = key.device;
	found = bpf_map_lookup_elem(&listeners, &any);
	if (found || !key.device)
		return found;
	key.device = any.device = 0;
	found = bpf_map_lookup_elem(&listeners, &key);
	return found ? found : bpf_map_lookup_elem(&listeners, &any);
}

/* Return the sums of a connection's listener or upstream; one that was pushed out begins again. */
static __always_inline struct sums *server_of(struct connection *connection, struct sock *sk,
					      const int probed)
{
	struct sums *found, none = {};

	if (connection->inbound)
		return sums_of(connection->listener);
	if (!connection->process)
		return 0;
	found = bpf_map_lookup_elem(&upstreams, &connection->upstream);
	if (!found) {
		bpf_map_update_elem(&upstreams, &connection->upstream, &none, BPF_NOEXIST);
		found = bpf_map_lookup_elem(&upstreams, &connection->upstream);
	}
	/* Else it is the memory of an earlier socket at this address, whose end was missed. */
	if (netns_of(sk, probed) == connection->upstream.netns)
		begin(found, cookie_of(sk, probed));
	return found;
}

/*
 * Return how much more a number has become than what was added of it, *seen, and take that: no
 * other reader at the same time gets it. At the end of a connection there is no later number.
 */
static __always_inline __u64 taken(__u64 *seen, __u64 now, const int ended)
{
	__u64 before = *(volatile __u64 *)seen;

	if ((__s64)(now - before) <= 0)
		return 0;
	if (ended)
		before = exchange(seen, now);
	else if (!swapped(seen, before, now))
		return 0;
	return (__s64)(now - before) > 0 ? now - before : 0;
}

/* What a connection carried up to now. */
struct carried {
	__u64 sent;
	__u64 received;
	__u64 retransmitted;
	__u64 ended;	/* a FIN came, which is not in received */
	__u32 unacknowledged;	/* snd_una */
};

#define COUNTED_STATES (1 << TCP_ESTABLISHED | 1 << TCP_SYN_SENT | 1 << TCP_CLOSE | 1 << TCP_LISTEN | \
			1 << TCP_FIN_WAIT1 | 1 << TCP_LAST_ACK)

/* What is read before stays before what is read behind it, for the compiler. */
#define in_order() asm volatile("" ::: "memory")

#define FIN_QUEUED (1 << TCP_FIN_WAIT1 | 1 << TCP_FIN_WAIT2 | 1 << TCP_TIME_WAIT | \
		    1 << TCP_LAST_ACK | 1 << TCP_CLOSING)

/*
 * Read what a connection carried up to now, which is in the state *state* or comes from it; 0: that
 * is not known, negative: read it.
 *
 * What was sent is what is acknowledged and what is in flight: bytes_sent has what a queue of this
 * host refused, too, each time that it was tried. A SYN counts as a byte, see SYN_SENT; a FIN does
 * not.
 */
static __always_inline void read_carried(struct carried *carried, struct sock *sk,
					 struct tcp_sock *tp, int state, const int probed)
{
	__u32 next, written, unacknowledged;

	carried->received = READ(tp, bytes_received);
	carried->sent = READ(tp, bytes_acked);
	in_order(); /* what is acknowledged meanwhile must not count twice */
	next = READ(tp, snd_nxt);
	written = READ(tp, write_seq);
	in_order(); /* nor a FIN */
	if (state < 0)
		state = READ(sk, __sk_common.skc_state);
	in_order();
	unacknowledged = READ(tp, snd_una);
	carried->unacknowledged = unacknowledged;
	if ((__s32)(next - unacknowledged) > 0)
		carried->sent += next - unacknowledged;
	if (carried->sent && next == written && (!state || FIN_QUEUED & 1 << state))
		carried->sent--;
	carried->retransmitted = READ(tp, total_retrans);
	carried->ended = !!(READ(sk, __sk_common.skc_flags) & SOCK_DONE);
	if (carried->received && carried->ended)
		carried->received--; /* the kernel counts the FIN */
}

/*
 * Whether a FIN may have been counted before it was noted: a segment is being taken, or was when
 * the connection was read. Who takes one holds the socket's lock.
 */
static __always_inline int may_have_ended(struct sock *sk, struct tcp_sock *tp, const int probed)
{
	struct sock___lock *lock = (void *)sk;
	__u32 held = 1;

	in_order();
	bpf_probe_read_kernel(&held, sizeof(held), &lock->sk_lock);
	if (held || BPF_CORE_READ(lock, sk_lock.owned))
		return 1;
	in_order();
	return READ(sk, __sk_common.skc_flags) & SOCK_DONE ||
	       bpf_ktime_get_ns() - READ(tp, tcp_mstamp) * 1000 < JUST_NOW;
}

/*
 * Whether what was sent may have been read while an acknowledgement came: bytes_acked is written
 * before snd_una. Who takes one holds the lock.
 */
static __always_inline int is_torn(struct sock *sk, struct tcp_sock *tp,
				   const struct carried *carried, const int probed)
{
	struct sock___lock *lock = (void *)sk;
	__u32 held = 1;

	in_order();
	bpf_probe_read_kernel(&held, sizeof(held), &lock->sk_lock);
	in_order();
	return held || READ(tp, snd_una) != carried->unacknowledged;
}

static __always_inline int has_more(const struct connection *connection,
				    const struct carried *carried)
{
	return carried->sent != connection->sent || carried->received != connection->received ||
	       carried->retransmitted != connection->retransmitted;
}

/* Add numbers of bytes and of segments that were sent again to the sums. */
static __always_inline void add_bytes(struct sums *process, struct sums *server, __u64 sent,
				      __u64 received, __u64 again)
{
	if (sent) {
		ADD(process, bytes_sent, sent);
		ADD(server, bytes_sent, sent);
	}
	if (received) {
		ADD(process, bytes_received, received);
		ADD(server, bytes_received, received);
	}
	if (again) {
		ADD(process, retransmitted, again);
		ADD(server, retransmitted, again);
	}
}

/* Add what a connection carried since the last time. */
static __always_inline void add_carried(struct connection *connection,
					const struct carried *carried, struct sums *process,
					struct sums *server, const int ended)
{
	__u64 sent = taken(&connection->sent, carried->sent, ended);
	__u64 received = taken(&connection->received, carried->received, ended);
	__u64 again = taken(&connection->retransmitted, carried->retransmitted, ended);

	add_bytes(process, server, sent, received, again);
}

static __always_inline void touch(struct sums *process, struct sums *server, __u64 now)
{
	if (process && process->changed < now)
		process->changed = now;
	if (server && server->changed < now)
		server->changed = now;
}

static __always_inline __u32 hash_of(__u64 key)
{
	__u32 low;

	asm("%0 = %1" : "=w"(low) : "w"((__u32)key)); /* a copy of half a pointer is a number */
	return low * 0x9e3779b1;
}

static __always_inline struct slot *slot_of(__u64 key)
{
	__u32 at = hash_of(key) >> (32 - SLOT_BITS);

	return bpf_map_lookup_elem(&slots, &at);
}

/* The place of a socket among those that have ended. */
static __always_inline __u64 *ended_of(__u64 key)
{
	return &ended[hash_of(key) >> (32 - ENDED_BITS)];
}

static __always_inline __u64 held_by(struct slot *slot)
{
	return *(volatile __u64 *)&slot->key;
}

static __always_inline void set_holder(struct slot *slot, __u64 key)
{
	*(volatile __u64 *)&slot->key = key;
}

/* Return the memory of a connection, or 0. */
static __always_inline struct connection *find(__u64 key)
{
	struct slot *slot = slot_of(key);
	__u64 held;

	if (!slot)
		return 0;
	held = held_by(slot);
	if (held == key)
		return &slot->connection;
	if (held == key + ENDED || *ended_of(key) == key)
		return 0;
	return bpf_map_lookup_elem(&connections, &key);
}

/* Make the memory of a connection in the map; return 0 if it is there. */
static __always_inline int put(__u64 key, struct connection *connection, __u64 flags)
{
	__u64 *ended = ended_of(key);

	if (*ended == key)
		*ended = 0;
	return bpf_map_update_elem(&connections, &key, connection, flags);
}

/*
 * Make the memory of a connection that has none; its slot is left to those that begin. Return 0 if
 * it is there, -EEXIST if there was some: one that begins may be first.
 */
static __always_inline int make(__u64 key, struct connection *connection)
{
	struct slot *slot = slot_of(key);
	__u64 held;
	int error;

	if (!slot)
		return -EEXIST;
	if (held_by(slot) == key + ENDED)
		(void)swapped(&slot->key, key + ENDED, 0);
	error = put(key, connection, BPF_NOEXIST);
	if (error)
		return error;
	held = held_by(slot);
	if (held != key && held != key + MAKING)
		return 0;
	bpf_map_delete_elem(&connections, &key);
	return -EEXIST;
}

static __always_inline int step(struct connection *connection, __u32 from, __u32 to)
{
	return swapped(&connection->stage, from, to);
}

/* Tell the sums of an upstream what they lack of a connection. */
static __always_inline void tell(struct connection *connection, struct sums *upstream)
{
	__u32 untold;

	if (!connection->untold)
		return;
	untold = exchange(&connection->untold, 0);
	if (untold & ATTEMPT)
		ADD(upstream, attempts, 1);
	if (untold & OPENED) {
		ADD(upstream, opened, 1);
		ADD(upstream, handshake_ns, connection->handshake);
	}
	if (upstream && upstream->changed < connection->started)
		upstream->changed = connection->started;
}

/*
 * Count the end of an earlier socket at this address, or of an earlier attempt of this one, which was
 * missed: a softirq brought it. So an attempt has failed, since a process that gives one up is never
 * missed. How a connection ended, when, and what it carried after the process closed it is not known.
 */
static __always_inline void count_missed_end(struct connection *connection, struct sock *sk,
					     const int probed)
{
	struct sums *process, *server = server_of(connection, sk, probed);
	struct carried carried = {};

	tell(connection, server);
	process = sums_of(connection->process);
	if (step(connection, CONNECTING, CLOSED)) {
		ADD(process, failed, 1);
		ADD(server, failed, 1);
		touch(process, server, bpf_ktime_get_ns());
		return;
	}
	if (!step(connection, OPEN, CLOSED))
		return;
	ADD(process, closed, 1);
	ADD(server, closed, 1);
	touch(process, server, bpf_ktime_get_ns());
	carried.sent = connection->sent_at_close;
	carried.received = connection->received_at_close;
	add_carried(connection, &carried, process, server, 1);
}

/*
 * Make the memory of a connection that begins. There may be some of an earlier socket at this
 * address, whose end was missed, or of this one if it connects again: with BPF_NOEXIST that is
 * -EEXIST, else it is overwritten, and its end is counted by then. Return 0 if it is there.
 */
static __always_inline int make_first(struct sock *sk, struct connection *connection, __u64 flags)
{
	__u64 key = (__u64)sk, held;
	struct slot *slot = slot_of(key);

	if (!slot)
		return -EEXIST;
	held = held_by(slot);
	if (held == key) {
		if (flags == BPF_NOEXIST)
			return -EEXIST;
	} else {
		if (held != key + ENDED && *ended_of(key) != key &&
		    bpf_map_lookup_elem(&connections, &key))
			return put(key, connection, flags);
		if (held && !(held & ENDED)) /* by another socket */
			return put(key, connection, flags);
		if (!swapped(&slot->key, held, key + MAKING))
			return put(key, connection, flags);
	}
	slot->connection = *connection;
	in_order(); /* and what is written stays before it, too */
	set_holder(slot, key);
	return 0;
}

/* Forget a connection: its socket ends, and all is counted. */
static __always_inline void forget(__u64 key)
{
	struct slot *slot = slot_of(key);

	if (slot && held_by(slot) == key) {
		set_holder(slot, key + ENDED);
		return;
	}
	*ended_of(key) = key;
	bpf_map_delete_elem(&connections, &key);
}

/*
 * Return the time of an end, in ns since boot. After both FINs it is that of the last segment that
 * came, which costs no look at the clock: mostly that was the cause.
 */
static __always_inline __u64 time_of_end(struct sock *sk, struct tcp_sock *tp, int from, int error)
{
	if (!error && (from == TCP_LAST_ACK || from == TCP_CLOSING ||
		       (from == TCP_FIN_WAIT2 && sk->__sk_common.skc_flags & SOCK_DONE)))
		return tp->tcp_mstamp * 1000;
	return bpf_ktime_get_ns();
}

/* Whether a socket's error says that the other end has reset it, as tcp_reset() sets it. */
static __always_inline int says_reset(int error)
{
	return error == ECONNRESET || error == EPIPE;
}

/* Whether the other end has reset a connection, of which CLOSE was missed, and the error been read. */
static __always_inline int was_reset(const struct connection *connection, struct tcp_sock *tp)
{
	/* Without a process that closes, a reset ends it, or that segments are answered no more. */
	return !(connection->marks & CLOSING) && !tp->inet_conn.icsk_retransmits &&
	       !tp->inet_conn.icsk_probes_out;
}

/*
 * Count a connection as opened, if nobody has. Its upstream is told by the next pass or at its end:
 * to find that takes as long as all else.
 */
static __always_inline void count_opened(struct connection *connection, struct sums *process,
					 __u64 handshake)
{
	connection->handshake = handshake;
	if (!step(connection, CONNECTING, OPEN))
		return;
	ADD(process, opened, 1);
	ADD(process, handshake_ns, handshake);
	set_bits(&connection->untold, OPENED);
}

/* Whether it is a further subflow of an MPTCP connection. */
static __always_inline int is_join(struct tcp_sock *tp, int active)
{
	struct tcp_sock___mptcp *with_mptcp = (void *)tp;
	struct mptcp_subflow_context *context;

	if (!bpf_core_field_exists(with_mptcp->is_mptcp) || !with_mptcp->is_mptcp)
		return 0;
	if (active) /* the kernel connects it */
		return !!(bpf_get_current_task_btf()->flags & PF_KTHREAD);
	context = tp->inet_conn.icsk_ulp_data;
	return context && BPF_CORE_READ_BITFIELD_PROBED(context, mp_join);
}

/* Return the memory of a socket's connection wherever it is, or 0. */
static __always_inline struct connection *find_anywhere(struct sock *sk)
{
	struct connection *connection = find((__u64)sk);

	if (connection || !any_crowded_out)
		return connection;
	return bpf_sk_storage_get(&crowded_out, sk, 0, 0);
}

/*
 * Return the memory of a socket's connection, or 0. What is of another remote port is of an earlier
 * socket at this address, whose end was missed.
 */
static __always_inline struct connection *find_own(struct sock *sk)
{
	struct connection *connection;
	__u64 key = (__u64)sk;

	connection = find_anywhere(sk);
	if (!connection || connection->upstream.port == remote_port(sk, 0))
		return connection;
	count_missed_end(connection, sk, 0);
	forget(key);
	return 0;
}

/*
 * Return the same, or 0, of a socket that a pass looks at while it may change: its process may end the
 * connection, for which its remote port is 0 then, and connect anew. Nobody misses that, so it is left
 * (*is_left) to who sees it. Of an inbound one there is another connection only with another socket: the
 * end of the earlier one is counted, and this one left to the next pass, to which nothing is idle then
 * but what was idle to this one. To go on with it at once would be too long for the verifier: remember().
 */
static __always_inline struct connection *find_seen(struct pass *pass, struct sock *sk,
						    const struct record *rec, const int probed,
						    int *is_left)
{
	__u16 port = remote_port(sk, probed);
	struct connection *connection;
	__u64 key = (__u64)sk;

	connection = find(key);
	*is_left = !port;
	if (!port || !connection || connection->upstream.port == port)
		return connection;
	*is_left = 1;
	if (rec->kind == INBOUND || listener_of(sk, rec->local_port, probed)) {
		count_missed_end(connection, sk, probed);
		forget(key);
		if (pass)
			pass->began = pass->before;
	}
	return 0;
}

/* SYN_SENT: always in the context of the process that connects. */
static __always_inline void count_attempt(struct sock *sk, struct tcp_sock *tp)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct connection connection = {}, *before = find_anywhere(sk);
	struct sums *process;

	if (before)
		count_missed_end(before, sk, 0);
	if (is_join(tp, 1)) {
		connection.stage = CLOSED;
		connection.upstream.port = remote_port(sk, 0);
		make_first(sk, &connection, BPF_ANY);
		return;
	}
	connection.stage = CONNECTING;
	connection.started = bpf_ktime_get_ns();
	connection.process = process_of(task->group_leader, netns_of(sk, 0));
	connection.marks = task->flags & PF_KTHREAD ? HIDDEN : 0;
	connection.untold = ATTEMPT;
	connection.sent = 1; /* the SYN */
	set_remote(&connection.upstream, sk, 0);
	connection.upstream.process = connection.process;
	process = sums_of(connection.process);
	ADD(process, attempts, 1);
	touch(process, 0, connection.started);
	if (connection.marks & HIDDEN)
		tell(&connection, server_of(&connection, sk, 0));
	if (make_first(sk, &connection, BPF_ANY)) {
		__sync_fetch_and_add(&overflow, 1);
		tell(&connection, server_of(&connection, sk, 0));
		any_crowded_out = 1;
		before = bpf_sk_storage_get(&crowded_out, sk, &connection,
					    BPF_SK_STORAGE_GET_F_CREATE);
		if (before)
			*before = connection;
	}
}

/* Set what is known of an inbound connection to a local port; return 0 if nobody listens there. */
static __always_inline int set_accepted(struct connection *connection, struct sock *sk, __u16 port)
{
	struct listener *listener = listener_of(sk, port, 0);

	if (!listener)
		return 0;
	connection->inbound = 1;
	connection->stage = OPEN;
	connection->upstream.port = remote_port(sk, 0);
	connection->process = listener->process;
	connection->listener = listener->sums;
	return 1;
}

static __always_inline void add_accepted(const struct connection *connection)
{
	ADD(sums_of(connection->process), accepted, 1);
	ADD(sums_of(connection->listener), accepted, 1);
}

/*
 * Make the memory of an inbound connection and count it as accepted; without room for the memory
 * it is counted when it ends. Return 0 if that was not possible.
 */
static __always_inline int count_accepted(struct sock *sk, __u64 flags)
{
	struct connection connection = {};
	int error;

	if (!set_accepted(&connection, sk, sk->__sk_common.skc_num))
		return 0;
	error = make_first(sk, &connection, flags);
	if (error) {
		if (error != -EEXIST)
			__sync_fetch_and_add(&overflow, 1);
		return 0;
	}
	add_accepted(&connection);
	return 1;
}

/*
 * Whether what there is of a socket that comes from SYN_RECV is of an earlier one at this address,
 * whose end was missed. An accepted one has nothing yet, and the backlog of its listener; where that
 * is 0 it may also be one of two that opened each other, which is still connecting.
 */
static __always_inline int is_of_another(const struct connection *connection, struct sock *sk)
{
	return connection->stage == OPEN ||
	       (connection->stage == CONNECTING && sk->sk_max_ack_backlog);
}

/* ESTABLISHED. */
static __always_inline void count_established(struct sock *sk, struct tcp_sock *tp, int from)
{
	struct connection *connection, join = {};
	__u64 key = (__u64)sk;

	/* Nearly all that come from SYN_RECV: what a listener accepts, at an address without memory. */
	if (from == TCP_SYN_RECV && !is_join(tp, 0) && count_accepted(sk, BPF_NOEXIST))
		return;
	connection = find_anywhere(sk);
	if (connection && from == TCP_SYN_RECV && is_of_another(connection, sk)) {
		count_missed_end(connection, sk, 0);
		forget(key);
		connection = 0;
	}
	if (connection && connection->stage == CONNECTING) {
		count_opened(connection, sums_of(connection->process),
			     tp->tcp_mstamp * 1000 - connection->started);
		if (connection->marks & HIDDEN)
			tell(connection, server_of(connection, sk, 0));
		return;
	}
	/* What is closed is of an earlier socket at this address, whose end was missed. */
	if (connection && connection->stage == OPEN)
		return;
	if (is_join(tp, 0)) {
		join.stage = CLOSED;
		join.upstream.port = remote_port(sk, 0);
		make_first(sk, &join, BPF_ANY);
		return;
	}
	count_accepted(sk, BPF_ANY);
}

/* Count the end of a connection, from the state *from*; 0: that is not known. */
static __always_inline void count_end(struct connection *connection, struct sock *sk,
				      struct tcp_sock *tp, int from)
{
	struct sums *process = sums_of(connection->process), *server = server_of(connection, sk, 0);
	int error = sk->sk_err;
	__u64 lifetime, now = time_of_end(sk, tp, from, error);
	/* If CLOSE was missed, and no process has closed it before, it has sent no FIN. */
	int state = from || connection->marks & CLOSING ? from : TCP_ESTABLISHED;
	struct carried carried;

	read_carried(&carried, sk, tp, state, 0);
	if (connection->stage == CONNECTING) {
		if (from == TCP_SYN_SENT || from == TCP_SYN_RECV || (!from && !tp->bytes_acked)) {
			if (!step(connection, CONNECTING, CLOSED))
				return;
			/* CLOSE is missed in softirqs alone, and a process may have read the error. */
			if (error || !from) {
				ADD(process, failed, 1);
				ADD(server, failed, 1);
			} else {
				ADD(process, abandoned, 1);
				ADD(server, abandoned, 1);
			}
			tell(connection, server);
			touch(process, server, now);
			add_carried(connection, &carried, process, server, 1);
			return;
		}
		count_opened(connection, process, (tp->srtt_us >> 3) * 1000ULL);
	}
	if (!step(connection, OPEN, CLOSED))
		return;
	tell(connection, server);
	ADD(process, closed, 1);
	ADD(server, closed, 1);
	if (says_reset(error) || (!error && !from && was_reset(connection, tp))) {
		ADD(process, resets, 1);
		ADD(server, resets, 1);
	}
	if (!connection->inbound) {
		lifetime = now > connection->started ? now - connection->started : 0;
		ADD(process, lifetime_ns, lifetime);
		ADD(server, lifetime_ns, lifetime);
	}
	touch(process, server, now);
	add_carried(connection, &carried, process, server, 1);
}

/* Count all of an inbound connection at its end, from the state *from*: it had no memory until then. */
static __always_inline void count_forgotten(const struct connection *forgotten, struct sock *sk,
					    struct tcp_sock *tp, int from)
{
	struct sums *process = sums_of(forgotten->process), *server = sums_of(forgotten->listener);
	int error = sk->sk_err;
	struct carried carried;

	read_carried(&carried, sk, tp, from, 0);
	add_accepted(forgotten);
	ADD(process, closed, 1);
	ADD(server, closed, 1);
	if (says_reset(error)) {
		ADD(process, resets, 1);
		ADD(server, resets, 1);
	}
	touch(process, server, time_of_end(sk, tp, from, error));
	add_bytes(process, server, carried.sent, carried.received, carried.retransmitted);
}

/* CLOSE. */
static __always_inline void count_closed(struct sock *sk, struct tcp_sock *tp, int from)
{
	struct connection *connection, forgotten = {};
	__u64 key = (__u64)sk;

	connection = find_own(sk);
	if (!connection) {
		if (!based || from == TCP_SYN_SENT || from == TCP_SYN_RECV || from == TCP_LISTEN)
			return;
		/* Its handshake was missed, or there was no room. The bound port is gone by now. */
		if (!set_accepted(&forgotten, sk, bpf_ntohs(tp->inet_conn.icsk_inet.inet_sport))) {
			__sync_fetch_and_add(&missed, 1);
			return;
		}
		forgotten.stage = CLOSED; /* no pass counts it, too */
		if (make(key, &forgotten) != -EEXIST) {
			count_forgotten(&forgotten, sk, tp, from);
		} else {
			connection = find(key); /* a pass was first */
			if (!connection)
				return;
		}
	}
	if (connection)
		count_end(connection, sk, tp, from);
	if (sk->__sk_common.skc_flags & SOCK_DEAD) /* no pass sees it, and it ends */
		forget(key);
}

/*
 * FIN_WAIT1 and LAST_ACK: a process closes. Whatever softirqs have brought before may have been
 * missed, and the end may be: count it as opened or accepted, and note what it has carried up to now,
 * which mostly is all.
 */
static __always_inline void count_closing(struct sock *sk, struct tcp_sock *tp, int from)
{
	struct connection *connection, forgotten = {};
	struct carried carried;
	__u64 key = (__u64)sk;

	connection = find_own(sk);
	if (!connection) {
		if (!based || from == TCP_SYN_RECV ||
		    !set_accepted(&forgotten, sk, sk->__sk_common.skc_num))
			return; /* CLOSE says whether it is missed */
		if (!make(key, &forgotten)) /* else a pass was first, or there is no room */
			add_accepted(&forgotten);
		connection = find(key);
		if (!connection) /* it is counted when it ends */
			return;
	}
	if (connection->stage == CONNECTING && from != TCP_SYN_RECV)
		count_opened(connection, sums_of(connection->process), (tp->srtt_us >> 3) * 1000ULL);
	connection->marks |= CLOSING;
	read_carried(&carried, sk, tp, from, 0);
	connection->sent_at_close = carried.sent;
	connection->received_at_close = carried.received;
}

SEC("tp_btf/inet_sock_set_state")
int count_states(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	int from = ctx[1], to = ctx[2];
	struct tcp_sock *tp;

	if (!(COUNTED_STATES & 1 << to) || from == to || sk->sk_protocol != IPPROTO_TCP)
		return 0;
	tp = bpf_skc_to_tcp_sock(sk);
	if (!tp)
		return 0;
	if (to == TCP_SYN_SENT)
		count_attempt(sk, tp);
	else if (to == TCP_ESTABLISHED)
		count_established(sk, tp, from);
	else if (to == TCP_CLOSE)
		count_closed(sk, tp, from);
	else if (to != TCP_LISTEN)
		count_closing(sk, tp, from);
	else
		note_listener(sk, bpf_get_current_task_btf()->group_leader, 0);
	return 0;
}

SEC("tp_btf/tcp_destroy_sock")
int count_ends(__u64 *ctx)
{
	struct sock *sk = (void *)ctx[0];
	struct connection *connection;
	__u64 key = (__u64)sk;
	struct tcp_sock *tp;

	connection = find_anywhere(sk);
	if (!connection)
		return 0;
	if (connection->stage != CLOSED) {
		tp = bpf_skc_to_tcp_sock(sk);
		if (tp)
			count_end(connection, sk, tp, 0);
	}
	forget(key);
	return 0;
}

/*
 * Make the memory of a connection that has none: it was opened before the programs were loaded, its
 * handshake was missed, or there was no room. What an inbound one carried until now is added, but for what
 * *torn* says that it isn't known; of others it is the base.
 *
 * If look_at() went on with that memory, the verifier would walk what follows there once more for each way
 * through here: on Linux 5.15 more than the million instructions that it takes.
 */
static __always_inline void remember(const struct pass *pass, struct sock *sk, struct tcp_sock *tp,
				     const struct record *rec, struct task_struct *leader,
				     const struct carried *carried, int torn, const int probed)
{
	struct listener *listener = 0;
	struct connection fresh = {};
	struct sums *process, *server;
	__u64 key = (__u64)sk;
	int accepted;

	if (rec->kind != OUTBOUND)
		listener = listener_of(sk, rec->local_port, probed);
	fresh.stage = rec->state == TCP_SYN_SENT ? CONNECTING : OPEN;
	fresh.upstream.port = remote_port(sk, probed);
	if (listener) {
		fresh.inbound = 1;
		fresh.process = listener->process;
		fresh.listener = listener->sums;
	} else {
		fresh.process = process_of(leader, rec->netns);
		fresh.inbound = rec->kind == INBOUND;
	}
	if (!fresh.inbound) {
		set_remote(&fresh.upstream, sk, probed);
		fresh.upstream.process = fresh.process;
		fresh.started = bpf_ktime_get_ns();
	}
	accepted = based && fresh.inbound;
	if (fresh.stage == CONNECTING)
		fresh.untold = ATTEMPT;
	if (FIN_QUEUED & 1 << rec->state)
		fresh.marks = CLOSING;
	fresh.sent = torn && accepted ? 0 : carried->sent;
	fresh.received = carried->received;
	if (accepted && fresh.received && !carried->ended && may_have_ended(sk, tp, probed))
		fresh.received--;
	fresh.retransmitted = carried->retransmitted;
	if (make(key, &fresh))
		return;
	if (fresh.untold)
		ADD(sums_of(fresh.process), attempts, 1);
	if (!accepted)
		return;
	add_accepted(&fresh);
	process = sums_of(fresh.process);
	server = sums_of(fresh.listener);
	add_bytes(process, server, fresh.sent, fresh.received, fresh.retransmitted);
	if (pass)
		touch(process, server, pass->now);
}

/* Return what tells the pid namespace of who reads: a pass sees the processes of that alone. */
static __always_inline __u64 reader(void)
{
	__u64 pid = (__u64)BPF_CORE_READ(bpf_get_current_task_btf(), thread_pid), ns = 0;
	__u64 level = BPF_CORE_READ((struct pid *)pid, level);

	/* As in pid_for_reader(). */
	bpf_probe_read_kernel(&ns, sizeof(ns),
			      (void *)(pid + bpf_core_field_offset(struct pid___numbers, numbers) +
				       level * bpf_core_type_size(struct upid) +
				       bpf_core_field_offset(struct upid, ns)));
	return ns;
}

/* Return when the last ended pass over a half began, if its reader was of that namespace; else 0. */
static __always_inline __u64 last_began(enum half half, __u64 namespace)
{
	volatile struct last_pass *last = &last_passes[half];
	__u64 began = last->began;

	return last->reader == namespace && last->began == began ? began : 0;
}

/* Return when the sockets of both halves had been seen by a reader of this namespace; 0: never. */
static __always_inline __u64 seen_before(void)
{
	__u64 own = reader();
	__u64 first = last_began(FIRST, own), second = last_began(SECOND, own);

	return first < second ? first : second;
}

static __always_inline void note_end(enum half half, __u64 began)
{
	volatile struct last_pass *last = &last_passes[half];

	last->began = 0;
	last->reader = reader();
	last->began = began;
}

/* Return the pass that is on its way; at its end what it saw need not be seen again while idle. */
static __always_inline struct pass *note_pass(struct bpf_iter_meta *meta, enum half half, int ended)
{
	__u64 session = meta->session_id;
	struct pass *pass = &passes[session & 15];

	if (!meta->seq_num) {
		pass->began = bpf_jiffies64();
		pass->now = bpf_ktime_get_ns();
		pass->before = seen_before();
		pass->session = session;
	}
	if (pass->session != session) /* another one took its place */
		return 0;
	if (ended && half != SECOND)
		note_end(FIRST, pass->began);
	if (ended && half != FIRST)
		note_end(SECOND, pass->began);
	return pass;
}

/* Whether a connection, opened or closing, sent and received no data since the pass before. */
static __always_inline int is_idle(const struct pass *pass, struct tcp_sock *tp,
				   const struct record *rec, const int probed)
{
	__u32 since, sent, received;

	if (!pass || !pass->before || rec->state == TCP_SYN_SENT)
		return 0;
	since = pass->before - IDLE_MARGIN;
	sent = READ(tp, lsndtime);
	received = READ(tp, inet_conn.icsk_ack.lrcvtime);
	return (__s32)(sent - since) < 0 && (__s32)(received - since) < 0;
}

/* Add what a TCP connection carried since the last pass, or renew the process of a listener. */
static __always_inline void look_at(struct pass *pass, struct sock *sk, struct tcp_sock *tp,
				    const struct record *rec, struct task_struct *leader,
				    const int probed)
{
	struct connection *connection;
	struct sums *process, *server;
	struct carried carried;
	int torn, is_left;

	if (rec->kind == LISTENER) {
		note_listener(sk, leader, probed);
		return;
	}
	if (rec->state == TCP_SYN_RECV) /* Fast Open: its handshake is not complete */
		return;
	if (is_idle(pass, tp, rec, probed))
		return;
	read_carried(&carried, sk, tp, -1, probed);
	torn = is_torn(sk, tp, &carried, probed);
	if (rec->state == TCP_SYN_SENT) /* its sequence numbers may just be chosen: it sent a SYN */
		carried.sent = 1;
	connection = find_seen(pass, sk, rec, probed, &is_left);
	if (is_left)
		return;
	if (!probed && !connection && any_crowded_out &&
	    bpf_sk_storage_get(&crowded_out, sk, 0, 0))
		return;
	if (!connection) {
		/* That it began to connect was seen, unless it was before the load: there was no room. */
		if (!based || rec->state != TCP_SYN_SENT)
			remember(pass, sk, tp, rec, leader, &carried, torn, probed);
		return;
	}
	if (connection->stage == CLOSED)
		return;
	if (torn)
		carried.sent = connection->sent;
	if (connection->stage == OPEN && !connection->untold && !has_more(connection, &carried))
		return;
	process = sums_of(connection->process);
	server = server_of(connection, sk, probed);
	if (rec->state != TCP_SYN_SENT && connection->stage == CONNECTING)
		count_opened(connection, process, (READ(tp, srtt_us) >> 3) * 1000ULL);
	tell(connection, server);
	if (carried.received > connection->received && !carried.ended &&
	    may_have_ended(sk, tp, probed))
		carried.received--;
	if (pass && has_more(connection, &carried))
		touch(process, server, pass->now);
	add_carried(connection, &carried, process, server, 0);
}

SEC("iter/task_file")
int count_sockets(struct bpf_iter__task_file *ctx)
{
	struct task_struct *task = ctx->task;
	struct sock *sk, *first;
	struct record rec = {};
	struct tcp_sock *tp;
	struct pass *pass;
	enum half half = half_of(ctx->meta);

	pass = note_pass(ctx->meta, half, !task);
	if (!task) {
		if (half != SECOND)
			was_passed[FIRST] = 1;
		if (half != FIRST)
			was_passed[SECOND] = 1;
		if (!based && was_passed[FIRST] && was_passed[SECOND])
			based = bpf_ktime_get_ns();
		return 0;
	}
	if (is_in_other(half, task, ctx->fd))
		return 0;
	sk = set_record(&rec, ctx);
	if (!sk)
		return 0;
	write_record(ctx->meta->seq, &rec, sk);
	if (rec.protocol != IPPROTO_TCP)
		return 0;
	if (sk->sk_protocol == IPPROTO_MPTCP) {
		first = first_subflow_of(sk);
		if (first)
			look_at(pass, first, (void *)first, &rec, task->group_leader, 1);
		return 0;
	}
	tp = bpf_skc_to_tcp_sock(sk);
	if (tp)
		look_at(pass, sk, tp, &rec, task->group_leader, 0);
	return 0;
}

/* The figures of the totals themselves, in the places of sums. */
static __always_inline void set_figures(struct sums *to)
{
	to->attempts = keys;
	to->opened = overflow;
	to->failed = missed;
	to->abandoned = based;
}

SEC("iter/bpf_map_elem")
int total_processes(struct bpf_iter__bpf_map_elem *ctx)
{
	struct process *process = ctx->key;
	struct process_total total = {};
	__u32 *id = ctx->value;
	struct sums *found;

	if (!process || !id) {
		set_figures(&total.sums);
	} else {
		total.id = *id;
		found = sums_of(total.id);
		if (!found)
			return 0;
		total.process = *process;
		total.sums = *found;
	}
	bpf_seq_write(ctx->meta->seq, &total, sizeof(total));
	return 0;
}

SEC("iter/bpf_map_elem")
int total_listeners(struct bpf_iter__bpf_map_elem *ctx)
{
	struct listener *listener = ctx->value;
	struct endpoint *endpoint = ctx->key;
	struct server_total total = {};
	struct sums *found;

	if (!endpoint || !listener) {
		set_figures(&total.sums);
	} else {
		found = sums_of(listener->sums);
		if (!found)
			return 0;
		total.endpoint = *endpoint;
		total.process = listener->process;
		total.sums = *found;
	}
	bpf_seq_write(ctx->meta->seq, &total, sizeof(total));
	return 0;
}

SEC("iter/bpf_map_elem")
int total_upstreams(struct bpf_iter__bpf_map_elem *ctx)
{
	struct endpoint *endpoint = ctx->key;
	struct server_total total = {};
	struct sums *found = ctx->value;

	if (!endpoint || !found) {
		set_figures(&total.sums);
	} else {
		total.endpoint = *endpoint;
		total.process = endpoint->process;
		total.sums = *found;
	}
	bpf_seq_write(ctx->meta->seq, &total, sizeof(total));
	return 0;
}
