//! What is new is seen: a stack, a panic that ends the process, and a profile name new functions with their new lines.
#![allow(clippy::panic, reason = "a test says what it expects")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use std::process::Command;

use goproc::Process;
use livepatch::Options;
use support::Service;
use support::pairs::{Files, Pair, Shape};

const MAIN: &str = r#"package main

import (
	"bufio"
	"fmt"
	"os"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"time"
)

//go:noinline
func stack() string { return strings.ReplaceAll(string(debug.Stack()), "\n", "|") }

//go:noinline
func burn() (sum int) {
	for i := 0; i < 1000; i++ {
		sum += i * i
	}
	return sum
}

func main() {
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		word, rest, _ := strings.Cut(lines.Text(), " ")
		switch word {
		case "stack":
			fmt.Println(seen("stack"))
		case "profile":
			file, err := os.Create(rest)
			if err != nil {
				panic(err)
			}
			if err := pprof.StartCPUProfile(file); err != nil {
				panic(err)
			}
			for until := time.Now().Add(600 * time.Millisecond); time.Now().Before(until); {
				seen("burn")
			}
			pprof.StopCPUProfile()
			file.Close()
			fmt.Println("profiled")
		case "panic":
			seen("panic")
		}
	}
}
"#;

const OLD: &str = r#"package main

//go:noinline
func seen(what string) string { return what }
"#;

const NEW: &str = r#"package main

// Lines that move everything down.
//
//

//go:noinline
func seen(what string) string {
	if what == "panic" {
		panic("on purpose") // panics here
	}
	return within(what)
}

//go:noinline
func within(what string) string {
	if what == "stack" {
		return stack() // is on the stack here
	}
	sum := 0
	for i := 0; i < 100; i++ {
		sum += burn() // burns here
	}
	if sum == 0 {
		return ""
	}
	return what
}
"#;

/// The line of the new source that says so.
fn line(mark: &str) -> String {
    let at = NEW.lines().position(|line| line.contains(mark)).expect("a line");
    format!("change.go:{}", at + 1)
}

fn files(change: &str) -> Files {
    vec![("main.go".to_owned(), MAIN.to_owned()), ("change.go".to_owned(), change.to_owned())]
}

#[test]
fn stacks_profiles_and_panics_show_new_lines() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    for shape in [Shape::Plain, Shape::Pie] {
        let pair = Pair::of(&go, shape, &files(OLD), &files(NEW));
        let patch = pair.patch().expect("a patch");
        let mut service = Service::start(&pair.old);
        let process = Process::open(service.pid()).expect("our child");
        assert_eq!(service.ask("stack"), "stack");
        let options = Options { attempts: 2000, ..Options::default() };
        livepatch::apply(&process, &patch, &[7; 32], options).expect("a safe moment comes");

        let stack = service.ask("stack");
        for expected in ["main.within(", &line("is on the stack here"), "main.seen(", "main.main()"] {
            assert!(stack.contains(expected), "{shape:?}: {expected} in {stack}");
        }

        let folder = tempfile::tempdir().expect("a folder");
        let profile = folder.path().join("cpu");
        assert_eq!(service.ask(&format!("profile {}", profile.display())), "profiled");
        let shown = Command::new(&go)
            .args(["tool", "pprof", "-top", "-cum", "-lines", "-nodecount=200"])
            .arg(&profile)
            .env("GOTOOLCHAIN", "local")
            .env("PPROF_TMPDIR", folder.path())
            .output()
            .expect("pprof runs");
        let shown = String::from_utf8_lossy(&shown.stdout).into_owned();
        for expected in ["main.within", "main.seen", "main.burn", &line("burns here")] {
            assert!(shown.contains(expected), "{shape:?}: {expected} in {shown}");
        }

        let died = service.die("panic");
        for expected in ["panic: on purpose", "main.seen(", &line("panics here")] {
            assert!(died.contains(expected), "{shape:?}: {expected} in {died}");
        }
    }
}
