/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What every probe shares: the context of a hit, whether it counts, whose it is, and how a record leaves.
 *
 * The rules: memory of the target is read by bpf_probe_read_user only, every length is bounded, nothing is written to
 * the target. A record that finds no room is counted in `lost`, never waited for.
 *
 * No kernel structure is touched, so there is nothing to relocate; what depends on the target (offsets in the Go
 * runtime and in net/http) is constant in .rodata and set by the loader before the verifier sees the program, which
 * removes what a target does not need.
 */
#pragma once

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;
typedef int s32;
typedef long long s64;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* Map declarations as BTF wants them (kernel: Documentation/bpf/libbpf/libbpf_overview.rst, "BTF-defined maps"). */
#define NUMBER(name, value) int(*name)[value]
#define TYPE(name, value) value *name

/* uapi/linux/bpf.h: enum bpf_map_type, flags, and the numbers of the helpers. */
enum { MAP_HASH = 1, MAP_ARRAY = 2, MAP_PERCPU_ARRAY = 6, MAP_LRU_HASH = 9, MAP_RINGBUF = 27 };
enum { RB_NO_WAKEUP = 1 };

static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_map_update_elem)(void *map, const void *key, const void *value, u64 flags) = (void *)2;
static long (*bpf_map_delete_elem)(void *map, const void *key) = (void *)3;
static u64 (*bpf_ktime_get_ns)(void) = (void *)5;
static u64 (*bpf_get_current_pid_tgid)(void) = (void *)14;
static long (*bpf_probe_read_user)(void *to, u32 size, const void *from) = (void *)112;
static long (*bpf_ringbuf_output)(void *ring, void *data, u64 size, u64 flags) = (void *)130;
static u64 (*bpf_get_attach_cookie)(void *context) = (void *)174;

/* arch/x86/include/uapi/asm/ptrace.h: what the kernel hands to a uprobe. */
struct registers {
	u64 r15, r14, r13, r12, rbp, rbx, r11, r10, r9, r8, rax, rcx, rdx, rsi, rdi, orig_rax, rip, cs, flags, rsp, ss;
};

/* Of the target: set before loading. */
volatile const u64 goid_offset;

struct {
	NUMBER(type, MAP_RINGBUF);
	NUMBER(max_entries, 1 << 23);
} events SEC(".maps");

/* Why something was not told: see enum loss. */
struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, u64);
	NUMBER(max_entries, 4);
} lost SEC(".maps");

enum loss { LOST_ROOM = 0, LOST_CALL = 1, LOST_READ = 2, LOST_STATE = 3 };

INLINE void lose(u32 why)
{
	u64 *count = bpf_map_lookup_elem(&lost, &why);
	if (count)
		*count += 1;
}

/*
 * A cookie says which site was hit (src/sites.rs packs it):
 *   bits 0-23   the function's number
 *   bits 24-27  condition code of the branch that the site is
 *   bits 28-29  0 every hit counts, 1 only when the branch is taken, 2 only when it is not
 *   bits 32-63  bytes by which the stack pointer stands below its place at entry
 */
INLINE u32 cookie_function(u64 cookie) { return cookie & 0xffffff; }
INLINE u64 cookie_depth(u64 cookie) { return cookie >> 32; }

/* Intel SDM vol. 2, appendix B.1.4: the condition that a branch tests. */
INLINE int branch_taken(u32 code, u64 flags)
{
	int carry = flags & 1, parity = !!(flags & 4), zero = !!(flags & 0x40);
	int sign = !!(flags & 0x80), overflow = !!(flags & 0x800);
	int holds;
	switch (code >> 1) {
	case 0: holds = overflow; break;
	case 1: holds = carry; break;
	case 2: holds = zero; break;
	case 3: holds = carry | zero; break;
	case 4: holds = sign; break;
	case 5: holds = parity; break;
	case 6: holds = sign ^ overflow; break;
	default: holds = zero | (sign ^ overflow); break;
	}
	return holds ^ (code & 1);
}

/*
 * Does this hit count? The entry block ends with the check for room on the stack. When there is none the branch is
 * taken, the stack grows, and the block runs again: the hit whose branch is taken is not the call.
 */
INLINE int counts(u64 cookie, struct registers *regs)
{
	u32 mode = (cookie >> 28) & 3;
	if (mode == 0)
		return 1;
	return branch_taken((cookie >> 24) & 15, regs->flags) == (mode == 1);
}

/* Since Go 1.17 r14 holds the goroutine in all Go code (abi-internal.md, "amd64 architecture"). */
INLINE u64 goroutine_id(struct registers *regs)
{
	u64 id = 0;
	if (goid_offset)
		bpf_probe_read_user(&id, sizeof(id), (void *)(regs->r14 + goid_offset));
	return id;
}

INLINE u64 read_word(u64 address)
{
	u64 word = 0;
	bpf_probe_read_user(&word, sizeof(word), (void *)address);
	return word;
}

/*
 * Room to put a record together: a program may be preempted, and another target thread may come to the same processor
 * meanwhile. So each processor has a few rooms, and whoever comes takes one that is free.
 */
#define ROOMS 4

INLINE int take_room(u32 *busy) { return __sync_val_compare_and_swap(busy, 0, 1) == 0; }
INLINE void leave_room(u32 *busy) { *(volatile u32 *)busy = 0; }

/* The start of every record; src/record.rs reads it. */
struct header {
	u32 kind;
	u32 function;
	u64 time;
	u64 goroutine;
	u32 process;
	u32 thread;
};

INLINE void start_record(struct header *header, u32 kind, u32 function, u64 goroutine)
{
	u64 task = bpf_get_current_pid_tgid();
	header->kind = kind;
	header->function = function;
	header->time = bpf_ktime_get_ns();
	header->goroutine = goroutine;
	header->process = task >> 32;
	header->thread = (u32)task;
}

/* The reader looks at the ring by its own clock: waking it for each record costs more than the probe. */
INLINE void send(void *record, u64 bytes)
{
	if (bpf_ringbuf_output(&events, record, bytes, RB_NO_WAKEUP))
		lose(LOST_ROOM);
}
