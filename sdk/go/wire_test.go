package custody

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// FuzzReplies: any frame is refused or understood, and receipts are read as encoding/json reads them.
func FuzzReplies(f *testing.F) {
	const id = "0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10"
	for _, seed := range []string{
		`{"recorded":[{"id":"` + id + `","index":7}]}`,
		`{"recorded":[{"id":"` + id + `","index":7},{"faults":[{"path":"$","rule":"json","message":"x"}]}]}`,
		`{"recorded":[{"id":"` + id + `","index":18446744073709551615},{"id":"` + id + `","index":0}]}`,
		`{"recorded":[]}`, `{"recorded":[{}]}`, `{"trace":{"seen":true}}`, `{"error":{"kind":"request","message":"m"}}`,
		`"end"`, `{"ring":{"capacity":1}}`, `{"refused":{"position":1,"total":2,"faults":[]}}`, `[`, ``,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		verdicts, handled, err := readVerdicts(frame, nil)
		if handled && err == nil {
			var slow struct {
				Recorded []wireVerdict `json:"recorded"`
			}
			if err := json.Unmarshal(frame, &slow); err != nil {
				t.Fatalf("%q is not JSON, but was read: %v", frame, err)
			}
			want := make([]verdict, 0)
			for _, one := range slow.Recorded {
				want = append(want, verdict{one.Index, one.Faults})
			}
			if len(want) != len(verdicts) || len(want) > 0 && !reflect.DeepEqual(want, verdicts) {
				t.Fatalf("%q: %v, not %v", frame, verdicts, want)
			}
		}
		b := batch{count: 1}
		b.answer(frame)
		_ = checkHello(frame)
		framed := appendFrame(nil, frame)
		read, err := readFrame(bytes.NewReader(framed), nil)
		if err != nil || !bytes.Equal(read, frame) {
			t.Fatalf("%v: %q", err, read)
		}
		if _, err := readFrame(bytes.NewReader(framed[:len(framed)-1]), nil); err == nil {
			t.Fatal("half a frame was read")
		}
	})
}

// FuzzEvents: what is written is JSON, and means what was given.
func FuzzEvents(f *testing.F) {
	f.Add("user", "1\x00\"\\\xff€", "trace")
	f.Add("trace_id", "x", "")
	f.Fuzz(func(t *testing.T, name, value, trace string) {
		at := time.Unix(1_763_627_445, 7)
		event := ComplianceEvent{Subject: map[string]string{name: value}, Action: value, Context: map[string]string{name: value}}
		var read ComplianceEvent
		written := appendEvent(nil, &event, "id", at, trace)
		if err := json.Unmarshal(written, &read); err != nil || !utf8.Valid(written) {
			t.Fatalf("%s: %v", written, err)
		}
		valid := func(text string) string {
			runes := []rune(text) // one U+FFFD for each byte that is not UTF-8
			return string(runes)
		}
		if read.Action != valid(value) || read.Subject[valid(name)] != valid(value) || !read.Timestamp.Equal(at) {
			t.Fatalf("%s: %+v", written, read)
		}
		if trace != "" && name != "trace_id" && read.Context["trace_id"] != valid(trace) {
			t.Fatalf("%s", written)
		}
	})
}

func TestTimesAreWrittenAsTheLibraryDoes(t *testing.T) {
	for _, at := range []time.Time{
		{}, time.Unix(0, 0), time.Unix(1_763_627_445, 999_999_999), time.Date(9999, 12, 31, 23, 59, 59, 1, time.UTC),
		time.Date(10_000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 1, 1, 0, 0, 0, 0, time.FixedZone("x", -3600)),
	} {
		want := at.UTC().Format("2006-01-02T15:04:05.000000000Z")
		if got := string(appendTime(nil, at)); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}

func TestIDsAreOfVersion7AndDiffer(t *testing.T) {
	made, err := newIDs()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	seen := map[string]bool{}
	for n := 0; n < 10_000; n++ {
		id := made.next(now)
		if seen[id] || len(id) != 36 || id[14] != '7' || !strings.ContainsRune("89ab", rune(id[19])) {
			t.Fatal(id)
		}
		seen[id] = true
	}
}
