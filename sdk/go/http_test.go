package custody

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/slogtest"
	"time"
)

// memory is a recorder that keeps what it is given.
type memory struct {
	mu     sync.Mutex
	events []ComplianceEvent
	traces []string
	err    error
}

func (m *memory) Record(ctx context.Context, e *ComplianceEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.events, m.traces = append(m.events, *e), append(m.traces, TraceID(ctx))
	return errors.Join(m.err, ctx.Err())
}

const parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// The examples of W3C Trace Context (section 3.2) and what it calls invalid.
func TestTraceparent(t *testing.T) {
	for header, want := range map[string]string{
		parent: "4bf92f3577b34da6a3ce929d0e0e4736",
		"cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-what-the-future-holds": "4bf92f3577b34da6a3ce929d0e0e4736",
		"":     "",
		"00--": "",
		"ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01":   "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x": "",
		"00-00000000000000000000000000000000-00f067aa0ba902b7-01":   "",
		"00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01":   "",
		"00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01":   "",
		"00-4bf92f3577b34da6a3ce929d0e0e473-00f067aa0ba902b7-01":    "",
	} {
		if got, ok := ParseTraceparent(header); got != want || ok != (want != "") {
			t.Errorf("%q: %q", header, got)
		}
	}
	if a, b := NewTraceID(), NewTraceID(); len(a) != 32 || a == b {
		t.Error(a, b)
	}
}

func TestTheMiddlewareRecordsWhatARequestDid(t *testing.T) {
	var kept memory
	var failed error
	middleware := Middleware{
		Recorder: &kept,
		Event: func(r *http.Request, status int) *ComplianceEvent {
			if r.URL.Path == "/quiet" {
				return nil
			}
			return &ComplianceEvent{Action: "DATA.READ", Object: map[string]string{"status": http.StatusText(status)}}
		},
		Failed: func(_ *http.Request, err error) { failed = err },
	}
	server := httptest.NewServer(middleware.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/teapot" {
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
			w.WriteHeader(http.StatusOK) // too late
		}
		w.(http.Flusher).Flush()
		io.WriteString(w, TraceID(r.Context()))
	})))
	defer server.Close()
	get := func(path, parent, trace string) (body, header string) {
		request, _ := http.NewRequest("GET", server.URL+path, nil)
		request.Header.Set("traceparent", parent)
		request.Header.Set(TraceHeader, trace)
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		return string(text), response.Header.Get(TraceHeader)
	}
	if body, header := get("/", parent, ""); body != "4bf92f3577b34da6a3ce929d0e0e4736" || header != body {
		t.Error(body, header)
	}
	if body, _ := get("/teapot", "", "chosen-by-the-caller"); len(body) != 32 {
		t.Errorf("the trace is %q", body)
	}
	get("/quiet", "", "")
	server.Close()
	kept.mu.Lock()
	defer kept.mu.Unlock()
	if len(kept.events) != 2 || kept.events[0].Object["status"] != "OK" || kept.events[1].Object["status"] != "I'm a teapot" {
		t.Errorf("%+v", kept.events)
	}
	if kept.traces[0] != "4bf92f3577b34da6a3ce929d0e0e4736" || failed != nil {
		t.Error(kept.traces, failed)
	}
}

// A client that hung up does not keep its deed out of the ledger; what cannot be recorded is told.
func TestTheMiddlewareOutlivesItsRequest(t *testing.T) {
	var kept memory
	var failed error
	middleware := Middleware{
		Recorder: &kept,
		Event:    func(*http.Request, int) *ComplianceEvent { return &ComplianceEvent{} },
		Failed:   func(_ *http.Request, err error) { failed = err },
	}
	handler := middleware.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	gone, cancel := context.WithCancel(context.Background())
	cancel()
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil).WithContext(gone))
	if failed != nil || len(kept.events) != 1 {
		t.Error(failed, kept.events)
	}
	kept.err = ErrDropped
	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil))
	if !errors.Is(failed, ErrDropped) {
		t.Error(failed)
	}
}

func TestThePprofGateOpensForRecordedTracesOnly(t *testing.T) {
	dir := home(t)
	owner := startOwner(t, dir)
	recorder := open(t, Options{Home: dir})
	gate := PprofGate(recorder, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "profile") }))
	ask := func(trace string) (int, string) {
		request := httptest.NewRequest("GET", "/debug/pprof/", nil)
		request.Header.Set(TraceHeader, trace)
		response := httptest.NewRecorder()
		gate.ServeHTTP(response, request)
		return response.Code, response.Body.String()
	}
	trace := NewTraceID()
	for _, id := range []string{"", trace, "a b", strings.Repeat("x", 200)} {
		if code, _ := ask(id); code != 403 {
			t.Errorf("%q: %d", id, code)
		}
	}
	if err := recorder.Record(WithTraceID(limited(t), trace), login("1")); err != nil {
		t.Fatal(err)
	}
	if code, body := ask(trace); code != 200 || body != "profile" {
		t.Error(code, body)
	}
	owner.kill()
	if code, body := ask(trace); code != 403 || !strings.Contains(body, "cannot be asked") {
		t.Error(code, body)
	}
	startOwner(t, dir)
	deadline := time.Now().Add(20 * time.Second)
	for code, _ := ask(trace); code != 200; code, _ = ask(trace) {
		if time.Now().After(deadline) {
			t.Fatal("the next owner does not know the trace")
		}
	}
	recorder.Close(limited(t))
}

func TestTheHandlerMapsAttributes(t *testing.T) {
	var kept memory
	var next strings.Builder
	handler := NewHandler(&kept, HandlerOptions{
		Next:    slog.NewTextHandler(&next, nil),
		Subject: map[string]string{"svc": "auth", "user": "nobody"},
	})
	log := slog.New(handler)
	ctx := WithTraceID(context.Background(), "t1")
	log.InfoContext(ctx, "no event")
	log.DebugContext(ctx, "too low", "act", "DATA.READ")
	log.With("act", "AUTH.LOGIN.FAIL", "sub.user", "10086").WithGroup("obj").With("table", "users").
		WarnContext(ctx, "refused", "row", 7, slog.Group("", "column", "name"))
	log.Log(ctx, 12, "worst", "act", "SYSTEM.ERROR", "weird näme", time.Second, slog.Group("ctx", "ip", "192.0.2.1"), "9", 1)
	want := []ComplianceEvent{
		{
			Severity: Warn, Action: "AUTH.LOGIN.FAIL", Subject: map[string]string{"svc": "auth", "user": "10086"},
			Object:  map[string]string{"table": "users", "row": "7", "column": "name"},
			Context: map[string]string{"msg": "refused"},
		},
		{
			Severity: Critical, Action: "SYSTEM.ERROR", Subject: map[string]string{"svc": "auth", "user": "nobody"},
			Object:  map[string]string{},
			Context: map[string]string{"msg": "worst", "weird_n_me": "1s", "ip": "192.0.2.1", "_9": "1"},
		},
	}
	for i := range kept.events {
		kept.events[i].Timestamp = time.Time{}
	}
	if !reflect.DeepEqual(kept.events, want) || kept.traces[0] != "t1" {
		t.Errorf("%+v\nwant %+v", kept.events, want)
	}
	if text := next.String(); !strings.Contains(text, "no event") || !strings.Contains(text, "obj.table=users") {
		t.Error(text)
	}
	kept.err = ErrDropped
	if err := handler.Handle(ctx, slog.NewRecord(time.Now(), 0, "", 0)); err != nil {
		t.Error("what is no event cannot fail:", err)
	}
}

// The rules that slog has for handlers, on the handler behind ours.
func TestTheHandlerKeepsTheRulesOfSlog(t *testing.T) {
	var kept memory
	err := slogtest.TestHandler(NewHandler(&kept, HandlerOptions{Action: "DATA.READ"}), func() []map[string]any {
		var found []map[string]any
		for _, event := range kept.events {
			one := map[string]any{slog.LevelKey: string(event.Severity), slog.MessageKey: event.Context["msg"]}
			if !event.Timestamp.IsZero() {
				one[slog.TimeKey] = event.Timestamp
			}
			for path, value := range event.Context {
				if path != "msg" {
					put(one, strings.Split(path, "."), value)
				}
			}
			found = append(found, one)
		}
		return found
	})
	if err != nil {
		t.Error(err)
	}
}

func put(into map[string]any, path []string, value string) {
	if len(path) == 1 {
		into[path[0]] = value
		return
	}
	inner, ok := into[path[0]].(map[string]any)
	if !ok {
		inner = map[string]any{}
		into[path[0]] = inner
	}
	put(inner, path[1:], value)
}
