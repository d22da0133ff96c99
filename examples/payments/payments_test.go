package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"custody.example/sdk"
)

func TestPaymentsConserveMoney(t *testing.T) {
	bank := NewBank(4)
	defer bank.Close()
	var all sync.WaitGroup
	for range 100 {
		all.Add(1)
		go func() {
			defer all.Done()
			if _, err := bank.Pay(Payment{"alice", "bob", 1000}); err != nil {
				t.Error(err)
			}
		}()
	}
	all.Wait()
	if got := bank.Balance("bob"); got != openingBalance+100*1000 {
		t.Errorf("bob holds %d", got)
	}
	if got := bank.Balance("alice"); got != openingBalance-100*(1000+5) {
		t.Errorf("alice holds %d", got)
	}
}

func TestFee(t *testing.T) {
	for amount, want := range map[int64]int64{1: 1, 200: 1, 201: 2, 1000: 5, 100_001: 501} {
		if got := fee(amount); got != want {
			t.Errorf("fee(%d) = %d, want %d", amount, got, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	bank := NewBank(1)
	defer bank.Close()
	kept := &memory{}
	server := httptest.NewServer(routes(bank, &book{events: kept, log: slog.Default()}))
	defer server.Close()
	for body, want := range map[string]int{
		`{"from":"alice","to":"bob","amount":5}`:          http.StatusOK,
		`{"from":"alice","to":"alice","amount":5}`:        http.StatusUnprocessableEntity,
		`{"from":"alice","to":"bob","amount":99999999}`:   http.StatusUnprocessableEntity,
		`{"from":"alice","to":"bob","amount":5,"more":1}`: http.StatusBadRequest,
		`not json`: http.StatusBadRequest,
	} {
		response, err := http.Post(server.URL+"/pay", "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: status %d, want %d", body, response.StatusCode, want)
		}
	}
	server.Close()
	// What was understood is recorded, whatever became of it.
	settled, declined := kept.acts["PAYMENT.SETTLED"], kept.acts["PAYMENT.DECLINED"]
	if settled != 1 || declined != 2 || kept.traceless > 0 {
		t.Errorf("recorded %v, %d without a trace", kept.acts, kept.traceless)
	}
}

func TestAPaymentThatCannotBeRecordedIsNotConfirmed(t *testing.T) {
	bank := NewBank(1)
	defer bank.Close()
	handler := routes(bank, &book{events: &memory{err: custody.ErrClosed}, log: slog.Default()})
	response := httptest.NewRecorder()
	body := strings.NewReader(`{"from":"alice","to":"bob","amount":5}`)
	handler.ServeHTTP(response, httptest.NewRequest("POST", "/pay", body))
	if response.Code != http.StatusServiceUnavailable {
		t.Errorf("status %d", response.Code)
	}
}

func TestThereIsNoProfilerWithoutALedger(t *testing.T) {
	bank := NewBank(1)
	defer bank.Close()
	response := httptest.NewRecorder()
	routes(bank, &book{log: slog.Default()}).ServeHTTP(response, httptest.NewRequest("GET", "/debug/pprof/", nil))
	if response.Code != http.StatusNotFound {
		t.Errorf("status %d", response.Code)
	}
}

// memory counts what it is given.
type memory struct {
	mu        sync.Mutex
	acts      map[string]int
	traceless int
	err       error
}

func (m *memory) Record(ctx context.Context, e *custody.ComplianceEvent) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.acts == nil {
		m.acts = map[string]int{}
	}
	m.acts[e.Action]++
	if custody.TraceID(ctx) == "" {
		m.traceless++
	}
	return m.err
}
