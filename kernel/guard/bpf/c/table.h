// SPDX-License-Identifier: GPL-2.0 OR Apache-2.0
//
// The table of digests, which package table describes and user space changes while the guard reads
// it. A lookup locks nothing and tries nothing again.
#pragma once
#include "records.h"

#define PER_BUCKET 8
#define PROBES 24

struct slot {
	__u64 digest[4];
	__u32 lists; // how many active lists hold it; at 0 the content does not run
	__u32 seen;  // the generation that saw it last; 0: the slot was never used
};

struct bucket {
	struct slot slots[PER_BUCKET];
};

// In the place of the first bucket.
struct header {
	__u64 seed[7];
	__u64 mask; // the number of buckets, a power of two, less 1
};

struct table {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	// Of any size, and written by its only holder through memory. The kernel maps none
	// into memory that programs may not write (BPF_F_RDONLY_PROG).
	__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	__uint(max_entries, 1 + (1 << 16) / PER_BUCKET);
	__uint(key_size, 4);
	__uint(value_size, sizeof(struct bucket));
};

// One map within another, so that a larger one can take its place in one step.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct table);
} digests SEC(".maps");

// A digest that lies where it can be read eight bytes at a time.
struct digest {
	union {
		__u64 wide[4];
		__u32 words[8];
		__u8 bytes[32];
	};
};

struct search {
	void *table;
	struct digest *digest;
	__u64 at, step, mask;
	int found;
};

// What a bucket says of a digest.
enum { ABSENT, PRESENT, FURTHER };

static __always_inline int look(struct bucket *b, const struct digest *digest)
{
#pragma unroll
	for (int j = 0; j < PER_BUCKET; j++) {
		struct slot *s = &b->slots[j];
		if (load(s->digest[0]) != digest->wide[0])
			continue;
		// Before the digest, which is written before it and never changes afterwards.
		__u32 lists = load(s->lists);
		// One branch for all words: each takes the verifier time.
		__u64 other = load(s->digest[0]) ^ digest->wide[0];
		other |= load(s->digest[1]) ^ digest->wide[1];
		other |= load(s->digest[2]) ^ digest->wide[2];
		other |= load(s->digest[3]) ^ digest->wide[3];
		if (!other)
			return lists ? PRESENT : ABSENT;
	}
	return load(b->slots[PER_BUCKET - 1].seen) ? FURTHER : ABSENT;
}

static int look_further(__u32 number, struct search *s)
{
	__u32 index = 1 + ((s->at + s->step * (number + 1)) & s->mask);
	struct bucket *b = bpf_map_lookup_elem(s->table, &index);
	s->found = b ? look(b, s->digest) : ABSENT;
	return s->found != FURTHER;
}

// listed says whether an active list holds a digest. It is proven once for each program, and not
// for each call.
__noinline int listed(struct digest *digest)
{
	struct search s = {.digest = digest};
	__u32 index = 0;
	s.table = bpf_map_lookup_elem(&digests, &index);
	if (!s.table || !digest)
		return 0;
	struct header *h = bpf_map_lookup_elem(s.table, &index);
	if (!h)
		return 0;
	const __u32 *w = digest->words;
	__u64 x = h->seed[0] + h->seed[1] * w[0] + h->seed[2] * w[1] + h->seed[3] * w[2] + h->seed[4] * w[3];
	x = (x ^ x >> 32) * (h->seed[5] | 1);
	x = (x ^ x >> 32) * (h->seed[6] | 1);
	s.at = x >> 32;
	s.step = x | 1;
	s.mask = h->mask;

	index = 1 + (s.at & s.mask);
	struct bucket *b = bpf_map_lookup_elem(s.table, &index);
	s.found = b ? look(b, digest) : ABSENT;
	if (s.found == FURTHER)
		bpf_loop(PROBES - 1, look_further, &s, 0);
	return s.found == PRESENT;
}

// Package table reads and writes these by number.
SIZE(slot, 40);
AT(slot, digest, 0);
AT(slot, lists, 32);
AT(slot, seen, 36);
SIZE(bucket, 320);
SIZE(header, 64);
AT(header, seed, 0);
AT(header, mask, 56);
