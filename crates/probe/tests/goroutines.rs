//! Goroutines of a running program, against what the program counts itself.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use probe::goroutines::{Reader, State};
use support::{Go, PLAIN, Running, STRIPPED};

const PROGRAM: &str = r#"
package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"sync"
	"time"
)

var never = make(chan int)
var lock sync.Mutex

//go:noinline
func parked() { <-never }

//go:noinline
func locked() { lock.Lock() }

//go:noinline
func asleep() { time.Sleep(time.Hour) }

func main() {
	lock.Lock()
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		for i := 0; i < 100; i++ {
			go parked()
		}
		for i := 0; i < 30; i++ {
			go locked()
		}
		for i := 0; i < 7; i++ {
			go asleep()
		}
		time.Sleep(200 * time.Millisecond)
		fmt.Println(runtime.NumGoroutine())
	}
}
"#;

#[test]
fn they_are_as_many_as_the_program_says() {
    let test = "they_are_as_many_as_the_program_says";
    let folder = tempfile::tempdir().unwrap();
    for go in Go::some(test, &[21, 24, 27]) {
        let mut program = Running::start(&go.build(folder.path(), PROGRAM, PLAIN));
        let reader = Reader::open(program.pid()).unwrap();
        for round in 1..=2 {
            let counted: u64 = program.ask("more").parse().unwrap();
            let census = reader.census().unwrap();
            assert_eq!(census.goroutines, counted, "{}: {census:#?}", go.version);
            let of = |name: &str| {
                let groups = census.groups.iter().filter(|g| g.started_with == name);
                groups.map(|g| g.count).sum::<u64>()
            };
            assert_eq!(
                [of("main.parked"), of("main.locked"), of("main.asleep")],
                [100, 30, 7].map(|n| n * round)
            );
            let parked = census.groups.iter().find(|g| g.started_with == "main.parked").unwrap();
            assert_eq!(
                (parked.state, parked.at.as_str(), parked.system),
                (State::Waiting, "main.parked", false)
            );
            assert!(census.system >= 2 && census.threads >= 2, "{census:#?}");
        }
        assert!(!program.ask("more").is_empty(), "it goes on");
    }
}

#[test]
fn a_stripped_program_is_refused_by_name() {
    let test = "a_stripped_program_is_refused_by_name";
    let folder = tempfile::tempdir().unwrap();
    for go in Go::some(test, &[27]) {
        let program = Running::start(&go.build(folder.path(), PROGRAM, STRIPPED));
        let error = Reader::open(program.pid()).unwrap_err();
        assert!(matches!(error, probe::Error::Missing { .. }), "{error:?}");
    }
}
