//! Memory that becomes executable, of a program in C that does as it is told, and of one in Go.
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use probe::memory::{self, Answer, Call, Finding, Probe, Seen};
use support::{Go, PLAIN, Running, possible, skip};

/// Each line of input is answered when the code of it has run.
const PROGRAM: &str = r#"#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static const unsigned char seven[] = { 0xb8, 7, 0, 0, 0, 0xc3 };

static void run(void *code)
{
	printf("%d\n", ((int (*)(void))code)());
}

int main(void)
{
	char line[4096];
	setvbuf(stdout, NULL, _IOLBF, 0);
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		if (!strcmp(line, "both")) {
			void *at = mmap(NULL, 4096, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			memcpy(at, seven, sizeof(seven));
			run(at);
		} else if (!strcmp(line, "after")) {
			void *at = mmap(NULL, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			memcpy(at, seven, sizeof(seven));
			mprotect(at, 4096, 5);
			run(at);
		} else if (!strcmp(line, "nameless")) {
			int file = memfd_create("payload", 0);
			if (write(file, seven, sizeof(seven)) < 0)
				return 1;
			run(mmap(NULL, 4096, 5, MAP_PRIVATE, file, 0));
		} else if (!strcmp(line, "data")) {
			mmap(NULL, 1 << 20, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
			puts("mapped");
		} else {
			void *library = dlopen(line, RTLD_NOW);
			void *code = library ? dlsym(library, "number") : NULL;
			if (code)
				run(code);
			else
				puts(dlerror());
		}
	}
	return 0;
}
"#;

fn compile(folder: &Path, name: &str, source: &str, flags: &[&str]) -> PathBuf {
    let (file, out) = (folder.join(format!("{name}.c")), folder.join(name));
    std::fs::write(&file, source).unwrap();
    let output = Command::new("gcc").args(["-O1", "-o"]).arg(&out).arg(file).args(flags).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    out
}

fn can(test: &str) -> bool {
    if !Path::new("/sys/kernel/tracing/events/syscalls").exists() {
        skip(test, "tracefs with tracepoints of system calls");
        return false;
    }
    if Command::new("gcc").arg("--version").output().is_err() {
        skip(test, "gcc");
        return false;
    }
    possible(test)
}

/// The next call that the probe tells of.
fn next(probe: &mut Probe, waiting: &mut VecDeque<Seen>) -> Seen {
    let until = Instant::now() + Duration::from_secs(20);
    while waiting.is_empty() && Instant::now() < until {
        std::thread::sleep(Duration::from_millis(2));
        probe.drain(|seen| waiting.push_back(seen));
    }
    waiting.pop_front().unwrap()
}

fn state(program: &Running) -> char {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", program.pid())).unwrap_or_default();
    stat.rsplit(") ").next().and_then(|rest| rest.chars().next()).unwrap_or('?')
}

fn becomes(program: &Running, wanted: char) {
    let until = Instant::now() + Duration::from_secs(20);
    while state(program) != wanted {
        assert!(Instant::now() < until, "state {}, not {wanted}", state(program));
        std::thread::sleep(Duration::from_millis(2));
    }
}

#[test]
fn every_way_to_new_code_is_seen_and_named() {
    if !can("every_way_to_new_code_is_seen_and_named") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = compile(folder.path(), "lib.so", "int number(void) { return 42; }", &["-shared", "-fPIC"]);
    let mut program = Running::start(&compile(folder.path(), "program", PROGRAM, &["-ldl"]));
    program.ask("data");
    let mut waiting = VecDeque::new();
    let mut probe = Probe::attach(program.pid(), None).unwrap();
    // What was there: the program, its libraries, all of files.
    let present = memory::executable(program.pid()).unwrap();
    assert!(present.len() >= 3 && present.iter().all(|m| Finding::of(m) == Finding::File), "{present:?}");
    let cases = [
        ("both", Call::Mmap, true, Finding::WriteExecute),
        ("after", Call::Mprotect, false, Finding::Outside),
    ];
    for (line, call, writable, finding) in cases {
        assert_eq!(program.ask(line), "7");
        let seen = next(&mut probe, &mut waiting);
        assert_eq!((seen.call, seen.writable, seen.signal), (call, writable, 0), "{line}");
        let memory = memory::at(program.pid(), seen.address).unwrap().unwrap();
        assert_eq!(Finding::of(&memory), finding, "{line}");
    }
    assert_eq!(program.ask("nameless"), "7");
    let made = next(&mut probe, &mut waiting);
    assert_eq!((made.call, made.name.as_str()), (Call::MemfdCreate, "payload"));
    let seen = next(&mut probe, &mut waiting);
    let memory = memory::at(program.pid(), seen.address).unwrap().unwrap();
    assert_eq!(Finding::of(&memory), Finding::Nameless);
    // A library: its path and its digest.
    assert_eq!(program.ask(library.to_str().unwrap()), "42");
    let seen = next(&mut probe, &mut waiting);
    let memory = memory::at(program.pid(), seen.address).unwrap().unwrap();
    assert_eq!(Finding::of(&memory), Finding::File);
    let file = memory.file.unwrap();
    assert_eq!(file.path, library);
    assert_eq!(file.digest, Some(gm::Dual::digest(&std::fs::read(&library).unwrap())));
    // Data is no code, and nothing was lost.
    program.ask("data");
    std::thread::sleep(Duration::from_millis(50));
    probe.drain(|seen| panic!("{seen:?}"));
    assert_eq!(probe.lost().unwrap(), probe::engine::Lost::default());
}

/// What is stopped has not run one instruction of its new code; let go, it runs.
#[test]
fn new_code_waits_until_it_is_judged() {
    if !can("new_code_waits_until_it_is_judged") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let library = compile(folder.path(), "lib.so", "int number(void) { return 42; }", &["-shared", "-fPIC"]);
    let mut program = Running::start(&compile(folder.path(), "program", PROGRAM, &["-ldl"]));
    program.ask("data");
    let mut waiting = VecDeque::new();
    let mut probe = Probe::attach(program.pid(), Some(Answer::Stop)).unwrap();
    for (line, result) in [(library.to_str().unwrap(), "42"), ("after", "7"), ("both", "7")] {
        program.say(line);
        becomes(&program, 'T');
        let seen = next(&mut probe, &mut waiting);
        assert_eq!(seen.signal, 19, "{line}");
        let memory = memory::at(program.pid(), seen.address).unwrap().unwrap();
        assert_eq!(memory.range.start, seen.address, "{line}");
        probe.release().unwrap();
        // The loader of a library asks more than once.
        while state(&program) == 'T' {
            let mut held = false;
            probe.drain(|seen| held |= seen.signal != 0);
            if held {
                probe.release().unwrap();
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        assert_eq!(program.hear(), result, "{line}");
    }
    drop(probe);
    assert_eq!(program.ask("both"), "7", "without the probe nothing holds it");
}

#[test]
fn writable_code_never_runs_where_it_is_killed() {
    if !can("writable_code_never_runs_where_it_is_killed") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut program = Running::start(&compile(folder.path(), "program", PROGRAM, &["-ldl"]));
    program.ask("data");
    let mut waiting = VecDeque::new();
    let mut probe = Probe::attach(program.pid(), Some(Answer::Kill)).unwrap();
    program.say("both");
    assert_eq!(program.end(), (Some(9), String::new()), "killed before the code gave its answer");
    let seen = next(&mut probe, &mut waiting);
    assert_eq!((seen.call, seen.writable, seen.signal), (Call::Mmap, true, 9));
}

/// A Go program on many threads, whose own runtime maps memory all the time, is not disturbed; one that maps code is seen.
#[test]
fn a_go_program_that_writes_code_is_stopped() {
    let test = "a_go_program_that_writes_code_is_stopped";
    if !can(test) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for go in Go::some(test, &[27]) {
        let path = go.build(folder.path(), MAPPER, PLAIN);
        let mut program = Running::start(&path);
        assert_eq!(program.ask("garbage"), "done");
        let mut waiting = VecDeque::new();
        let mut probe = Probe::attach(program.pid(), Some(Answer::Stop)).unwrap();
        assert_eq!(program.ask("garbage"), "done");
        probe.drain(|seen| panic!("{seen:?}"));
        program.say("code");
        becomes(&program, 'T');
        let seen = next(&mut probe, &mut waiting);
        assert_eq!((seen.call, seen.writable, seen.anonymous), (Call::Mmap, true, true));
        probe.release().unwrap();
        assert_eq!(program.hear(), "mapped");
    }
}

const MAPPER: &str = r#"
package main

import (
	"bufio"
	"fmt"
	"os"
	"sync"
	"syscall"
)

var kept [][]byte

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		if lines.Text() == "code" {
			if _, err := syscall.Mmap(-1, 0, 4096, 7, syscall.MAP_PRIVATE|syscall.MAP_ANON); err != nil {
				fmt.Println(err)
				continue
			}
			fmt.Println("mapped")
			continue
		}
		var all sync.WaitGroup
		var lock sync.Mutex
		for i := 0; i < 16; i++ {
			all.Add(1)
			go func() {
				defer all.Done()
				piece := make([]byte, 8<<20)
				piece[len(piece)-1] = 1
				lock.Lock()
				kept = append(kept, piece)
				lock.Unlock()
			}()
		}
		all.Wait()
		fmt.Println("done")
	}
}
"#;
