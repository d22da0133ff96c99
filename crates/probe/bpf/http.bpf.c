/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * Requests that net/http serves and sends.
 *
 * A request under way is known by its process and by the goroutine that serves it (the address of its g: at most one
 * request is served on a goroutine at a time). What is told of it is read from http.Request when it ends, so its
 * beginning costs a clock and a table. Offsets come from the target's own type data (src/http/layout.rs).
 */
#include "engine.h"

#define URI 512
#define SMALL 64

/* http.Request: how much of it is read in one piece, and where in that piece what is. */
volatile const u32 request_bytes;
volatile const u32 request_method;
volatile const u32 request_url;
volatile const u32 request_major;
volatile const u32 request_minor;
volatile const u32 request_headers;
volatile const u32 request_length;
volatile const u32 request_host;
volatile const u32 request_remote;
volatile const u32 request_uri;
volatile const u32 request_tls;
volatile const u32 url_host;
volatile const u32 url_path;
/* http.response (HTTP/1) and responseWriterState (HTTP/2). */
volatile const u32 response_status;
volatile const u32 response_written;
volatile const u32 writer_state;
volatile const u32 state_status;
volatile const u32 state_written;
/* http.Response, of clients. */
volatile const u32 reply_status;
volatile const u32 reply_length;
/* map[string][]string: 0 unknown, 1 groups in tables (Go 1.24), 2 buckets. */
volatile const u32 map_kind;
volatile const u32 map_used;
volatile const u32 map_pointer;
volatile const u32 map_length;
volatile const u32 table_groups;
volatile const u32 group_bytes;
volatile const u32 group_keys;
volatile const u32 group_key_stride;
volatile const u32 group_elements;
volatile const u32 group_element_stride;
volatile const u32 group_overflow;

struct string {
	u64 address;
	u64 bytes;
};

struct key {
	u64 goroutine;
	u32 process;
	u32 client;
};

struct begun {
	u64 time;
	u64 request;
};

/*
 * Requests under way. What a panic left behind is written over, since the runtime uses a g again: at most one entry
 * for each g, and so no need for a table that forgets, which costs twice as much.
 */
struct {
	NUMBER(type, MAP_HASH);
	TYPE(key, struct key);
	TYPE(value, struct begun);
	NUMBER(max_entries, 131072);
} under_way SEC(".maps");

enum how { FINISHED = 0, HIJACKED = 1, ABORTED = 2, FAILED = 3 };

/* src/http/record.rs reads it. */
struct told {
	struct header header;
	u64 began;   /* 0: not seen */
	u64 written; /* bytes of the response's body; of a client's response what it announces, or -1 */
	u64 length;  /* bytes of the request's body as announced, or -1 */
	u32 status;
	u8 client;
	u8 how;
	u8 major;
	u8 minor;
	u8 tls;
	u8 traced;
	u16 method_bytes;
	u16 host_bytes;
	u16 remote_bytes;
	u16 uri_bytes;
	u8 partial; /* something could not be read */
	u8 reserved[5];
	u8 method[SMALL / 4];
	u8 host[SMALL];
	u8 remote[SMALL];
	u8 trace[SMALL];
	u8 uri[URI];
};

struct room {
	struct told told;
	u8 request[512];
	u8 group[512];
	u32 busy;
};

struct {
	NUMBER(type, MAP_PERCPU_ARRAY);
	TYPE(key, u32);
	TYPE(value, struct room);
	NUMBER(max_entries, ROOMS);
} scratch SEC(".maps");

INLINE struct key key_of(struct registers *regs, u32 client)
{
	struct key key = {regs->r14, bpf_get_current_pid_tgid() >> 32, client};
	return key;
}

INLINE void begin(struct registers *regs, u64 request, u32 client)
{
	struct key key = key_of(regs, client);
	struct begun begun = {bpf_ktime_get_ns(), request};
	if (bpf_map_update_elem(&under_way, &key, &begun, 0))
		lose(LOST_STATE);
}

INLINE u32 field32(struct room *room, u32 at) { return *(u32 *)(room->request + (at & 255)); }

INLINE struct string field_string(struct room *room, u32 at)
{
	struct string *string = (struct string *)(room->request + (at & 255));
	return *string;
}

/* Reads memory of the target. A page that the kernel is just moving cannot be read: then the record says so. */
INLINE int get(struct room *room, void *to, u32 bytes, u64 address)
{
	if (!bpf_probe_read_user(to, bytes, (void *)address))
		return 1;
	room->told.partial = 1;
	return 0;
}

INLINE u64 get_word(struct room *room, u64 address)
{
	u64 word = 0;
	get(room, &word, sizeof(word), address);
	return word;
}

/* Copies a string as far as there is room; gives how much. */
INLINE u16 copy(struct room *room, u8 *to, u32 most, struct string from)
{
	u64 bytes = from.bytes;
	if (bytes > most)
		bytes = most;
	if (!bytes || !from.address || !get(room, to, bytes, from.address))
		return 0;
	return bytes;
}

/* "Traceparent", the canonical form in which net/http keeps the name (W3C Trace Context, section 3.2.1). */
INLINE int is_traceparent(struct room *room, struct string name)
{
	u64 first = 0;
	u32 rest = 0;
	if (name.bytes != 11)
		return 0;
	get(room, &first, 8, name.address);
	get(room, &rest, 3, name.address + 8);
	return first == 0x7261706563617254ULL && rest == 0x746e65;
}

/* The header of eight places of the map; gives 1 when it held the name. */
static __attribute__((noinline)) int trace_in_group(struct room *room, u64 group)
{
	if (!get(room, room->group, group_bytes & 511, group))
		return 0;
	u64 control = *(u64 *)room->group;
	for (u32 slot = 0; slot < 8; slot++) {
		u8 state = control >> (8 * slot);
		/* Swiss groups mark free places by the upper bit; buckets have small numbers for what is not in use. */
		if (map_kind == 1 ? state & 0x80 : state < 5)
			continue;
		struct string *name = (struct string *)(room->group + ((group_keys + slot * group_key_stride) & 511 & ~7));
		if ((u8 *)(name + 1) > room->group + sizeof(room->group))
			continue;
		if (!is_traceparent(room, *name))
			continue;
		u64 *element = (u64 *)(room->group + ((group_elements + slot * group_element_stride) & 511 & ~7));
		struct string value = {};
		get(room, &value, sizeof(value), *element);
		room->told.traced = copy(room, room->told.trace, SMALL, value);
		return 1;
	}
	return 0;
}

static __attribute__((noinline)) void find_trace(struct room *room, u64 map)
{
	if (!map || !map_kind || !get_word(room, map + map_used))
		return;
	u64 pointer = get_word(room, map + map_pointer);
	u64 count = 0;
	if (map_kind == 1) {
		/* internal/runtime/maps: a small map is one group; a larger one a directory of tables of groups. */
		if (!get_word(room, map + map_length)) {
			trace_in_group(room, pointer);
			return;
		}
		u64 table = get_word(room, pointer);
		count = get_word(room, table + table_groups + 8) + 1;
		pointer = get_word(room, table + table_groups);
	} else {
		/* runtime/map.go: 2^B buckets; B is a byte. */
		u8 b = 0;
		get(room, &b, 1, map + map_length);
		count = 1ULL << (b & 7);
	}
	/* Sixty-four names and more: no request has so many. */
	for (u32 number = 0; number < 8; number++) {
		if (number >= count)
			break;
		u64 group = pointer + number * group_bytes;
		if (trace_in_group(room, group))
			break;
		if (map_kind == 2) {
			u64 more = get_word(room, group + group_overflow);
			if (more && trace_in_group(room, more))
				break;
		}
	}
}

INLINE struct room *room_for(struct registers *regs, struct begun *begun, u32 client, u32 how)
{
	struct room *room = 0;
	for (u32 number = 0; number < ROOMS; number++) {
		room = bpf_map_lookup_elem(&scratch, &number);
		if (!room)
			return 0;
		if (take_room(&room->busy))
			break;
		room = 0;
	}
	if (!room) {
		lose(LOST_ROOM);
		return 0;
	}
	struct told *told = &room->told;
	told->partial = 0;
	start_record(&told->header, 2, 0, goroutine_id(regs));
	told->began = begun->time;
	told->client = client;
	told->how = how;
	told->traced = 0;
	told->status = 0;
	told->written = 0;
	if (bpf_probe_read_user(room->request, request_bytes & 511, (void *)begun->request)) {
		lose(LOST_READ);
		leave_room(&room->busy);
		return 0;
	}
	return room;
}

/* What the request says of itself; then the record goes. */
INLINE void tell(struct room *room)
{
	struct told *told = &room->told;
	told->major = field32(room, request_major);
	told->minor = field32(room, request_minor);
	told->length = *(u64 *)(room->request + (request_length & 255));
	told->tls = *(u64 *)(room->request + (request_tls & 255)) != 0;
	told->method_bytes = copy(room, told->method, sizeof(told->method), field_string(room, request_method));
	told->remote_bytes = 0;
	struct string uri;
	if (told->client) {
		u64 url = *(u64 *)(room->request + (request_url & 255));
		struct string host = {};
		uri = host;
		get(room, &host, sizeof(host), url + url_host);
		get(room, &uri, sizeof(uri), url + url_path);
		told->host_bytes = copy(room, told->host, SMALL, host);
	} else {
		uri = field_string(room, request_uri);
		told->host_bytes = copy(room, told->host, SMALL, field_string(room, request_host));
		told->remote_bytes = copy(room, told->remote, SMALL, field_string(room, request_remote));
	}
	find_trace(room, *(u64 *)(room->request + (request_headers & 255)));
	u32 bytes = copy(room, told->uri, URI, uri);
	told->uri_bytes = bytes;
	if (told->partial)
		lose(LOST_READ);
	send(told, sizeof(*told) - URI + (bytes & (2 * URI - 1)));
	leave_room(&room->busy);
}

/* net/http.serverHandler.ServeHTTP(sh, rw, req): one word, an interface of two, a pointer. */
SEC("uprobe/serve")
int serve(struct registers *regs)
{
	if (counts(bpf_get_attach_cookie(regs), regs))
		begin(regs, regs->rdi, 0);
	return 0;
}

INLINE int ended(struct registers *regs, u32 how, u64 from, u32 status, u32 written)
{
	if (!counts(bpf_get_attach_cookie(regs), regs))
		return 0;
	struct key key = key_of(regs, 0);
	struct begun *found = bpf_map_lookup_elem(&under_way, &key);
	if (!found) {
		if (how == FINISHED)
			lose(LOST_CALL); /* it began before the probe was there */
		return 0;
	}
	struct begun begun = *found;
	bpf_map_delete_elem(&under_way, &key);
	struct room *room = room_for(regs, &begun, 0, how);
	if (!room)
		return 0;
	if (how == FINISHED) {
		room->told.status = get_word(room, from + status);
		room->told.written = get_word(room, from + written);
		/* WriteHeader(200) is implied, and happens in the function that begins here. */
		if (!room->told.status)
			room->told.status = 200;
	}
	tell(room);
	return 0;
}

/* net/http.(*response).finishRequest(w). */
SEC("uprobe/finish")
int finish(struct registers *regs)
{
	return ended(regs, FINISHED, regs->rax, response_status, response_written);
}

/* (*responseWriter).handlerDone(w) of the HTTP/2 server. */
SEC("uprobe/finish_stream")
int finish_stream(struct registers *regs)
{
	return ended(regs, FINISHED, read_word(regs->rax + writer_state), state_status, state_written);
}

/* net/http.(*response).Hijack(w): the connection is no longer HTTP. */
SEC("uprobe/hijack")
int hijack(struct registers *regs)
{
	return ended(regs, HIJACKED, 0, 0, 0);
}

/* net/http.(*conn).serve.func1, deferred: a request that is still under way ended by a panic. */
SEC("uprobe/closing")
int closing(struct registers *regs)
{
	return ended(regs, ABORTED, 0, 0, 0);
}

/* net/http.(*Transport).roundTrip(t, req). */
SEC("uprobe/ask")
int ask(struct registers *regs)
{
	if (counts(bpf_get_attach_cookie(regs), regs))
		begin(regs, regs->rbx, 1);
	return 0;
}

/* Its ret: a response and an error. */
SEC("uprobe/answer")
int answer(struct registers *regs)
{
	struct key key = key_of(regs, 1);
	struct begun *found = bpf_map_lookup_elem(&under_way, &key);
	if (!found)
		return 0;
	struct begun begun = *found;
	bpf_map_delete_elem(&under_way, &key);
	u64 reply = regs->rax, error = regs->rbx;
	struct room *room = room_for(regs, &begun, 1, error || !reply ? FAILED : FINISHED);
	if (!room)
		return 0;
	if (room->told.how == FINISHED) {
		room->told.status = get_word(room, reply + reply_status);
		room->told.written = get_word(room, reply + reply_length);
	}
	tell(room);
	return 0;
}

char gpl[] SEC("license") = "GPL";
