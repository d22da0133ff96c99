package main

import "sync"

var synchronisedLock sync.Mutex
var synchronisedOnce sync.Once

//go:noinline
func synchronised(n int) string {
	var all sync.WaitGroup
	synchronisedLock.Lock()
	defer synchronisedLock.Unlock()
	synchronisedOnce.Do(func() {})
	all.Add(1)
	go func() { all.Done() }()
	all.Wait()
	return say("old", value(n))
}
