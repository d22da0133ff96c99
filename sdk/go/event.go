package custody

import (
	"context"
	"errors"
	"strings"
	"time"
)

// EventRecorder is what the code of a service holds: it can be replaced in tests.
type EventRecorder interface {
	Record(ctx context.Context, e *ComplianceEvent) error
}

// Severity says how grave an event is.
type Severity string

// The severities, from the least.
const (
	Debug    Severity = "DEBUG"
	Info     Severity = "INFO"
	Warn     Severity = "WARN"
	Error    Severity = "ERROR"
	Critical Severity = "CRITICAL"
)

// ComplianceEvent says who did what to what, when, and under which circumstances. Its form is docs/formats/event.md.
type ComplianceEvent struct {
	ID        string            `json:"id"`       // UUID of version 4 or 7; one of version 7 is made when it is empty
	Timestamp time.Time         `json:"ts"`       // now, when it is zero
	Severity  Severity          `json:"severity"` // Info, when it is empty
	Subject   map[string]string `json:"sub"`      // subject kind to identifier; at least one
	Action    string            `json:"act"`      // a code of the catalogue, as "AUTH.LOGIN.FAIL"
	Object    map[string]string `json:"obj,omitempty"`
	Context   map[string]string `json:"ctx,omitempty"` // trace_id is taken from the context when it is not here
}

// ErrInvalidComplianceEvent is the answer to an event that the ledger does not admit. The error that is returned is an
// *InvalidEvent, which names every fault.
var ErrInvalidComplianceEvent = errors.New("InvalidComplianceEvent")

// Fault is one fault of an event.
type Fault struct {
	Path    string `json:"path"`    // JSONPath (RFC 9535), "$.ctx.ip"
	Rule    string `json:"rule"`    // the rule that is broken, as "unknown"
	Message string `json:"message"` // what is wrong, continuing the path
}

// InvalidEvent is the refusal of an event with every fault. It is ErrInvalidComplianceEvent to errors.Is.
type InvalidEvent struct {
	Faults []Fault
}

func (e *InvalidEvent) Error() string {
	texts := make([]string, len(e.Faults))
	for i, fault := range e.Faults {
		texts[i] = fault.Path + " " + fault.Message
	}
	return "InvalidComplianceEvent: " + strings.Join(texts, "; ")
}

// Is makes errors.Is(err, ErrInvalidComplianceEvent) true.
func (e *InvalidEvent) Is(target error) bool { return target == ErrInvalidComplianceEvent }

// OwnerError is what the owner of the home could not do. The event may or may not be stored; recording it again under
// the same ID is safe.
type OwnerError struct {
	Kind    string // who must act: "request", "environment" or "damage"
	Message string
}

func (e *OwnerError) Error() string { return "custody: " + e.Message }

// ErrClosed is the answer of a recorder that was closed.
var ErrClosed = errors.New("custody: the recorder is closed")
