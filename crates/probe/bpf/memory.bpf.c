/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Memory that becomes executable in one process: mmap, mprotect, pkey_mprotect, and memfd_create, which makes files that
 * no directory has.
 *
 * What a call asked for is kept from its entry to its exit, where the kernel says whether it was done. An answer (a signal
 * to the calling thread) is given at the exit, so the thread meets it before its next instruction.
 */
#include "engine.h"

enum { CALL_MMAP = 1, CALL_MPROTECT = 2, CALL_PKEY_MPROTECT = 3, CALL_MEMFD = 4 };
/* uapi/asm-generic/mman-common.h */
enum { PROT_WRITE = 2, PROT_EXEC = 4, MAP_ANONYMOUS = 0x20 };
enum { SIGNAL_STOP = 19 };

#define NAME 64

/* uapi/linux/bpf.h: struct bpf_pidns_info, and the two helpers that only this program uses. */
struct numbers {
	u32 thread;
	u32 process;
};
static long (*bpf_probe_read_user_str)(void *to, u32 size, const void *from) = (void *)114;
static long (*bpf_send_signal_thread)(u32 signal) = (void *)117;
static long (*bpf_get_ns_current_pid_tgid)(u64 device, u64 inode, struct numbers *numbers, u32 size) = (void *)120;

/* The process, in the name space of whoever watches; set before loading. */
volatile const u32 process;
volatile const u64 namespace_device;
volatile const u64 namespace_inode;
/* What is sent for memory that is writable and executable, or executable without a file; 0 for nothing. */
volatile const u32 answer;
/* Every other memory that becomes executable stops the process until it has been looked at. */
volatile const u32 hold;

/* events/syscalls/sys_enter_…/format and sys_exit_…/format. */
struct entering {
	u64 common;
	u64 number;
	u64 arguments[6];
};
struct leaving {
	u64 common;
	u64 number;
	s64 result;
};

struct asked {
	u64 address;
	u64 length;
	u32 call;
	u32 protection;
	u32 flags;
	u32 unused;
	char name[NAME];
};

/* By thread; a thread that dies inside of a call leaves a row, so the oldest give way. */
struct {
	NUMBER(type, MAP_LRU_HASH);
	TYPE(key, u64);
	TYPE(value, struct asked);
	NUMBER(max_entries, 8192);
} under_way SEC(".maps");

/* src/memory/record.rs reads it. */
struct record {
	struct header header;
	struct asked asked;
	u32 signal;
	u32 unused;
};

INLINE int is_ours(void)
{
	struct numbers numbers = {};
	if (bpf_get_ns_current_pid_tgid(namespace_device, namespace_inode, &numbers, sizeof(numbers)))
		return 0;
	return numbers.process == process;
}

INLINE int begin(struct asked *asked)
{
	u64 thread = bpf_get_current_pid_tgid();
	if (bpf_map_update_elem(&under_way, &thread, asked, 0))
		lose(LOST_STATE);
	return 0;
}

INLINE int protect(struct entering *context, u32 call)
{
	if (!(context->arguments[2] & PROT_EXEC) || !is_ours())
		return 0;
	struct asked asked = {};
	asked.address = context->arguments[0];
	asked.length = context->arguments[1];
	asked.protection = context->arguments[2];
	asked.call = call;
	if (call == CALL_MMAP)
		asked.flags = context->arguments[3];
	return begin(&asked);
}

SEC("tracepoint")
int enter_mmap(struct entering *context)
{
	return protect(context, CALL_MMAP);
}

SEC("tracepoint")
int enter_mprotect(struct entering *context)
{
	return protect(context, CALL_MPROTECT);
}

SEC("tracepoint")
int enter_pkey_mprotect(struct entering *context)
{
	return protect(context, CALL_PKEY_MPROTECT);
}

SEC("tracepoint")
int enter_memfd_create(struct entering *context)
{
	if (!is_ours())
		return 0;
	struct asked asked = {};
	asked.call = CALL_MEMFD;
	asked.flags = context->arguments[1];
	bpf_probe_read_user_str(asked.name, NAME, (void *)context->arguments[0]);
	return begin(&asked);
}

SEC("tracepoint")
int leave_call(struct leaving *context)
{
	u64 thread = bpf_get_current_pid_tgid();
	struct asked *asked = bpf_map_lookup_elem(&under_way, &thread);
	if (!asked)
		return 0;
	struct record record = {};
	record.asked = *asked;
	bpf_map_delete_elem(&under_way, &thread);
	if (context->result < 0 && context->result >= -4095)
		return 0;
	if (record.asked.call == CALL_MMAP)
		record.asked.address = context->result;
	if (record.asked.call == CALL_MEMFD)
		record.asked.address = context->result; /* the descriptor */
	else if (record.asked.protection & PROT_WRITE)
		record.signal = answer;
	else if (record.asked.call == CALL_MMAP && record.asked.flags & MAP_ANONYMOUS)
		record.signal = answer;
	else if (hold)
		record.signal = SIGNAL_STOP;
	start_record(&record.header, record.asked.call, 0, 0);
	/* The record first: who stops the process must be told of it. */
	send(&record, sizeof(record));
	if (record.signal)
		bpf_send_signal_thread(record.signal);
	return 0;
}

char gpl[] SEC("license") = "GPL";
