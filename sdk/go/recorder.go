package custody

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// Transport names the way that events take to the owner of the home.
type Transport int

const (
	// Socket is the home's Unix socket. Record returns when the event is durable.
	Socket Transport = iota
	// RingDurable is a ring in shared memory. Record returns when the event is durable. Linux only.
	RingDurable
	// RingFast is a ring in shared memory, and Record returns when the event is in it: it is NOT durable then. It is
	// safe from the death of this process and from the death of the owner, but not of both, nor of the machine. An
	// event that is not admitted is counted and recorded by the owner, not told. Linux only.
	RingFast
)

// WhenFull says what RingFast does with an event that finds no room.
type WhenFull int

const (
	// Wait pushes back: Record waits for room, or for the end of its context.
	Wait WhenFull = iota
	// Drop lets the event go: Record returns ErrDropped, and the ledger says how many were lost.
	Drop
)

// ErrDropped is the answer of a full ring that was told to drop.
var ErrDropped = errors.New("custody: the ring is full, the event was dropped")

// ErrUnsupported is the answer where there are no rings.
var ErrUnsupported = errors.New("custody: rings need Linux")

// Options say where and how to record. The zero value is the socket of the default home.
type Options struct {
	// Home is the folder of the home. Empty: CUSTODY_HOME, else ~/.local/share/custody.
	Home      string
	Transport Transport
	// RingBytes is the size of the ring, a power of two from 256 KiB to 64 MiB; 0 is 8 MiB.
	RingBytes int
	WhenFull  WhenFull
}

// Receipt is the acknowledgement of a durable event.
type Receipt struct {
	ID string
	// Index in the ledger. Rings do not tell it: it is 0 there.
	Index uint64
}

// Recorder records events. It may be used by many goroutines at once; it is an EventRecorder.
type Recorder struct {
	ids    *ids
	way    transport
	socket *socketWay
}

// transport carries encoded events.
type transport interface {
	record(ctx context.Context, event []byte) (index uint64, err error)
	close(ctx context.Context) error
}

// Open connects to the owner of a home. It tries until one answers or ctx ends; afterwards the recorder finds the next
// owner by itself, for as long as it takes.
func Open(ctx context.Context, options Options) (*Recorder, error) {
	home, err := homeOf(options)
	if err != nil {
		return nil, err
	}
	ids, err := newIDs()
	if err != nil {
		return nil, err
	}
	socket, err := openSocket(ctx, home)
	if err != nil {
		return nil, err
	}
	recorder := &Recorder{ids: ids, way: socket, socket: socket}
	if options.Transport != Socket {
		ring, err := openRing(ctx, home, options)
		if err != nil {
			socket.close(ctx)
			return nil, err
		}
		recorder.way = ring
	}
	return recorder, nil
}

func homeOf(options Options) (string, error) {
	if options.Home != "" {
		return options.Home, nil
	}
	if home := os.Getenv("CUSTODY_HOME"); home != "" {
		return home, nil
	}
	user, err := os.UserHomeDir()
	return filepath.Join(user, ".local/share/custody"), err
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// Record records an event; it is durable when nil is returned (with RingFast: in the ring). The event is not changed
// and may be used again. When ctx ends first, the event may or may not be stored.
func (r *Recorder) Record(ctx context.Context, e *ComplianceEvent) error {
	_, err := r.RecordReceipt(ctx, e)
	return err
}

// RecordReceipt is Record, and tells the event's id and index.
func (r *Recorder) RecordReceipt(ctx context.Context, e *ComplianceEvent) (Receipt, error) {
	if err := ctx.Err(); err != nil {
		return Receipt{}, err
	}
	now := time.Now()
	id := e.ID
	if id == "" {
		id = r.ids.next(now)
	}
	buffer := buffers.Get().(*[]byte)
	*buffer = appendEvent((*buffer)[:0], e, id, now, TraceID(ctx))
	if len(*buffer) > maxEvent {
		buffers.Put(buffer)
		fault := Fault{Path: "$", Rule: "size", Message: "is longer than 65536 bytes"}
		return Receipt{}, &InvalidEvent{Faults: []Fault{fault}}
	}
	// The way copies what it keeps.
	index, err := r.way.record(ctx, *buffer)
	buffers.Put(buffer)
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{ID: id, Index: index}, nil
}

// TraceSeen says whether a durable event with this ctx.trace_id came into the ledger within the time given (at most an
// hour). It asks the owner, who answers from an index in memory.
func (r *Recorder) TraceSeen(ctx context.Context, id string, within time.Duration) (bool, error) {
	return r.socket.traceSeen(ctx, id, within)
}

// Close waits until everything that was offered is answered, or until ctx ends, and lets the owner go.
func (r *Recorder) Close(ctx context.Context) error {
	err := r.way.close(ctx)
	if transport(r.socket) != r.way {
		err = errors.Join(err, r.socket.close(ctx))
	}
	return err
}
