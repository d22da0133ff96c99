package custody

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"strings"
)

type traceKey struct{}

// WithTraceID gives a context the trace id that Record writes into ctx.trace_id.
func WithTraceID(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, traceKey{}, id)
}

// TraceID is the trace id of a context; empty when it has none.
func TraceID(ctx context.Context) string {
	id, _ := ctx.Value(traceKey{}).(string)
	return id
}

// ParseTraceparent reads the trace id out of a W3C traceparent header (Trace Context section 3.2.2): 32 lower-case
// hexadecimal digits, not all zero. Versions above 00 may carry more fields, which are not looked at.
func ParseTraceparent(header string) (traceID string, ok bool) {
	parts := strings.Split(strings.TrimSpace(header), "-")
	if len(parts) < 4 || len(parts[0]) != 2 || len(parts[1]) != 32 || len(parts[2]) != 16 || len(parts[3]) != 2 {
		return "", false
	}
	if parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 {
		return "", false
	}
	for _, part := range parts[:4] {
		if strings.Trim(part, hexDigits) != "" {
			return "", false
		}
	}
	if strings.Trim(parts[1], "0") == "" || strings.Trim(parts[2], "0") == "" {
		return "", false
	}
	return parts[1], true
}

// NewTraceID makes a trace id. It is empty only when the system has no randomness.
func NewTraceID() string {
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return ""
	}
	return hex.EncodeToString(id[:])
}
