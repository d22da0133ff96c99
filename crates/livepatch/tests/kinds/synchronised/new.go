package main

import "sync"

var synchronisedLock sync.Mutex
var synchronisedOnce sync.Once

// The lock is shared with old calls that still hold it; the rest is new.
var synchronisedTotal = struct {
	sync.Mutex
	sum, calls int
}{}

//go:noinline
func synchronised(n int) string {
	var all sync.WaitGroup
	synchronisedLock.Lock()
	before := synchronisedTotal.sum
	for i := 0; i < 4; i++ {
		all.Add(1)
		go func() {
			defer all.Done()
			synchronisedTotal.Lock()
			defer synchronisedTotal.Unlock()
			synchronisedTotal.sum += n
		}()
	}
	all.Wait()
	added := synchronisedTotal.sum - before
	synchronisedLock.Unlock()
	if added != 4*n {
		return "a lock was not kept"
	}
	return say("new", value(n))
}
