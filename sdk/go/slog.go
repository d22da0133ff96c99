package custody

import (
	"context"
	"log/slog"
	"strings"
)

// HandlerOptions say how log records become events.
type HandlerOptions struct {
	// Next gets every record too; nil for none.
	Next slog.Handler
	// Level is the least level that becomes an event; nil is slog.LevelInfo. Next has its own.
	Level slog.Leveler
	// Action is the action of records without an act attribute. Empty: they are no events.
	Action string
	// Subject is what every event has in its subject, as {"svc": "payments"}; a record's own names win.
	Subject map[string]string
}

// Handler is a slog.Handler that records what has an act attribute as an event, and waits until it is durable:
//
//	slog.New(handler).InfoContext(ctx, "login refused",
//		"act", "AUTH.LOGIN.FAIL", "sub.user", "10086", "obj.table", "users", "ip", "192.168.3.5")
//
// The attribute act is the action; sub.NAME, obj.NAME and ctx.NAME (also as groups sub, obj, ctx) go into those maps,
// every other attribute into ctx under its name, with '_' for what a name may not have; the message is ctx.msg.
// Levels below Info become DEBUG, then INFO, WARN, ERROR; from 12 on CRITICAL.
type Handler struct {
	recorder EventRecorder
	options  HandlerOptions
	given    []slog.Attr // each inside the groups that were open then
	groups   []string
}

// NewHandler makes a handler.
func NewHandler(recorder EventRecorder, options HandlerOptions) *Handler {
	return &Handler{recorder: recorder, options: options}
}

// Enabled says whether anyone wants the level.
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= h.least() || h.options.Next != nil && h.options.Next.Enabled(ctx, level)
}

func (h *Handler) least() slog.Level {
	if h.options.Level == nil {
		return slog.LevelInfo
	}
	return h.options.Level.Level()
}

// Handle records the event, and gives the record to the next handler whether that worked or not.
func (h *Handler) Handle(ctx context.Context, record slog.Record) error {
	var recorded error
	if record.Level >= h.least() {
		if event := h.event(record); event.Action != "" {
			recorded = h.recorder.Record(ctx, event)
		}
	}
	if next := h.options.Next; next != nil && next.Enabled(ctx, record.Level) {
		if err := next.Handle(ctx, record); recorded == nil {
			return err
		}
	}
	return recorded
}

// WithAttrs gives a handler whose events have these attributes too.
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	with := *h
	with.given = append(h.given[:len(h.given):len(h.given)], nest(h.groups, attrs)...)
	if h.options.Next != nil {
		with.options.Next = h.options.Next.WithAttrs(attrs)
	}
	return &with
}

// WithGroup gives a handler whose further attributes are in a group.
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.groups = append(h.groups[:len(h.groups):len(h.groups)], name)
	if h.options.Next != nil {
		with.options.Next = h.options.Next.WithGroup(name)
	}
	return &with
}

func nest(groups []string, attrs []slog.Attr) []slog.Attr {
	for i := len(groups) - 1; i >= 0; i-- {
		attrs = []slog.Attr{{Key: groups[i], Value: slog.GroupValue(attrs...)}}
	}
	return attrs
}

func (h *Handler) event(record slog.Record) *ComplianceEvent {
	event := &ComplianceEvent{
		Timestamp: record.Time,
		Severity:  severityOf(record.Level),
		Action:    h.options.Action,
		Subject:   make(map[string]string, len(h.options.Subject)+2),
		Object:    map[string]string{},
		Context:   map[string]string{},
	}
	for kind, name := range h.options.Subject {
		event.Subject[kind] = name
	}
	if record.Message != "" {
		event.Context["msg"] = record.Message
	}
	for _, attr := range h.given {
		place(event, "", attr)
	}
	own := make([]slog.Attr, 0, record.NumAttrs())
	record.Attrs(func(attr slog.Attr) bool {
		own = append(own, attr)
		return true
	})
	for _, attr := range nest(h.groups, own) {
		place(event, "", attr)
	}
	return event
}

// place puts an attribute where its path says.
func place(event *ComplianceEvent, before string, attr slog.Attr) {
	value := attr.Value.Resolve()
	path := attr.Key
	if before != "" && path != "" {
		path = before + "." + path
	} else if path == "" {
		path = before // a group without a name is part of the one around it
	}
	if value.Kind() == slog.KindGroup {
		for _, inner := range value.Group() {
			place(event, path, inner)
		}
		return
	}
	text := value.String()
	kind, name, dotted := strings.Cut(path, ".")
	switch {
	case path == "":
	case path == "act":
		event.Action = text
	case dotted && kind == "sub":
		event.Subject[fieldName(name)] = text
	case dotted && kind == "obj":
		event.Object[fieldName(name)] = text
	case dotted && kind == "ctx":
		event.Context[fieldName(name)] = text
	default:
		event.Context[fieldName(path)] = text
	}
}

// fieldName makes a name that events may have: letters, digits, '_', '.', '-', a letter or '_' first, at most 64.
func fieldName(name string) string {
	clean := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '.' || r == '-' {
			return r
		}
		return '_'
	}, name)
	if clean == "" || !(clean[0] >= 'a' && clean[0] <= 'z' || clean[0] >= 'A' && clean[0] <= 'Z' || clean[0] == '_') {
		clean = "_" + clean
	}
	if len(clean) > 64 {
		clean = clean[:64]
	}
	return clean
}

func severityOf(level slog.Level) Severity {
	switch {
	case level < slog.LevelInfo:
		return Debug
	case level < slog.LevelWarn:
		return Info
	case level < slog.LevelError:
		return Warn
	case level < 12:
		return Error
	}
	return Critical
}
