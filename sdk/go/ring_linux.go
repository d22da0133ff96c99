package custody

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

// The memory of a ring: docs/formats/ring.md.
const (
	ringHeader     = 4096
	ringAlign      = 16
	ringDefault    = 8 << 20
	ringLeast      = 256 << 10
	ringMost       = 64 << 20
	atVersion      = 8
	atCapacity     = 16
	atHead         = 128
	atDropped      = 136
	atSettled      = 256
	atRefused      = 264
	atAsleep       = 384
	atBell         = 388
	atWaiting      = 512
	atMoved        = 516
	magic          = "custring"
	ringVersion    = 1
	maxRefusals    = 4096
	futexPatience  = 20 * time.Millisecond
	refusalTime    = 2 * time.Second
	futexWait      = 0
	futexWake      = 1
	everyoneWaking = 1<<31 - 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// ring is the producer's view of the memory. Only the holder of ringWay.mu writes records.
type ring struct {
	memory   []byte
	data     []byte
	capacity uint64
	head     uint64
	limit    uint64 // room is known to be free up to here
	dropped  uint64
}

// word64 and word32 are words that the owner reads or writes too. Offsets are constants of the layout, so the words are
// aligned and inside; the memory is mapped until its ring is unreachable, and never moves.
func (r *ring) word64(at int) *uint64 { return (*uint64)(unsafe.Pointer(&r.memory[at])) }
func (r *ring) word32(at int) *uint32 { return (*uint32)(unsafe.Pointer(&r.memory[at])) }

// mapRing maps the memory that the owner made. Its size is sealed, so it can be touched safely.
func mapRing(file int) (*ring, error) {
	var stat syscall.Stat_t
	if err := syscall.Fstat(file, &stat); err != nil {
		return nil, err
	}
	capacity := stat.Size - ringHeader
	if capacity < ringLeast || capacity > ringMost || capacity&(capacity-1) != 0 {
		return nil, fmt.Errorf("%w: a ring of %d bytes", errProtocol, stat.Size)
	}
	memory, err := syscall.Mmap(file, 0, int(stat.Size), syscall.PROT_READ|syscall.PROT_WRITE, syscall.MAP_SHARED)
	if err != nil {
		return nil, os.NewSyscallError("mmap", err)
	}
	r := &ring{memory: memory, data: memory[ringHeader:], capacity: uint64(capacity)}
	if string(memory[:len(magic)]) != magic || *r.word32(atVersion) != ringVersion {
		syscall.Munmap(memory)
		return nil, fmt.Errorf("%w: not a ring of this version", errProtocol)
	}
	r.head, r.limit = atomic.LoadUint64(r.word64(atHead)), r.capacity
	return r, nil
}

func (r *ring) settled() uint64 { return atomic.LoadUint64(r.word64(atSettled)) }

// push writes a record and gives the position where it ends; false when there is no room now.
func (r *ring) push(record []byte) (end uint64, ok bool) {
	end = r.head + (ringAlign+uint64(len(record))+ringAlign-1)&^(ringAlign-1)
	if end > r.limit {
		if r.limit = r.settled() + r.capacity; end > r.limit {
			return 0, false
		}
	}
	at := r.head & (r.capacity - 1)
	frame := r.data[at : at+ringAlign : at+ringAlign]
	*(*uint32)(unsafe.Pointer(&frame[0])) = uint32(len(record))
	*(*uint32)(unsafe.Pointer(&frame[4])) = crc32.Checksum(record, castagnoli)
	*(*uint64)(unsafe.Pointer(&frame[8])) = r.head
	// The content may go over the edge; the frame never does.
	if at += ringAlign; at == r.capacity {
		at = 0
	}
	if n := copy(r.data[at:], record); n < len(record) {
		copy(r.data, record[n:])
	}
	// The record exists from here on. Go's atomics are sequentially consistent, so this is the fence of the bell too.
	atomic.StoreUint64(r.word64(atHead), end)
	eighth := r.capacity / 8
	crossed := r.head/eighth != end/eighth
	r.head = end
	if crossed {
		r.ring()
	}
	return end, true
}

func (r *ring) drop() {
	r.dropped++
	atomic.StoreUint64(r.word64(atDropped), r.dropped)
	r.ring()
}

// ring wakes the owner if it naps.
func (r *ring) ring() {
	if atomic.LoadUint32(r.word32(atAsleep)) != 0 {
		atomic.StoreUint32(r.word32(atAsleep), 0)
		atomic.AddUint32(r.word32(atBell), 1)
		syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(r.word32(atBell))), futexWake, everyoneWaking, 0, 0, 0)
	}
}

// await waits a while for settled to be another than seen.
func (r *ring) await(seen uint64) {
	r.ring()
	moved := atomic.LoadUint32(r.word32(atMoved))
	atomic.StoreUint32(r.word32(atWaiting), 1)
	if r.settled() != seen {
		return
	}
	patience := syscall.NsecToTimespec(int64(futexPatience))
	syscall.Syscall6(syscall.SYS_FUTEX, uintptr(unsafe.Pointer(r.word32(atMoved))), futexWait, uintptr(moved),
		uintptr(unsafe.Pointer(&patience)), 0, 0)
}

// group is events that wait for one position together.
type group struct {
	end  uint64
	done chan struct{}
	err  error
	// What was refused of them, by position.
	refused map[uint64][]Fault
}

// ringWay records through shared memory.
type ringWay struct {
	home     string
	durable  bool
	whenFull WhenFull
	file     *os.File

	mu     sync.Mutex
	ring   *ring
	open   *group // whoever waits joins it
	closed bool
	failed error // why no owner will serve this ring again

	full chan struct{} // held by the one who waits for room
	wake chan struct{} // there is a group to wait for

	told     sync.Mutex
	refusals map[uint64][]Fault
	total    uint64
	news     chan struct{} // closed and replaced when a refusal is told

	ctx  context.Context
	stop context.CancelFunc
	over sync.WaitGroup
}

func openRing(ctx context.Context, home string, options Options) (transport, error) {
	capacity := options.RingBytes
	if capacity == 0 {
		capacity = ringDefault
	}
	conn, err := connectBy(ctx, home)
	if err != nil {
		return nil, err
	}
	file, err := askRing(conn, capacity)
	if err != nil {
		conn.Close()
		return nil, err
	}
	mapped, err := mapRing(int(file.Fd()))
	if err != nil {
		conn.Close()
		file.Close()
		return nil, err
	}
	way := &ringWay{
		home: home, durable: options.Transport == RingDurable, whenFull: options.WhenFull, file: file, ring: mapped,
		full: make(chan struct{}, 1), wake: make(chan struct{}, 1),
		refusals: map[uint64][]Fault{}, news: make(chan struct{}),
	}
	way.ctx, way.stop = context.WithCancel(context.Background())
	way.over.Add(1)
	go way.keep(conn)
	if way.durable {
		way.over.Add(1)
		go way.watch()
	}
	return way, nil
}

// askRing asks for a ring; its memory comes with the reply (SCM_RIGHTS, unix(7)).
func askRing(conn *net.UnixConn, capacity int) (*os.File, error) {
	request := fmt.Sprintf(`{"op":"ring","capacity":%d,"refusals":true}`, capacity)
	conn.SetDeadline(time.Now().Add(greetTime))
	defer conn.SetDeadline(time.Time{})
	if _, err := conn.Write(appendFrame(nil, []byte(request))); err != nil {
		return nil, err
	}
	frame, file, err := readWithFile(conn)
	if err != nil {
		return nil, err
	}
	parsed, err := parseReply(frame)
	switch {
	case err != nil:
	case parsed.Error != nil:
		err = &OwnerError{parsed.Error.Kind, parsed.Error.Message}
	case parsed.Ring == nil || file == nil:
		err = fmt.Errorf("%w: no memory came with the ring", errProtocol)
	default:
		return file, nil
	}
	if file != nil {
		file.Close()
	}
	return nil, err
}

// readWithFile reads one frame, and the descriptor that came with its first byte.
func readWithFile(conn *net.UnixConn) ([]byte, *os.File, error) {
	bytes, rights := make([]byte, 1024), make([]byte, syscall.CmsgSpace(4))
	length, rightsLength, _, _, err := conn.ReadMsgUnix(bytes, rights)
	if err != nil {
		return nil, nil, err
	}
	file, err := firstFile(rights[:rightsLength])
	if err != nil {
		return nil, nil, err
	}
	frame, err := readFrame(&chain{bytes[:length], conn}, nil)
	if err != nil && file != nil {
		file.Close()
		file = nil
	}
	return frame, file, err
}

func firstFile(rights []byte) (*os.File, error) {
	messages, err := syscall.ParseSocketControlMessage(rights)
	if err != nil || len(messages) == 0 {
		return nil, err
	}
	files, err := syscall.ParseUnixRights(&messages[0])
	if err != nil || len(files) == 0 {
		return nil, err
	}
	for _, other := range files[1:] {
		syscall.Close(other)
	}
	syscall.CloseOnExec(files[0])
	return os.NewFile(uintptr(files[0]), "custody-ring"), nil
}

// chain reads what is here already, and then the connection.
type chain struct {
	here []byte
	conn *net.UnixConn
}

func (c *chain) Read(into []byte) (int, error) {
	if len(c.here) == 0 {
		return c.conn.Read(into)
	}
	n := copy(into, c.here)
	c.here = c.here[n:]
	return n, nil
}

func (w *ringWay) record(ctx context.Context, event []byte) (uint64, error) {
	for {
		w.mu.Lock()
		switch {
		case w.closed:
			w.mu.Unlock()
			return 0, ErrClosed
		case w.failed != nil:
			w.mu.Unlock()
			return 0, w.failed
		}
		end, ok := w.ring.push(event)
		if ok {
			return 0, w.pushed(ctx, end)
		}
		if w.whenFull == Drop && !w.durable {
			w.ring.drop()
			w.mu.Unlock()
			return 0, ErrDropped
		}
		settled := w.ring.settled()
		w.mu.Unlock()
		if err := w.waitForRoom(ctx, settled); err != nil {
			return 0, err
		}
	}
}

// pushed takes over the lock.
func (w *ringWay) pushed(ctx context.Context, end uint64) error {
	if !w.durable {
		w.mu.Unlock()
		return nil
	}
	g := w.open
	if g == nil {
		g = &group{done: make(chan struct{})}
		w.open = g
	}
	g.end = end
	w.mu.Unlock()
	select {
	case w.wake <- struct{}{}:
	default:
	}
	if ctx.Done() == nil {
		<-g.done
	} else {
		select {
		case <-g.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if g.err != nil {
		return g.err
	}
	if faults := g.refused[end]; faults != nil {
		return &InvalidEvent{faults}
	}
	return nil
}

// waitForRoom waits a while. One goroutine waits in the system, the others for that one.
func (w *ringWay) waitForRoom(ctx context.Context, settled uint64) error {
	select {
	case w.full <- struct{}{}:
		w.ring.await(settled)
		<-w.full
		return ctx.Err()
	case <-ctx.Done():
		return ctx.Err()
	}
}

// watch completes groups when they are settled.
func (w *ringWay) watch() {
	defer w.over.Done()
	for {
		select {
		case <-w.wake:
		case <-w.ctx.Done():
			w.complete(w.take(), ErrClosed)
			return
		}
		for g := w.take(); g != nil; g = w.take() {
			for {
				settled := w.ring.settled()
				if settled >= g.end {
					break
				}
				if w.ctx.Err() != nil {
					w.complete(g, ErrClosed)
					return
				}
				if err := w.failure(); err != nil {
					w.complete(g, err)
					g = nil
					break
				}
				w.ring.await(settled)
			}
			if g != nil {
				w.complete(g, nil)
			}
		}
	}
}

func (w *ringWay) take() *group {
	w.mu.Lock()
	defer w.mu.Unlock()
	g := w.open
	w.open = nil
	return g
}

func (w *ringWay) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.failed
}

// complete answers a group. Its refusals were told before it was settled, but over another way.
func (w *ringWay) complete(g *group, err error) {
	if g == nil {
		return
	}
	g.err = err
	if err == nil {
		g.refused = w.refusalsUpTo(g.end)
	}
	close(g.done)
}

func (w *ringWay) refusalsUpTo(end uint64) map[uint64][]Fault {
	refused := atomic.LoadUint64(w.ring.word64(atRefused))
	deadline := time.NewTimer(refusalTime)
	defer deadline.Stop()
	for {
		w.told.Lock()
		if w.total >= refused {
			break
		}
		news := w.news
		w.told.Unlock()
		select {
		case <-news:
			continue
		case <-deadline.C:
		case <-w.ctx.Done():
		}
		w.told.Lock()
		break
	}
	defer w.told.Unlock()
	var found map[uint64][]Fault
	for position, faults := range w.refusals {
		if position <= end {
			if found == nil {
				found = map[uint64][]Fault{}
			}
			found[position] = faults
			delete(w.refusals, position)
		}
	}
	return found
}

// keep listens to one owner after another.
func (w *ringWay) keep(conn *net.UnixConn) {
	defer w.over.Done()
	for {
		listening := make(chan struct{})
		go func(conn *net.UnixConn) {
			w.listen(conn)
			close(listening)
		}(conn)
		select {
		case <-listening:
		case <-w.ctx.Done():
		}
		conn.Close()
		<-listening
		for retry := firstRetry; ; retry = min64(2*retry, lastRetry) {
			select {
			case <-w.ctx.Done():
				return
			case <-time.After(retry):
			}
			next, err := w.offer()
			var refused *OwnerError
			if errors.As(err, &refused) && refused.Kind == "request" {
				w.mu.Lock()
				w.failed = refused
				w.mu.Unlock()
				return
			}
			if err == nil {
				conn = next
				break
			}
		}
	}
}

// listen takes refusals until the owner leaves.
func (w *ringWay) listen(conn *net.UnixConn) {
	for {
		frame, err := readFrame(conn, nil)
		if err != nil {
			return
		}
		parsed, err := parseReply(frame)
		if err != nil || parsed.Refused == nil {
			return // why this owner ends; the next offer shows whether it was meant for good
		}
		w.told.Lock()
		if w.durable && len(w.refusals) < maxRefusals {
			w.refusals[parsed.Refused.Position] = parsed.Refused.Faults
		}
		w.total = parsed.Refused.Total
		close(w.news)
		w.news = make(chan struct{})
		w.told.Unlock()
	}
}

// offer offers the memory to whoever owns the home now.
func (w *ringWay) offer() (*net.UnixConn, error) {
	conn, err := connect(w.home)
	if err != nil {
		return nil, err
	}
	conn.SetDeadline(time.Now().Add(greetTime))
	request := appendFrame(nil, []byte(`{"op":"ring-offer","refusals":true}`))
	if _, _, err = conn.WriteMsgUnix(request, syscall.UnixRights(int(w.file.Fd())), nil); err == nil {
		var frame []byte
		if frame, err = readFrame(conn, nil); err == nil {
			var parsed *reply
			if parsed, err = parseReply(frame); err == nil {
				switch {
				case parsed.Error != nil:
					err = &OwnerError{parsed.Error.Kind, parsed.Error.Message}
				case parsed.Ring == nil:
					err = errProtocol
				}
			}
		}
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	conn.SetDeadline(time.Time{})
	return conn, nil
}

// close waits until what is in the ring is settled: so a fast recorder that is closed has lost nothing.
func (w *ringWay) close(ctx context.Context) error {
	w.mu.Lock()
	w.closed = true
	end := w.ring.head
	w.mu.Unlock()
	var err error
	for settled := w.ring.settled(); settled < end && err == nil; settled = w.ring.settled() {
		if err = w.failure(); err == nil {
			w.ring.await(settled)
			err = ctx.Err()
		}
	}
	for err == nil && w.waits() {
		time.Sleep(time.Millisecond)
		err = ctx.Err()
	}
	w.stop()
	w.over.Wait()
	// The memory stays mapped: a goroutine that is just waking may still look at it.
	return errors.Join(err, w.file.Close())
}

// waits says whether someone has not been answered yet.
func (w *ringWay) waits() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.open != nil
}
