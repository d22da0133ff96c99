package custody

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"path/filepath"
	"runtime"
	"strconv"
	"sync"
	"time"
)

const (
	// inFlight batches are with the owner at a time; the next one grows meanwhile. More make smaller batches, which cost
	// more processor time an event and gain nothing: one is on the disk, one on its way.
	inFlight = 2
	// maxPending bytes may wait for an owner before Record waits for room.
	maxPending = 64 << 20
	// Between two tries to find an owner.
	firstRetry, lastRetry = 5 * time.Millisecond, 200 * time.Millisecond
	greetTime             = 2 * time.Second
)

// batch is a request with the events that share it, or a question.
type batch struct {
	request []byte // the frames of a question
	events  []byte // the frames of the events
	count   int
	done    chan struct{}
	// After done:
	verdicts []verdict
	seen     bool
	err      error
}

// socketWay batches events over the home's socket. One goroutine keeps a connection and writes, one reads.
type socketWay struct {
	home string
	ctx  context.Context // ends when the recorder is closed
	stop context.CancelFunc
	over chan struct{} // closed when run has returned

	mu      sync.Mutex
	open    *batch   // takes events
	queue   []*batch // to be sent, in order
	sent    []*batch // to be answered, in order
	pending int      // bytes of all of them
	room    chan struct{}
	closing bool

	wake chan struct{} // there may be something to send
}

func openSocket(ctx context.Context, home string) (*socketWay, error) {
	way := &socketWay{home: home, over: make(chan struct{}), room: make(chan struct{}), wake: make(chan struct{}, 1)}
	conn, err := connectBy(ctx, home)
	if err != nil {
		return nil, err
	}
	way.ctx, way.stop = context.WithCancel(context.Background())
	go way.run(conn)
	return way, nil
}

// connectBy tries until an owner answers.
func connectBy(ctx context.Context, home string) (*net.UnixConn, error) {
	for retry := firstRetry; ; retry = min64(2*retry, lastRetry) {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("custody: no owner of %s was asked: %w", home, err)
		}
		conn, err := connect(home)
		if err == nil {
			return conn, nil
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("custody: no owner of %s answers: %w (%v)", home, ctx.Err(), err)
		case <-time.After(retry):
		}
	}
}

func min64(a, b time.Duration) time.Duration {
	if a < b {
		return a
	}
	return b
}

// connect connects and greets.
func connect(home string) (*net.UnixConn, error) {
	conn, err := net.DialUnix("unix", nil, &net.UnixAddr{Name: filepath.Join(home, "custody.sock"), Net: "unix"})
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(greetTime))
	if _, err = conn.Write(appendFrame(nil, []byte(hello))); err == nil {
		var frame []byte
		if frame, err = readFrame(conn, nil); err == nil {
			err = checkHello(frame)
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

func checkHello(frame []byte) error {
	parsed, err := parseReply(frame)
	switch {
	case err != nil:
		return err
	case parsed.Error != nil:
		return &OwnerError{parsed.Error.Kind, parsed.Error.Message}
	case parsed.Hello == nil || parsed.Hello.Protocol != "custody-audit" || parsed.Hello.Version != 1:
		return errProtocol
	}
	return nil
}

func (w *socketWay) record(ctx context.Context, event []byte) (uint64, error) {
	w.mu.Lock()
	for w.pending > maxPending && !w.closing {
		room := w.room
		w.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return 0, ctx.Err()
		}
		w.mu.Lock()
	}
	if w.closing {
		w.mu.Unlock()
		return 0, ErrClosed
	}
	b := w.open
	if b == nil || b.count == maxBatch || len(b.events)+len(event) > maxBytes {
		if b != nil {
			w.queue = append(w.queue, b)
		}
		b = &batch{done: make(chan struct{})}
		w.open = b
	}
	place := b.count
	b.events = appendFrame(b.events, event)
	b.count++
	w.pending += len(event)
	w.mu.Unlock()
	if place == 0 {
		w.signal()
	}
	if err := b.wait(ctx); err != nil {
		return 0, err
	}
	verdict := b.verdicts[place]
	if verdict.faults != nil {
		return 0, &InvalidEvent{verdict.faults}
	}
	return verdict.index, nil
}

func (w *socketWay) traceSeen(ctx context.Context, id string, within time.Duration) (bool, error) {
	text, err := json.Marshal(id)
	if err != nil {
		return false, err
	}
	request := fmt.Sprintf(`{"op":"trace-seen","id":%s,"within_ms":%d}`, text, max0(within.Milliseconds()))
	b := &batch{request: appendFrame(nil, []byte(request)), done: make(chan struct{})}
	w.mu.Lock()
	if w.closing {
		w.mu.Unlock()
		return false, ErrClosed
	}
	w.queue = append(w.queue, b)
	w.mu.Unlock()
	w.signal()
	err = b.wait(ctx)
	return b.seen && err == nil, err
}

func max0(n int64) int64 {
	if n < 0 {
		return 0
	}
	return n
}

// wait waits for the answer. Without an end to the context it costs no select.
func (b *batch) wait(ctx context.Context) error {
	if ctx.Done() == nil {
		<-b.done
		return b.err
	}
	select {
	case <-b.done:
		return b.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (w *socketWay) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// run keeps a connection: it sends on one until it breaks, and finds the next. What was not answered goes first there.
func (w *socketWay) run(conn *net.UnixConn) {
	defer close(w.over)
	for {
		broken := make(chan struct{})
		go func() {
			w.read(conn)
			conn.Close()
			close(broken)
		}()
		w.write(conn, broken)
		conn.Close()
		<-broken
		w.mu.Lock()
		w.queue = append(w.sent, w.queue...)
		w.sent = nil
		w.mu.Unlock()
		var err error
		if conn, err = connectBy(w.ctx, w.home); err != nil {
			w.fail(ErrClosed)
			return
		}
		w.signal()
	}
}

// write sends until the connection breaks or the recorder is closed.
func (w *socketWay) write(conn *net.UnixConn, broken <-chan struct{}) {
	var out []byte
	for {
		b := w.next()
		if b == nil {
			select {
			case <-w.wake:
				// Whoever else is about to record gets a chance to share the batch.
				runtime.Gosched()
			case <-broken:
				return
			case <-w.ctx.Done():
				return
			}
			continue
		}
		out = append(out[:0], b.request...)
		if b.count > 0 {
			request := append(make([]byte, 0, 40), `{"op":"record","count":`...)
			out = appendFrame(out, append(strconv.AppendInt(request, int64(b.count), 10), '}'))
			out = append(out, b.events...)
		}
		if _, err := conn.Write(out); err != nil {
			return
		}
	}
}

// next takes the next batch to be sent, if the owner may have one more.
func (w *socketWay) next() *batch {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b *batch
	switch {
	case len(w.sent) >= inFlight:
		return nil
	case len(w.queue) > 0:
		b = w.queue[0]
		w.queue = w.queue[1:]
	case w.open != nil:
		b, w.open = w.open, nil
	default:
		return nil
	}
	w.sent = append(w.sent, b)
	return b
}

// read takes answers until the connection breaks.
func (w *socketWay) read(conn *net.UnixConn) {
	from := bufio.NewReaderSize(conn, 64<<10)
	var frame []byte
	for {
		var err error
		if frame, err = readFrame(from, frame[:0]); err != nil {
			return
		}
		w.mu.Lock()
		if len(w.sent) == 0 {
			w.mu.Unlock()
			return // an answer to nothing
		}
		b := w.sent[0]
		w.mu.Unlock()
		if !b.answer(frame) {
			return // it is sent again, to an owner that speaks the protocol
		}
		w.mu.Lock()
		w.sent = w.sent[1:]
		w.forget(b)
		w.mu.Unlock()
		close(b.done)
		w.signal()
	}
}

// forget takes a batch's bytes off the count. The lock is held.
func (w *socketWay) forget(b *batch) {
	full := w.pending > maxPending
	w.pending -= len(b.events) - b.count*frameLength
	b.events = nil
	if full && w.pending <= maxPending {
		close(w.room)
		w.room = make(chan struct{})
	}
}

// answer takes the owner's answer; false when it is none.
func (b *batch) answer(frame []byte) bool {
	verdicts, recorded, err := readVerdicts(frame, make([]verdict, 0, b.count))
	if recorded {
		b.verdicts = verdicts
		return err == nil && b.count > 0 && len(verdicts) == b.count
	}
	parsed, err := parseReply(frame)
	switch {
	case err != nil:
		return false
	case parsed.Error != nil:
		b.err = &OwnerError{parsed.Error.Kind, parsed.Error.Message}
		return true
	case parsed.Trace != nil && b.count == 0:
		b.seen = parsed.Trace.Seen
		return true
	}
	return false
}

// fail answers everything that is left with an error.
func (w *socketWay) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closing = true
	left := append(w.sent, w.queue...)
	if w.open != nil {
		left = append(left, w.open)
	}
	w.sent, w.queue, w.open = nil, nil, nil
	for _, b := range left {
		b.err = err
		close(b.done)
	}
	close(w.room)
	w.room = make(chan struct{})
}

func (w *socketWay) close(ctx context.Context) error {
	w.mu.Lock()
	w.closing = true
	var last *batch
	switch {
	case w.open != nil:
		last = w.open
	case len(w.queue) > 0:
		last = w.queue[len(w.queue)-1]
	case len(w.sent) > 0:
		last = w.sent[len(w.sent)-1]
	}
	w.mu.Unlock()
	var err error
	if last != nil {
		select {
		case <-last.done:
		case <-ctx.Done():
			err = ctx.Err()
		}
	}
	w.stop()
	<-w.over
	return err
}
