//! Calls of functions of running Go programs, against what the programs know themselves.
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use probe::Target;
use probe::func::{Options, Probe, Totals};
use support::{Go, PIE, PLAIN, Running, STRIPPED_PIE};

/// Every function counts itself; each line of input calls one of them.
const CALLS: &str = r#"
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

var counted [8]atomic.Int64
var sink atomic.Int64

//go:noinline
func leaf(a int) int { counted[0].Add(1); return a + 1 }

// grow takes so much of the stack that it grows many times.
//go:noinline
func grow(depth int) int {
	counted[1].Add(1)
	var room [256]int
	room[depth%256] = depth
	if depth == 0 {
		return room[0]
	}
	return grow(depth-1) + room[(depth+1)%256]
}

// huge has a frame of many pages: two branches check for room.
//go:noinline
func huge(n int) int {
	counted[2].Add(1)
	var room [8192]int
	for i := range room { room[i] = n + i }
	if n > 0 { runtime.Gosched(); return huge(n-1) + room[n] }
	return room[len(room)-1]
}

//go:noinline
func fails(n int) int {
	counted[3].Add(1)
	if n%2 == 0 { panic(n) }
	return n
}

//go:noinline
func recovers(n int) (result int) {
	counted[4].Add(1)
	defer func() { if recover() != nil { result = -1 } }()
	return fails(n)
}

//go:noinline
func sleeps(d time.Duration) { counted[5].Add(1); time.Sleep(d) }

//go:noinline
func branches(n int) int {
	counted[6].Add(1)
	if n > 10 {
		if n > 20 { return n * 3 }
		return n * 2
	}
	for i := 0; i < n; i++ { if sink.Load() == -5 { return i } }
	switch n { case 1: return 7; case 2: return 8; case 3: return sum(n, 4) }
	return n
}

//go:noinline
func sum(a, b int) int { counted[7].Add(1); return a + b }

func each(n int, f func(int)) {
	var all sync.WaitGroup
	for g := 0; g < 8; g++ {
		all.Add(1)
		go func(g int) { defer all.Done(); for i := g; i < n; i += 8 { f(i) } }(g)
	}
	all.Wait()
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "ready":
		case "all":
			each(1000, func(i int) { sink.Add(int64(leaf(i))) })
			each(40, func(i int) { sink.Add(int64(grow(100+i))) })
			each(40, func(i int) { sink.Add(int64(huge(3))) })
			each(200, func(i int) { sink.Add(int64(recovers(i))) })
			each(1000, func(i int) { sink.Add(int64(branches(i%30))) })
		case "sleep":
			each(16, func(i int) { sleeps(20 * time.Millisecond) })
		}
		for i := range counted { fmt.Print(counted[i].Load(), " ") }
		fmt.Println()
	}
}
"#;

const NAMES: [&str; 8] = ["leaf", "grow", "huge", "fails", "recovers", "sleeps", "branches", "sum"];

fn numbers(line: &str) -> Vec<u64> {
    line.split_whitespace().map(|word| word.parse().unwrap()).collect()
}

/// In the order of [`NAMES`].
fn totals(probe: &Probe) -> Vec<Totals> {
    let all = probe.totals().unwrap();
    let of = |name: &&str| {
        let number = probe.watched().iter().position(|w| w.name == format!("main.{name}")).unwrap();
        all[number].clone()
    };
    NAMES.iter().map(of).collect()
}

#[test]
fn each_call_counts_once_and_returns_once() {
    let test = "each_call_counts_once_and_returns_once";
    for go in Go::some(test, &[]) {
        for flags in [PLAIN, STRIPPED_PIE] {
            let dir = tempfile::tempdir().unwrap();
            let mut program = Running::start(&go.build(dir.path(), CALLS, flags));
            program.ask("ready");
            let target = Target::process(program.pid()).unwrap();
            let names = NAMES.iter().map(|name| format!("main.{name}")).collect();
            let options = Options { names, durations: true, ..Options::default() };
            let probe = Probe::attach(&target, &options).unwrap();
            let counted = numbers(&program.ask("all"));
            let counted: Vec<u64> =
                counted.into_iter().zip(numbers(&program.ask("sleep"))).map(|(_, n)| n).collect();
            let seen = totals(&probe);
            let calls: Vec<u64> = seen.iter().map(|t| t.calls).collect();
            assert_eq!(calls, counted, "{} {flags:?}: {NAMES:?}", go.version);
            let mut returns = counted.clone();
            returns[3] /= 2; // the other half panics
            let returned: Vec<u64> = seen.iter().map(|t| t.returns).collect();
            assert_eq!(returned, returns, "{} {flags:?}: {NAMES:?}", go.version);
            let lost = probe.lost().unwrap();
            assert_eq!(lost, probe::engine::Lost::default());
            let slept = &seen[5];
            assert!(slept.nanoseconds >= slept.calls * 20_000_000 && slept.longest_ns < 20_000_000_000);
            assert!(slept.quantile(0.5).unwrap() >= 20_000_000);
            drop(probe);
            program.ask("all");
        }
    }
}

#[test]
fn what_starts_later_is_seen_by_the_executable() {
    let test = "what_starts_later_is_seen_by_the_executable";
    let Some(go) = Go::some(test, &[]).into_iter().next() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = go.build(dir.path(), CALLS, PIE);
    let target = Target::executable(&path).unwrap();
    let options = Options { names: vec!["main.leaf".to_owned()], ..Options::default() };
    let probe = Probe::attach(&target, &options).unwrap();
    let mut programs = [Running::start(&path), Running::start(&path)];
    let counted: u64 = programs.iter_mut().map(|program| numbers(&program.ask("all"))[0]).sum();
    assert_eq!(probe.totals().unwrap()[0].calls, counted);
}

#[test]
fn a_name_that_is_not_there_brings_others_to_mind() {
    let test = "a_name_that_is_not_there_brings_others_to_mind";
    let Some(go) = Go::some(test, &[]).into_iter().next() else { return };
    let dir = tempfile::tempdir().unwrap();
    let target = Target::executable(&go.build(dir.path(), CALLS, PLAIN)).unwrap();
    let options = Options { names: vec!["main.Branches".to_owned()], ..Options::default() };
    let error = Probe::attach(&target, &options).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("main.branches"), "{error}");
}
