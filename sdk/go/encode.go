package custody

import (
	"crypto/rand"
	"encoding/binary"
	"sync/atomic"
	"time"
	"unicode/utf8"
)

// appendEvent writes an event as it is offered. trace is the trace id of the context, if there is one.
func appendEvent(out []byte, e *ComplianceEvent, id string, now time.Time, trace string) []byte {
	ts := e.Timestamp
	if ts.IsZero() {
		ts = now
	}
	severity := e.Severity
	if severity == "" {
		severity = Info
	}
	out = append(out, `{"id":`...)
	out = appendString(out, id)
	out = append(out, `,"ts":"`...)
	out = appendTime(out, ts)
	out = append(out, `","severity":`...)
	out = appendString(out, string(severity))
	out = append(out, `,"act":`...)
	out = appendString(out, e.Action)
	out = append(out, `,"sub":`...)
	out = appendMap(out, e.Subject, "")
	if len(e.Object) > 0 {
		out = append(out, `,"obj":`...)
		out = appendMap(out, e.Object, "")
	}
	if len(e.Context) > 0 || trace != "" {
		out = append(out, `,"ctx":`...)
		out = appendMap(out, e.Context, trace)
	}
	return append(out, '}')
}

// appendMap writes a map, and a trace_id that it does not have.
func appendMap(out []byte, entries map[string]string, trace string) []byte {
	before := byte('{')
	for name, value := range entries {
		if name == "trace_id" {
			trace = ""
		}
		out = append(out, before)
		before = ','
		out = appendString(out, name)
		out = append(out, ':')
		out = appendString(out, value)
	}
	if trace != "" {
		out = append(out, before)
		before = ','
		out = append(out, `"trace_id":`...)
		out = appendString(out, trace)
	}
	if before == '{' {
		out = append(out, '{')
	}
	return append(out, '}')
}

const hexDigits = "0123456789abcdef"

// appendString writes a JSON string. What is not UTF-8 becomes U+FFFD, as encoding/json has it.
func appendString(out []byte, text string) []byte {
	out = append(out, '"')
	start := 0
	for i := 0; i < len(text); {
		b := text[i]
		if b >= 0x20 && b != '"' && b != '\\' && b < utf8.RuneSelf {
			i++
			continue
		}
		if b < utf8.RuneSelf {
			out = append(out, text[start:i]...)
			if b == '"' || b == '\\' {
				out = append(out, '\\', b)
			} else {
				out = append(out, '\\', 'u', '0', '0', hexDigits[b>>4], hexDigits[b&15])
			}
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			out = append(out, text[start:i]...)
			out = append(out, "\ufffd"...)
			start = i + 1
		}
		i += size
	}
	out = append(out, text[start:]...)
	return append(out, '"')
}

// appendTime writes RFC 3339 in UTC with nine digits of fraction. time.Time.AppendFormat does the same at five times
// the cost, but knows what to do with years that have not four digits.
func appendTime(out []byte, t time.Time) []byte {
	t = t.UTC()
	year, month, day := t.Date()
	if year < 0 || year > 9999 {
		return t.AppendFormat(out, "2006-01-02T15:04:05.000000000Z")
	}
	hour, minute, second := t.Clock()
	out = appendDigits(out, year, 4)
	out = appendDigits(append(out, '-'), int(month), 2)
	out = appendDigits(append(out, '-'), day, 2)
	out = appendDigits(append(out, 'T'), hour, 2)
	out = appendDigits(append(out, ':'), minute, 2)
	out = appendDigits(append(out, ':'), second, 2)
	out = appendDigits(append(out, '.'), t.Nanosecond(), 9)
	return append(out, 'Z')
}

func appendDigits(out []byte, value, width int) []byte {
	var digits [9]byte
	for i := width - 1; i >= 0; i-- {
		digits[i] = byte('0' + value%10)
		value /= 10
	}
	return append(out, digits[:width]...)
}

// ids makes version 7 UUIDs from one random number that is counted up (RFC 9562 section 6.2, method 2), so that an id
// costs no call of the system.
type ids struct {
	random [5]byte
	count  atomic.Uint64
}

func newIDs() (*ids, error) {
	var random [10]byte
	if _, err := rand.Read(random[:]); err != nil {
		return nil, err
	}
	made := &ids{random: [5]byte(random[:5])}
	made.count.Store(uint64(binary.BigEndian.Uint32(random[6:])))
	return made, nil
}

func (i *ids) next(now time.Time) string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:8], uint64(now.UnixMilli())<<16)
	copy(id[6:], i.random[:])
	count := i.count.Add(1)
	id[11] = byte(count >> 32)
	binary.BigEndian.PutUint32(id[12:], uint32(count))
	id[6] = 0x70 | id[6]&0x0f
	id[8] = 0x80 | id[8]&0x3f
	return uuidText(id)
}

func uuidText(id [16]byte) string {
	var text [36]byte
	at := 0
	for i, b := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			text[at] = '-'
			at++
		}
		text[at], text[at+1] = hexDigits[b>>4], hexDigits[b&15]
		at += 2
	}
	return string(text[:])
}
