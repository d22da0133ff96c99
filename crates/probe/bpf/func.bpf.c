/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Calls of functions: how many, how long, and with which arguments.
 *
 * A call under way is known by its goroutine and by the distance of its frame from the upper end of the goroutine's
 * stack: that distance stays the same when the stack grows and is copied to another place, and when the goroutine
 * moves to another thread. Recursion has a frame for each call.
 */
#include "engine.h"

#define FUNCTIONS 1024
#define BUCKETS 64
#define REGISTERS 9
#define READS 12
#define PIECE 128

/* Of each function: calls, returns that found their call, nanoseconds together, the longest. */
struct totals {
	u64 calls;
	u64 returns;
	u64 nanoseconds;
	u64 longest;
};

struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct totals);
	NUMBER(max_entries, FUNCTIONS);
} totals SEC(".maps");

/* Durations by powers of two: [function * BUCKETS + floor(log2(ns))]. */
struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, u64);
	NUMBER(max_entries, FUNCTIONS *BUCKETS);
} durations SEC(".maps");

struct call {
	u64 goroutine;
	u64 distance;
	u32 process;
	u32 function;
};

/* A call that ends by a panic never returns: the oldest give way. */
struct {
	NUMBER(type, MAP_LRU_HASH);
	TYPE(key, struct call);
	TYPE(value, u64);
	NUMBER(max_entries, 65536);
} under_way SEC(".maps");

/* What to read for a function's arguments, besides the registers; src/func/plan.rs makes it. */
struct reading {
	u8 what;  /* 0 nothing, 1 from the stack, 2 what a register points to, 3 as much as another register says,
	             4 an address and a number of elements in an earlier piece */
	u8 from;  /* which register holds the address; for 4: which piece */
	u8 count; /* for 3: which register holds the number of elements */
	u8 element; /* for 3 and 4: bytes of an element */
	u32 bytes;  /* how many to read at most */
	s64 offset; /* from the address; for 4: in the piece */
};

struct plan {
	u32 readings;
	u32 reserved;
	struct reading reading[READS];
};

struct {
	NUMBER(type, MAP_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct plan);
	NUMBER(max_entries, FUNCTIONS);
} plans SEC(".maps");

struct piece {
	u32 bytes; /* how many of the data are valid */
	u32 failed;
	u8 data[PIECE];
};

struct called {
	struct header header;
	u64 stack_pointer; /* as it was at entry */
	u64 instruction;
	u64 registers[REGISTERS];
	struct piece piece[READS];
	u32 busy; /* not sent */
};

struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct called);
	NUMBER(max_entries, ROOMS);
} scratch SEC(".maps");

/* Whether durations are asked for; without them a call leaves nothing behind but its count. */
volatile const u32 with_durations;

INLINE void name_call(struct call *call, u64 cookie, struct registers *regs)
{
	u64 high = read_word(regs->r14 + 8); /* g.stack.hi: `stack` is the first field of g in every release */
	call->goroutine = goroutine_id(regs);
	call->distance = high - (regs->rsp + cookie_depth(cookie));
	call->process = bpf_get_current_pid_tgid() >> 32;
	call->function = cookie_function(cookie);
}

INLINE void count_call(u64 cookie, struct registers *regs)
{
	u32 function = cookie_function(cookie);
	struct totals *sum = bpf_map_lookup_elem(&totals, &function);
	if (sum)
		sum->calls += 1;
	if (!with_durations)
		return;
	struct call call = {};
	name_call(&call, cookie, regs);
	u64 now = bpf_ktime_get_ns();
	if (bpf_map_update_elem(&under_way, &call, &now, 0))
		lose(LOST_STATE);
}

SEC("uprobe/enter")
int enter(struct registers *regs)
{
	u64 cookie = bpf_get_attach_cookie(regs);
	if (counts(cookie, regs))
		count_call(cookie, regs);
	return 0;
}

INLINE u32 logarithm(u64 value)
{
	u32 found = 0;
	if (value >> 32) { found += 32; value >>= 32; }
	if (value >> 16) { found += 16; value >>= 16; }
	if (value >> 8) { found += 8; value >>= 8; }
	if (value >> 4) { found += 4; value >>= 4; }
	if (value >> 2) { found += 2; value >>= 2; }
	return found + (value >> 1);
}

SEC("uprobe/leave")
int leave(struct registers *regs)
{
	u64 cookie = bpf_get_attach_cookie(regs);
	if (!counts(cookie, regs))
		return 0;
	struct call call = {};
	name_call(&call, cookie, regs);
	u64 *since = bpf_map_lookup_elem(&under_way, &call);
	if (!since) {
		lose(LOST_CALL); /* it began before the probe was there */
		return 0;
	}
	u64 took = bpf_ktime_get_ns() - *since;
	bpf_map_delete_elem(&under_way, &call);
	struct totals *sum = bpf_map_lookup_elem(&totals, &call.function);
	if (sum) {
		sum->returns += 1;
		sum->nanoseconds += took;
		if (took > sum->longest)
			sum->longest = took;
	}
	u32 bucket = call.function * BUCKETS + (logarithm(took) & (BUCKETS - 1));
	u64 *count = bpf_map_lookup_elem(&durations, &bucket);
	if (count)
		*count += 1;
	return 0;
}

/* The registers of the calling convention, by the numbers that plans use. */
INLINE u64 argument(struct called *called, u32 number)
{
	return number < REGISTERS ? called->registers[number] : 0;
}

INLINE void read_piece(struct piece *piece, struct reading *reading, struct called *called)
{
	u64 address = reading->what == 1 ? called->stack_pointer : argument(called, reading->from);
	u64 bytes = reading->bytes, elements = 0;
	s64 offset = reading->offset;
	piece->bytes = 0;
	piece->failed = 0;
	if (reading->what == 3)
		elements = argument(called, reading->count);
	if (reading->what == 4) {
		u64 at = offset;
		if (reading->from >= READS || at > PIECE - 16)
			return;
		struct piece *earlier = &called->piece[reading->from];
		if (at + 16 > earlier->bytes)
			return;
		address = *(u64 *)(earlier->data + (at & (PIECE - 8)));
		elements = *(u64 *)(earlier->data + ((at + 8) & (PIECE - 8)));
		offset = 0;
	}
	if (reading->what >= 3) {
		u64 all = elements > PIECE ? PIECE : elements * reading->element;
		if (all < bytes)
			bytes = all;
	}
	if (bytes > PIECE)
		bytes = PIECE;
	if (!reading->what || !address || !bytes)
		return;
	if (bpf_probe_read_user(piece->data, bytes, (void *)(address + offset)))
		piece->failed = 1;
	else
		piece->bytes = bytes;
}

SEC("uprobe/arguments")
int arguments(struct registers *regs)
{
	u64 cookie = bpf_get_attach_cookie(regs);
	u32 function = cookie_function(cookie);
	if (!counts(cookie, regs))
		return 0;
	count_call(cookie, regs);
	struct plan *plan = bpf_map_lookup_elem(&plans, &function);
	struct called *called = 0;
	if (!plan)
		return 0;
	for (u32 number = 0; number < ROOMS; number++) {
		called = bpf_map_lookup_elem(&scratch, &number);
		if (!called)
			return 0;
		if (take_room(&called->busy))
			break;
		called = 0;
	}
	if (!called) {
		lose(LOST_ROOM);
		return 0;
	}
	start_record(&called->header, 1, function, goroutine_id(regs));
	called->stack_pointer = regs->rsp + cookie_depth(cookie);
	called->instruction = regs->rip;
	/* abi-internal.md, "amd64 architecture": the order of integer registers. */
	called->registers[0] = regs->rax;
	called->registers[1] = regs->rbx;
	called->registers[2] = regs->rcx;
	called->registers[3] = regs->rdi;
	called->registers[4] = regs->rsi;
	called->registers[5] = regs->r8;
	called->registers[6] = regs->r9;
	called->registers[7] = regs->r10;
	called->registers[8] = regs->r11;
	u64 bytes = __builtin_offsetof(struct called, piece);
	u32 used = 0;
	for (u32 number = 0; number < READS; number++) {
		if (number >= plan->readings)
			break;
		read_piece(&called->piece[number], &plan->reading[number], called);
		used = number + 1;
	}
	send(called, bytes + used * sizeof(struct piece));
	leave_room(&called->busy);
	return 0;
}

char gpl[] SEC("license") = "GPL";
