//! Patches upon patches, taken back in order; and what is left when goroutines are still inside.
#![allow(clippy::panic, reason = "a test says what it expects")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use std::path::{Path, PathBuf};

use goproc::Process;
use livepatch::{Error, Options, Patch, Sources};
use support::Service;
use support::pairs::{BASE, Files, Shape, build};

const MAIN: &str = r#"package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"strconv"
	"sync/atomic"
)

type form interface{ name() string }
type known struct{ word string }

//go:noinline
func (k known) name() string { return k.word }

var wait, inside = make(chan string), make(chan bool)
var wrong atomic.Uint64

//go:noinline
func show(word string, n int) string { return word + strconv.Itoa(n) }

func main() {
	debug.SetGCPercent(1)
	for i := 0; i < 4; i++ {
		go func() {
			for {
				if got := answer(7); got != "one 7" && got != "two 7" && got != "three 7" {
					wrong.Add(1)
				}
			}
		}()
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		switch lines.Text() {
		case "answer":
			fmt.Println(answer(7), other(), count(), wrong.Load())
		case "block":
			go func() { wait <- blocked() }()
			<-inside
			fmt.Println("blocked")
		case "go":
			wait <- "go"
			fmt.Println(<-wait)
		}
	}
}
"#;

const ONE: &str = r#"package main

//go:noinline
func answer(n int) string { return show("one ", n) }

//go:noinline
func other() string { return "same" }

//go:noinline
func count() int { return 0 }

//go:noinline
func blocked() string {
	inside <- true
	return "old " + <-wait
}
"#;

const TWO: &str = r#"package main

type fresh struct{ next *fresh; word string }

//go:noinline
func (f *fresh) name() string { return f.word }

var counted int
var last *fresh

//go:noinline
func answer(n int) string { return helped(form(&fresh{word: "two "}), n) }

//go:noinline
func helped(f form, n int) string {
	last = &fresh{next: &fresh{word: "kept"}, word: f.name()}
	return show(f.name(), n)
}

//go:noinline
func other() string { return "same" }

//go:noinline
func count() int {
	counted++
	return counted
}

//go:noinline
func blocked() string {
	inside <- true
	return "new " + <-wait
}
"#;

const THREE: &str = r#"package main

type fresh struct{ next *fresh; word string }
type latest struct{ *fresh }

//go:noinline
func (f *fresh) name() string { return f.word }

var counted int
var last *fresh
var more = []form{nil, nil}

//go:noinline
func answer(n int) string { return helped(form(&fresh{word: "two "}), n) }

//go:noinline
func helped(f form, n int) string {
	more[n%2] = latest{&fresh{word: "three "}}
	if kept := last; kept != nil && kept.next.word != "kept" {
		return "what the patch below had was lost"
	}
	if form(f.(*fresh)) != f {
		return "two tables of one pair"
	}
	return show(more[n%2].name(), n)
}

//go:noinline
func other() string { return "another" }

//go:noinline
func count() int {
	counted++
	return counted * 10
}

//go:noinline
func blocked() string {
	inside <- true
	return "new " + <-wait
}
"#;

fn files(change: &str) -> Files {
    vec![("main.go".to_owned(), MAIN.to_owned()), ("change.go".to_owned(), change.to_owned())]
}

fn options() -> Options {
    Options { attempts: 2000, ..Options::default() }
}

struct Builds {
    one: Vec<u8>,
    path: PathBuf,
    two: Vec<u8>,
    three: Vec<u8>,
}

impl Builds {
    fn of(go: &Path, shape: Shape) -> Self {
        let path = build(go, shape, "old", BASE, &files(ONE));
        let read = |path: &Path| std::fs::read(path).expect("built");
        let two = read(&build(go, shape, "new", BASE, &files(TWO)));
        let three = read(&build(go, shape, "new", BASE + 0x400_0000, &files(THREE)));
        Self { one: read(&path), path, two, three }
    }

    fn first(&self) -> Patch {
        livepatch::build(&self.one, &self.two).expect("a patch")
    }

    fn second(&self, first: &Patch) -> Patch {
        let below = [(first, self.two.as_slice())];
        livepatch::build_from(&Sources { below: &below, ..Sources::of(&self.one, &self.three) })
            .expect("a patch")
    }
}

#[test]
fn patches_upon_patches_are_taken_back_in_order() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    for shape in [Shape::Plain, Shape::Pie] {
        let builds = Builds::of(&go, shape);
        let first = builds.first();
        let second = builds.second(&first);
        // What was written and read again is the same.
        assert_eq!(Patch::decode(&second.encode().expect("written")).expect("read"), second);
        let names: Vec<_> = second.head.functions.iter().map(|f| f.name.as_str()).collect();
        for expected in ["main.helped", "main.other", "main.count"] {
            assert!(names.contains(&expected), "{names:?}");
        }
        let mut service = Service::start(&builds.path);
        let process = Process::open(service.pid()).expect("our child");
        let apply = |patch: &Patch, digest: u8| livepatch::apply(&process, patch, &[digest; 32], options());
        let back = || livepatch::rollback(&process, options());
        assert_eq!(service.ask("answer"), "one 7 same 0 0");
        let alone = apply(&second, 2);
        assert!(matches!(alone, Err(Error::State { .. })), "{shape:?}: {alone:?}");
        for round in 0..2 {
            let counted = |n: u64| round * 3 + n;
            apply(&first, 1).expect("a safe moment comes");
            assert_eq!(service.ask("answer"), format!("two 7 same {} 0", counted(1)), "{shape:?}");
            apply(&second, 2).expect("a safe moment comes");
            // The variable that the first patch brought goes on.
            assert_eq!(service.ask("answer"), format!("three 7 another {} 0", counted(2) * 10), "{shape:?}");
            let pile = livepatch::pile(&process).expect("readable");
            assert!(pile.len() == 2 && pile.iter().all(|status| status.active), "{pile:?}");
            let again = apply(&first, 1);
            assert!(matches!(again, Err(Error::State { .. })), "{again:?}");
            back().expect("a safe moment comes");
            let status = livepatch::status(&process).expect("readable").expect("the first is on");
            assert!(status.active && status.digest == "01".repeat(32));
            assert!(service.ask("answer").starts_with("two 7 same "), "{shape:?}");
            back().expect("a safe moment comes");
            assert_eq!(service.ask("answer"), "one 7 same 0 0", "{shape:?}");
            assert!(matches!(back(), Err(Error::State { .. })));
            let status = livepatch::status(&process).expect("readable").expect("the records stay");
            assert!(!status.active);
        }
    }
}

#[test]
fn code_with_goroutines_inside_stays() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let builds = Builds::of(&go, Shape::Plain);
    let mut service = Service::start(&builds.path);
    let process = Process::open(service.pid()).expect("our child");
    livepatch::apply(&process, &builds.first(), &[1; 32], options()).expect("a safe moment comes");
    assert_eq!(service.ask("block"), "blocked");
    let stop = livepatch::rollback(&process, options()).expect("a safe moment comes");
    assert!(stop.inside >= 1, "{stop:?}");
    assert_eq!(service.ask("answer").split(' ').next(), Some("one"));
    // It finishes in the code that it began in.
    assert_eq!(service.ask("go"), "new go");
}
