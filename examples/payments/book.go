package main

import (
	"context"
	"log/slog"
	"strconv"
	"time"

	"custody.example/sdk"
)

// book records what the service does. Without a home it records nothing.
type book struct {
	events custody.EventRecorder
	// opened is the recorder behind events, when there is a home.
	opened *custody.Recorder
	log    *slog.Logger
}

// patience is how long the home's owner may take to answer at the start, and how long one event may take.
const patience = 10 * time.Second

func openBook(home string, log *slog.Logger) (*book, error) {
	if home == "" {
		return &book{log: log}, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	recorder, err := custody.Open(ctx, custody.Options{Home: home})
	if err != nil {
		return nil, err
	}
	return &book{events: recorder, opened: recorder, log: log}, nil
}

func (b *book) close() {
	if b.opened == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := b.opened.Close(ctx); err != nil {
		b.log.Error("events are unanswered", "error", err)
	}
}

// traces is nil where nothing is recorded.
func (b *book) traces() custody.TraceFinder {
	if b.opened == nil {
		return nil
	}
	return b.opened
}

// record waits until the payment's outcome is durable. It does not end with the request: the money has moved.
func (b *book) record(ctx context.Context, payment Payment, refused error) error {
	if b.events == nil {
		return nil
	}
	event := &custody.ComplianceEvent{
		Subject: map[string]string{"svc": "payments"},
		Action:  "PAYMENT.SETTLED",
		Object: map[string]string{
			"from": payment.From, "to": payment.To, "amount": strconv.FormatInt(payment.Amount, 10),
		},
	}
	if refused != nil {
		event.Action, event.Severity = "PAYMENT.DECLINED", custody.Warn
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), patience)
	defer cancel()
	err := b.events.Record(ctx, event)
	if err != nil {
		b.log.Error("a payment could not be recorded", "trace", custody.TraceID(ctx), "error", err)
	}
	return err
}
