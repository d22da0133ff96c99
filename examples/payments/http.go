package main

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/pprof"
	"runtime"
	"time"

	"custody.example/sdk"
)

// slowest bounds the slow path, so that a caller cannot hold a processor for long.
const slowest = 2 * time.Second

func routes(bank *Bank, book *book) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, map[string]string{"status": "ok", "go": runtime.Version()})
	})
	mux.HandleFunc("GET /balance/{account}", func(w http.ResponseWriter, r *http.Request) {
		account := r.PathValue("account")
		answerJSON(w, http.StatusOK, map[string]any{"account": account, "balance": bank.Balance(account)})
	})
	mux.HandleFunc("POST /pay", func(w http.ResponseWriter, r *http.Request) { pay(bank, book, w, r) })
	mux.HandleFunc("GET /report", slowReport)
	root := http.NewServeMux()
	root.Handle("/", (&custody.Middleware{}).Wrap(mux)) // gives each request its trace
	if traces := book.traces(); traces != nil {
		// Not behind the middleware: the gate asks for a trace that was recorded before.
		root.Handle("/debug/pprof/", custody.PprofGate(traces, http.HandlerFunc(pprof.Index)))
	}
	return root
}

func pay(bank *Bank, book *book, w http.ResponseWriter, r *http.Request) {
	var payment Payment
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, 4096))
	body.DisallowUnknownFields()
	if err := body.Decode(&payment); err != nil {
		answerJSON(w, http.StatusBadRequest, map[string]string{"error": err.Error()})
		return
	}
	settlement, err := bank.Pay(payment)
	// The answer follows the record: who was told "settled" finds it in the ledger.
	if err := book.record(r.Context(), payment, err); err != nil {
		answerJSON(w, http.StatusServiceUnavailable, map[string]string{"error": "the payment could not be recorded"})
		return
	}
	if errors.Is(err, ErrRefused) {
		answerJSON(w, http.StatusUnprocessableEntity, map[string]string{"error": err.Error()})
		return
	}
	answerJSON(w, http.StatusOK, settlement)
}

func slowReport(w http.ResponseWriter, r *http.Request) {
	span, err := time.ParseDuration(r.URL.Query().Get("for"))
	if err != nil {
		span = 200 * time.Millisecond
	}
	answerJSON(w, http.StatusOK, map[string]uint64{"rounds": report(min(span, slowest))})
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value) // the client is gone: nobody is left to tell
}
