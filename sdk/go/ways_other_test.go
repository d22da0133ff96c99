//go:build !linux

package custody

// way is a durable way of recording that the tests go.
type way struct {
	name      string
	transport Transport
	bytes     int
}

func ways() []way { return []way{{name: "socket", transport: Socket}} }
