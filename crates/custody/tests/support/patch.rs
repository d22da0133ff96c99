//! A Go service that is patched: its two builds, and a conversation with the running one.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::Home;

/// Answers from its standard input, while three goroutines call the same function and compare what it says.
const SERVICE: &str = r#"package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

var wrong atomic.Int64

//go:noinline
func answer(n int) string { return fmt.Sprint("OLD ", n) }

func main() {
	for i := 0; i < 3; i++ {
		go func() {
			for n := 0; ; n++ {
				if got := answer(n); !strings.HasSuffix(got, fmt.Sprint(" ", n)) {
					wrong.Add(1)
				}
				time.Sleep(50 * time.Microsecond)
			}
		}()
	}
	fmt.Println("ready")
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		fmt.Println(answer(len(lines.Text())), wrong.Load())
	}
	select {}
}
"#;

/// Builds the service as `name`, and as `name-fixed` what it should be; nothing without a Go toolchain.
pub(crate) fn builds(home: &Home, name: &str) -> Option<()> {
    let Some(go) = std::env::var_os("CUSTODY_GO") else {
        eprintln!("SKIPPED: no Go (CUSTODY_GO) to build the service that is patched");
        return None;
    };
    let fixed = format!("{name}-fixed");
    for (name, source, flags) in [
        (name, SERVICE.to_owned(), "-ldflags="),
        (&fixed, SERVICE.replace("OLD", "NEW"), "-ldflags=-T=0x6e5a1000"),
    ] {
        home.write("patched/main.go", source);
        home.write("patched/go.mod", "module payments\n\ngo 1.21\n");
        let mut build = Command::new(&go);
        build.args(["build", "-trimpath", flags, "-o"]).arg(home.folder().join(name)).arg(".");
        build.current_dir(home.folder().join("patched")).env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0");
        assert!(build.status().unwrap().success());
    }
    Some(())
}

/// The running service.
pub(crate) struct Service {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Service {
    pub(crate) fn start(binary: &Path) -> Self {
        let mut child = Command::new(binary).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let (input, output) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
        let mut service = Self { child, input, output };
        assert_eq!(service.line(), "ready");
        service
    }

    pub(crate) fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// What it answers to four letters, after it was wrong never.
    pub(crate) fn answer(&mut self) -> String {
        self.input.write_all(b"four\n").unwrap();
        let line = self.line();
        line.strip_suffix(" 4 0").unwrap_or_else(|| panic!("{line:?}")).to_owned()
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert!(line.ends_with('\n'), "the service has died");
        line.trim_end().to_owned()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
