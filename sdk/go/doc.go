// Package custody records compliance events of a Go service in Custody's tamper-evident ledger.
//
// Record returns nil when the event is durable: written to the ledger of the home and synced to its disk. Many
// goroutines share one connection, one batch and one sync. When the owner of the home goes away, what was not
// acknowledged is offered to the next one under the same ids, so nothing acknowledged is lost and nothing is recorded
// twice.
//
//	recorder, err := custody.Open(ctx, custody.Options{Home: os.Getenv("CUSTODY_HOME")})
//	…
//	err = recorder.Record(ctx, &custody.ComplianceEvent{
//		Subject: map[string]string{"user": "10086", "svc": "auth"},
//		Action:  "AUTH.LOGIN.FAIL",
//		Object:  map[string]string{"table": "users"},
//		Context: map[string]string{"ip": "192.168.3.5"},
//	})
//	if errors.Is(err, custody.ErrInvalidComplianceEvent) { … }
//
// What a program needs beside it is an owner of the home that runs: custody serve, or the custody run that started the
// program. Standard library only. The module has no public address yet: name it in go.mod with a replace line.
//
// What it does not do: it keeps no file of its own (while no owner answers, Record waits for as long as its context
// lets it), and it does not check events before they are sent; the owner does, and answers with every fault.
package custody
