/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Steps of which one CPU alone may take each: exchange(), swapped(), next_of(), set_bits().
 *
 * They are the CPU's own instructions since Linux 5.12, on arm64 since 5.18. Before there is none that
 * fetches what was there, nor a lock for tracing programs: with WITHOUT_EXCHANGE who adds an element to a
 * map takes the turn at a number, and nobody else adds it meanwhile. Who finds it taken TURNS times, as
 * its holder has been interrupted, doesn't take the step: mostly the holder takes the same one, but what
 * a connection carried last, or that it was opened, may be missing then.
 */
#ifndef WITHOUT_EXCHANGE

/* Set a number and return what it was. */
#define exchange(at, to) __sync_lock_test_and_set(at, to)
/* Set a number to *to* if it is *from*; return whether it was. */
#define swapped(at, from, to) (__sync_val_compare_and_swap(at, from, to) == (from))
/* Add 1 to a number and return what it is. */
#define next_of(at) (__sync_fetch_and_add(at, 1) + 1)
#define set_bits(at, bits) ((void)__sync_fetch_and_or(at, bits))

#else

#define TURNS 256

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1024);
	__type(key, __u32);
	__type(value, __u8);
} turns SEC(".maps");

/*
 * Return whether the turn at a number is taken; then it has to be given back. Neither is static, so the
 * verifier looks at each once, and not wherever it is called.
 */
__noinline int take_turn(__u32 place)
{
	__u8 taken = 1;
	int i;

	for (i = 0; i < TURNS; i++)
		if (!bpf_map_update_elem(&turns, &place, &taken, BPF_NOEXIST))
			return 1;
	return 0;
}

__noinline int give_turn(__u32 place)
{
	return bpf_map_delete_elem(&turns, &place);
}

/* The place of a number: half its address, as a copy of half a pointer is a number. */
static __always_inline __u32 place_of(const volatile void *at)
{
	__u64 whole = (__u64)at;
	__u32 low;

	asm volatile("" : "+r"(whole)); /* else its parts are added up as halves */
	asm("%0 = %1" : "=w"(low) : "w"((__u32)whole));
	return low;
}

#define exchange(at, to)					\
	({							\
		volatile typeof(*(at)) *_at = (at);		\
		typeof(*(at)) _to = (to), _before = _to;	\
								\
		if (take_turn(place_of(_at))) {			\
			_before = *_at;				\
			*_at = _to;				\
			give_turn(place_of(_at));		\
		}						\
		_before;					\
	})

#define swapped(at, from, to)					\
	({							\
		volatile typeof(*(at)) *_at = (at);		\
		int _swapped = 0;				\
								\
		if (take_turn(place_of(_at))) {			\
			_swapped = *_at == (from);		\
			if (_swapped)				\
				*_at = (to);			\
			give_turn(place_of(_at));		\
		}						\
		_swapped;					\
	})

#define next_of(at)						\
	({							\
		volatile typeof(*(at)) *_at = (at);		\
		typeof(*(at)) _next = 0;			\
								\
		if (take_turn(place_of(_at))) {			\
			_next = *_at + 1;			\
			*_at = _next;				\
			give_turn(place_of(_at));		\
		}						\
		_next;						\
	})

#define set_bits(at, bits)					\
	do {							\
		volatile typeof(*(at)) *_at = (at);		\
								\
		if (take_turn(place_of(_at))) {			\
			*_at |= (bits);				\
			give_turn(place_of(_at));		\
		}						\
	} while (0)

#endif
