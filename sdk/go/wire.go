package custody

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The home's socket: docs/formats/socket.md.
const (
	hello       = `{"protocol":"custody-audit","version":1}`
	maxReply    = 32 << 20
	maxBatch    = 512
	maxBytes    = 4 << 20
	maxEvent    = 64 << 10 // longer ones cannot be admitted
	frameLength = 4
)

// appendFrame writes a frame around a document.
func appendFrame(out, document []byte) []byte {
	out = binary.BigEndian.AppendUint32(out, uint32(len(document)))
	return append(out, document...)
}

// readFrame reads a frame. Memory grows with what arrives, not with what is announced.
func readFrame(from io.Reader, into []byte) ([]byte, error) {
	var head [frameLength]byte
	if _, err := io.ReadFull(from, head[:]); err != nil {
		return nil, err
	}
	length := int64(binary.BigEndian.Uint32(head[:]))
	if length > maxReply {
		return nil, fmt.Errorf("custody: a frame of %d bytes is too long", length)
	}
	if length <= int64(cap(into)) {
		into = into[:length]
		_, err := io.ReadFull(from, into)
		return into, err
	}
	var grown bytes.Buffer
	if _, err := io.CopyN(&grown, from, length); err != nil {
		return nil, err
	}
	return grown.Bytes(), nil
}

// reply is any reply of the owner.
type reply struct {
	Hello *struct {
		Protocol string `json:"protocol"`
		Version  uint32 `json:"version"`
	} `json:"hello"`
	Error *struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
	} `json:"error"`
	Recorded []wireVerdict `json:"recorded"`
	Trace    *struct {
		Seen bool `json:"seen"`
	} `json:"trace"`
	Ring *struct {
		Capacity uint64 `json:"capacity"`
	} `json:"ring"`
	Refused *struct {
		Position uint64  `json:"position"`
		Total    uint64  `json:"total"`
		Faults   []Fault `json:"faults"`
	} `json:"refused"`
}

type wireVerdict struct {
	ID     string  `json:"id"`
	Index  uint64  `json:"index"`
	Faults []Fault `json:"faults"`
}

// verdict is what became of one event: an index, or faults.
type verdict struct {
	index  uint64
	faults []Fault
}

var errProtocol = errors.New("custody: the owner broke the protocol")

// readVerdicts takes `{"recorded":[…]}`; handled is false when the frame is another reply, which parseReply reads.
// Receipts, which nearly all verdicts are, are read without reflection.
func readVerdicts(frame []byte, into []verdict) (verdicts []verdict, handled bool, err error) {
	const begin, id, index = `{"recorded":[`, `{"id":"`, `","index":`
	rest, recorded := bytes.CutPrefix(frame, []byte(begin))
	if !recorded {
		return nil, false, nil
	}
	verdicts = into[:0]
	for {
		var found bool
		if rest, found = bytes.CutPrefix(rest, []byte(id)); !found || len(rest) < 36+len(index) {
			break
		}
		if rest = rest[36:]; string(rest[:len(index)]) != index {
			break
		}
		rest = rest[len(index):]
		number, digits := uint64(0), 0
		for digits < len(rest) && digits < 19 && rest[digits] >= '0' && rest[digits] <= '9' {
			number = number*10 + uint64(rest[digits]-'0')
			digits++
		}
		rest = rest[digits:]
		if digits == 0 || len(rest) < 2 || rest[0] != '}' {
			break
		}
		verdicts = append(verdicts, verdict{index: number})
		if rest[1] != ',' {
			if string(rest[1:]) == "]}" {
				return verdicts, true, nil
			}
			break
		}
		rest = rest[2:]
	}
	// A refusal among them, or another way to write them.
	parsed, err := parseReply(frame)
	if err != nil {
		return nil, true, err
	}
	verdicts = into[:0]
	for _, one := range parsed.Recorded {
		if (one.ID == "") == (len(one.Faults) == 0) {
			return nil, true, errProtocol
		}
		verdicts = append(verdicts, verdict{one.Index, one.Faults})
	}
	return verdicts, true, nil
}

func parseReply(frame []byte) (*reply, error) {
	var parsed reply
	if err := json.Unmarshal(frame, &parsed); err != nil {
		return nil, fmt.Errorf("%w: %v", errProtocol, err)
	}
	return &parsed, nil
}
