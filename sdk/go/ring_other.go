//go:build !linux

package custody

import "context"

func openRing(context.Context, string, Options) (transport, error) { return nil, ErrUnsupported }
