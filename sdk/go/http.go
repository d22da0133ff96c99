package custody

import (
	"context"
	"net/http"
	"time"
)

// TraceHeader is the header that carries a trace id by itself.
const TraceHeader = "X-Trace-ID"

// Middleware gives each request's context its trace id, tells it in the answer (X-Trace-ID), and records what a
// request did.
type Middleware struct {
	// Recorder is where events go; without one none are made.
	Recorder EventRecorder
	// Event says what a request did, once it was answered with this status; nil says that there is nothing to record.
	Event func(r *http.Request, status int) *ComplianceEvent
	// Failed is told when an event could not be recorded: the answer is already on its way. May be nil.
	Failed func(r *http.Request, err error)
	// Timeout bounds the wait for an event after its request ended; 0 is ten seconds.
	Timeout time.Duration
}

// Wrap puts the middleware around a handler. The trace id is that of the traceparent header (W3C Trace Context), else a
// new one: a caller's X-Trace-ID is not believed, or anyone could open a [PprofGate] with an id of their choice.
func (m *Middleware) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		trace, ok := ParseTraceparent(r.Header.Get("traceparent"))
		if !ok {
			trace = NewTraceID()
		}
		r = r.WithContext(WithTraceID(r.Context(), trace))
		w.Header().Set(TraceHeader, trace)
		watched := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(watched, r)
		if m.Recorder == nil || m.Event == nil {
			return
		}
		if event := m.Event(r, watched.status); event != nil {
			m.record(r, event)
		}
	})
}

// record outlives the request's context: a client that hangs up does not keep its deed out of the ledger.
func (m *Middleware) record(r *http.Request, event *ComplianceEvent) {
	timeout := m.Timeout
	if timeout == 0 {
		timeout = 10 * time.Second
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), timeout)
	defer cancel()
	if err := m.Recorder.Record(ctx, event); err != nil && m.Failed != nil {
		m.Failed(r, err)
	}
}

// statusWriter remembers the status.
type statusWriter struct {
	http.ResponseWriter
	status int
	wrote  bool
}

func (w *statusWriter) WriteHeader(status int) {
	// 1xx are not the answer, but for 101, which is.
	if !w.wrote && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.status, w.wrote = status, true
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(bytes []byte) (int, error) {
	w.wrote = true
	return w.ResponseWriter.Write(bytes)
}

// Unwrap is for http.ResponseController: flushing, hijacking and deadlines work as without the middleware.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for handlers that ask for an http.Flusher.
func (w *statusWriter) Flush() {
	w.wrote = true
	_ = http.NewResponseController(w.ResponseWriter).Flush() // one that cannot flush is as it was
}

// TraceFinder says whether a trace was seen in the ledger; a *Recorder is one.
type TraceFinder interface {
	TraceSeen(ctx context.Context, id string, within time.Duration) (bool, error)
}

// PprofGate lets a request through to the profiler's routes only when its X-Trace-ID was seen in the ledger within five
// minutes; otherwise it answers 403, also when the ledger cannot be asked.
//
// Put it around the routes themselves, not behind a [Middleware] that records the request under a trace of the caller's
// choice: that event would open the gate for the next request.
//
//	mux.Handle("/debug/pprof/", custody.PprofGate(recorder, http.HandlerFunc(pprof.Index)))
func PprofGate(traces TraceFinder, next http.Handler) http.Handler {
	const within, patience = 5 * time.Minute, 2 * time.Second
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id := r.Header.Get(TraceHeader)
		if !isTraceID(id) {
			http.Error(w, "403: the profiler needs the X-Trace-ID of a recorded event", http.StatusForbidden)
			return
		}
		ctx, cancel := context.WithTimeout(r.Context(), patience)
		defer cancel()
		seen, err := traces.TraceSeen(ctx, id, within)
		switch {
		case err != nil:
			http.Error(w, "403: the ledger cannot be asked for the trace", http.StatusForbidden)
		case !seen:
			http.Error(w, "403: the trace was not seen in the ledger within five minutes", http.StatusForbidden)
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// isTraceID takes what can be a trace id of some system: 1 to 128 letters, digits, '-' and '_'.
func isTraceID(id string) bool {
	for i := 0; i < len(id); i++ {
		b := id[i]
		if !(b >= '0' && b <= '9' || b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' || b == '-' || b == '_') {
			return false
		}
	}
	return len(id) >= 1 && len(id) <= 128
}
