package custody_test

import (
	"context"
	"errors"
	"log"
	"log/slog"
	"net/http"
	"net/http/pprof"
	"os"
	"time"

	"custody.example/sdk"
)

func Example() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	recorder, err := custody.Open(ctx, custody.Options{Home: "/var/lib/custody"})
	if err != nil {
		log.Fatal(err)
	}
	defer recorder.Close(ctx)
	err = recorder.Record(ctx, &custody.ComplianceEvent{
		Subject: map[string]string{"user": "10086", "svc": "auth"},
		Action:  "AUTH.LOGIN.FAIL",
		Object:  map[string]string{"table": "users"},
		Context: map[string]string{"ip": "192.168.3.5"},
	})
	var invalid *custody.InvalidEvent
	if errors.As(err, &invalid) {
		for _, fault := range invalid.Faults {
			log.Println(fault.Path, fault.Message)
		}
	}
}

func ExampleMiddleware() {
	var recorder *custody.Recorder // from custody.Open
	middleware := custody.Middleware{
		Recorder: recorder,
		Event: func(r *http.Request, status int) *custody.ComplianceEvent {
			if r.Method == http.MethodGet {
				return nil // reading is not recorded here
			}
			return &custody.ComplianceEvent{
				Subject: map[string]string{"svc": "payments"},
				Action:  "DATA.UPDATE",
				Object:  map[string]string{"path": r.URL.Path, "status": http.StatusText(status)},
			}
		},
		Failed: func(r *http.Request, err error) { slog.ErrorContext(r.Context(), "not recorded", "error", err) },
	}
	http.Handle("/", middleware.Wrap(http.FileServer(http.Dir("/srv"))))
	// Around the routes themselves, not behind the middleware.
	http.Handle("/debug/pprof/", custody.PprofGate(recorder, http.HandlerFunc(pprof.Index)))
}

func ExampleNewHandler() {
	var recorder *custody.Recorder // from custody.Open
	logger := slog.New(custody.NewHandler(recorder, custody.HandlerOptions{
		Next:    slog.NewTextHandler(os.Stderr, nil),
		Subject: map[string]string{"svc": "auth"},
	}))
	logger.Warn("wrong password", "act", "AUTH.LOGIN.FAIL", "sub.user", "10086", "ip", "192.168.3.5")
}
