//! How long a live patch stops a service, against the kernel's own stop of all threads (SIGSTOP, wait, SIGCONT), in turn;
//! and what making a patch takes, against the link of the build that it is made from.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use goproc::{Memory as _, Process};
use livepatch::{Options, Patch, Snapshot};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::Plan;
use crate::inspect::go;
use crate::measure::Row;

/// Workers call the function without rest and make garbage; others wait, each on a thread of its own.
const SERVICE: &str = r#"package main

import (
	"fmt"
	"os"
	"runtime"
	"strconv"
	"time"
)

//go:noinline
func answer(n int) string { return strconv.Itoa(n*7%13) + WORD }

var sink [4]string

func main() {
	threads, _ := strconv.Atoi(os.Args[1])
	never := make(chan int)
	ready := make(chan bool)
	for i := 0; i < threads; i++ {
		go func() {
			runtime.LockOSThread()
			ready <- true
			<-never
		}()
		<-ready
	}
	for i := range sink {
		go func(i int) {
			for n := 0; ; n++ {
				sink[i] = answer(n)
				if n%1000 == 0 {
					time.Sleep(100 * time.Microsecond)
				}
			}
		}(i)
	}
	fmt.Println("ready")
	<-never
}
"#;
/// Where the new build is linked.
const ELSEWHERE: &str = "-ldflags=-T=0x6e5a1000";

/// The entry: skipped by name when there is no Go.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    if go().arg("version").output().is_err() {
        eprintln!("bench: patch skipped: no Go (set CUSTODY_GO)");
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir()?;
    let (old, new) = (service(folder.path(), "old", &[])?, service(folder.path(), "new", &[ELSEWHERE])?);
    let patch = livepatch::build(&std::fs::read(&old)?, &std::fs::read(new)?)?;
    let mut rows = vec![snapshot(&old, &patch, plan)?, making(plan)?];
    for threads in [12, 500, 2000] {
        rows.extend(stops(&old, &patch, threads, if plan.sample { 2 } else { 200 })?);
    }
    Ok(rows)
}

fn service(folder: &Path, word: &str, flags: &[&str]) -> Result<PathBuf> {
    let source = SERVICE.replace("WORD", &format!("\"{word}\""));
    std::fs::write(folder.join("main.go"), source)?;
    std::fs::write(folder.join("go.mod"), "module service\n\ngo 1.21\n")?;
    let output = folder.join(word);
    let mut build = go();
    build.arg("build").args(flags).arg("-o").arg(&output).arg(".").current_dir(folder);
    match build.status()?.success() {
        true => Ok(output),
        false => bail!("go build failed"),
    }
}

/// The service, for as long as the value lives.
struct Running(Child);

impl Running {
    fn start(binary: &Path, threads: usize) -> Result<Self> {
        let mut child = Command::new(binary)
            .arg(threads.to_string())
            .stdout(Stdio::piped())
            .spawn()
            .context("the service")?;
        let output = child.stdout.take().context("its output")?;
        let running = Self(child);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        match line.as_str() {
            "ready\n" => Ok(running),
            other => bail!("the service said {other:?}"),
        }
    }

    fn pid(&self) -> Result<i32> {
        Ok(i32::try_from(self.0.id())?)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn stops(old: &Path, patch: &Patch, waiting: usize, cycles: usize) -> Result<Vec<Row>> {
    let service = Running::start(old, waiting)?;
    let process = Process::open(service.pid()?)?;
    let options = Options { attempts: 2000, ..Options::default() };
    let (mut ours, mut theirs, mut threads) = (Vec::new(), Vec::new(), 0);
    for cycle in 0..=cycles {
        for act in ["apply", "rollback"] {
            let stop = match act {
                "apply" => livepatch::apply(&process, patch, &[1; 32], options)?,
                _ => livepatch::rollback(&process, options)?,
            };
            let other = signalled(service.pid()?)?;
            if cycle > 0 {
                ours.push(stop.stopped_for.as_secs_f64() * 1e6);
                theirs.push(other);
                threads = stop.threads;
            }
        }
    }
    ours.sort_by(f64::total_cmp);
    theirs.sort_by(f64::total_cmp);
    let row = |percent: usize| {
        let at = |all: &[f64]| all.get(all.len() * percent / 100).copied().unwrap_or(f64::NAN);
        Row {
            what: format!("live patch: stop, {threads} threads under load, p{percent} of {}", ours.len()),
            peer: "SIGSTOP, all stopped, SIGCONT".to_owned(),
            unit: "µs",
            ours: at(&ours),
            theirs: at(&theirs),
            ratio: at(&ours) / at(&theirs),
            peak_mib: None,
        }
    };
    Ok(vec![row(50), row(99)])
}

/// What a snapshot takes against an image of all memory that is the process's own.
fn snapshot(old: &Path, patch: &Patch, plan: Plan) -> Result<Row> {
    let service = Running::start(old, 12)?;
    let process = Process::open(service.pid()?)?;
    let taken = Snapshot::take(&process, &patch.head, "", "")?;
    let what =
        format!("live patch: snapshot of {} KiB; the image has {} KiB", taken.size() >> 10, taken.full >> 10);
    let own = |m: &goproc::Mapping| m.private && m.permissions[0] && (m.is_writable() || m.is_executable());
    Row::alternate(
        (&what, "all memory of its own, read and digested", "ms"),
        plan.rounds.max(20),
        || {
            let begun = Instant::now();
            let taken = Snapshot::take(&process, &patch.head, "", "")?;
            anyhow::ensure!(!taken.pages.is_empty(), "a patch overwrites something");
            Ok((begun.elapsed().as_secs_f64() * 1e3, None))
        },
        || {
            let begun = Instant::now();
            for mapping in process.maps()?.iter().filter(|m| own(m)) {
                let bytes = process.bytes(mapping.start, mapping.end - mapping.start)?;
                std::hint::black_box(gm::Dual::digest(&bytes));
            }
            Ok(begun.elapsed().as_secs_f64() * 1e3)
        },
    )
}

/// A program of many packages, all of which are reached.
const LARGE: [&str; 24] = [
    "archive/zip",
    "compress/bzip2",
    "crypto/tls",
    "crypto/x509",
    "database/sql",
    "debug/dwarf",
    "debug/elf",
    "debug/macho",
    "debug/pe",
    "encoding/gob",
    "encoding/json",
    "encoding/xml",
    "expvar",
    "go/printer",
    "go/types",
    "html/template",
    "image/gif",
    "image/jpeg",
    "image/png",
    "net/http/httputil",
    "net/http/pprof",
    "net/rpc",
    "net/smtp",
    "text/template",
];

/// Making a patch of a large program against linking the new build.
fn making(plan: Plan) -> Result<Row> {
    let folder = tempfile::tempdir()?;
    let packages = if plan.sample { &LARGE[..1] } else { &LARGE[..] };
    let large = |word: &str, flags: &[&str]| -> Result<PathBuf> {
        let imports: String = packages.iter().map(|package| format!("\t_ \"{package}\"\n")).collect();
        // A method looked up by a name that the linker cannot know keeps all methods of all types.
        let source = format!(
            "package main\n\nimport (\n\t\"os\"\n\t\"reflect\"\n{imports})\n\n//go:noinline\nfunc answer() string \
             {{ return \"{word}\" }}\n\nfunc main() {{\n\tprintln(answer(), reflect.ValueOf(os.Stdout).\
             MethodByName(os.Args[0]).IsValid())\n}}\n"
        );
        std::fs::write(folder.path().join("main.go"), source)?;
        std::fs::write(folder.path().join("go.mod"), "module large\n\ngo 1.21\n")?;
        let output = folder.path().join(word);
        let mut build = go();
        build.arg("build").args(flags).arg("-o").arg(&output).arg(".").current_dir(folder.path());
        anyhow::ensure!(build.status()?.success(), "go build failed");
        Ok(output)
    };
    const BARE: &str = "-ldflags=-compressdwarf=false";
    let old = std::fs::read(large("old", &[BARE])?)?;
    let flags = format!("{BARE} -T=0x6e5a1000");
    let new = std::fs::read(large("new", &[&flags])?)?;
    let what = format!("live patch: made from two builds of {:.0} MB", old.len() as f64 / 1e6);
    let mut round = 0;
    Row::alternate(
        (&what, "go build of the new one, one line changed", "s"),
        plan.rounds,
        || {
            let begun = Instant::now();
            livepatch::build(&old, &new)?.encode()?;
            Ok((begun.elapsed().as_secs_f64(), None))
        },
        || {
            round += 1;
            let begun = Instant::now();
            large(&format!("new{round}"), &[&flags])?;
            Ok(begun.elapsed().as_secs_f64())
        },
    )
}

/// Microseconds from the signal until all threads had stopped and were told to go on.
fn signalled(pid: i32) -> Result<f64> {
    let pid = Pid::from_raw(pid);
    let begun = Instant::now();
    kill(pid, Signal::SIGSTOP)?;
    match waitpid(pid, Some(WaitPidFlag::WUNTRACED))? {
        WaitStatus::Stopped(..) => {}
        other => bail!("the service did not stop: {other:?}"),
    }
    kill(pid, Signal::SIGCONT)?;
    Ok(begun.elapsed().as_secs_f64() * 1e6)
}
