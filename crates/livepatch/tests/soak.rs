//! The example service, patched and taken back again and again while clients pay and check every fee.
//!
//! A few rounds in a run of the tests, 10,000 with `CUSTODY_SOAK`; a part of them with `GODEBUG=gccheckmark=1`, with which the
//! collector marks a second time while the world is stopped, and dies if it missed anything.
#![allow(clippy::panic, reason = "a test says what it expects")]
#![cfg(all(target_os = "linux", target_arch = "x86_64"))]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::thread::JoinHandle;

use goproc::Process;
use livepatch::{Options, Patch};

const OLD_FEE: &str = "return max(1, (amount+199)/200)";
/// One per cent, by a function, a variable and a type that the old build does not have.
const NEW_FEE: &str = "return (tariff{amount}).charge()";
const NEW_TARIFF: &str = r"
type tariff struct{ amount int64 }

var charged [64]*int64

//go:noinline
func (t tariff) charge() int64 {
	fee := (t.amount + 99) / 100
	charged[t.amount%64] = &fee
	return *charged[t.amount%64]
}
";
const AMOUNT: i64 = 400;

/// What the clients may be told.
const ANY: u8 = 0;
const OLD: u8 = 2;
const NEW: u8 = 4;

struct Service {
    child: Child,
    address: String,
}

impl Service {
    fn start(binary: &Path, debug: &str) -> Self {
        let mut child = Command::new(binary)
            .args(["-addr", "127.0.0.1:0"])
            .env("GODEBUG", debug)
            .env("GOGC", "5")
            .stderr(Stdio::piped())
            .spawn()
            .expect("the service starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("the service says where it listens");
        let address = line.split(' ').find_map(|word| word.strip_prefix("address="));
        let address = address.unwrap_or_else(|| panic!("no address in {line}")).to_owned();
        std::thread::spawn(move || {
            let mut rest = String::new();
            let _ = lines.read_to_string(&mut rest);
            eprint!("{rest}");
        });
        Self { child, address }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|e| e.expect("an entry")) {
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            std::fs::copy(entry.path(), to).expect("copied");
        }
    }
}

fn build(go: &Path, folder: &Path, to: &Path, flags: &[&str]) {
    let built = Command::new(go)
        .arg("build")
        .args(flags)
        .arg("-o")
        .arg(to)
        .arg(".")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("CGO_ENABLED", "0")
        .current_dir(folder)
        .status();
    assert!(built.expect("go runs").success(), "the example is built");
}

fn builds(go: &Path, folder: &Path) -> (PathBuf, Patch) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    copy(&root.join("examples/payments"), &folder.join("examples/payments"));
    copy(&root.join("sdk/go"), &folder.join("sdk/go"));
    let (source, old, new) = (folder.join("examples/payments"), folder.join("old"), folder.join("new"));
    build(go, &source, &old, &[]);
    let bank = std::fs::read_to_string(source.join("bank.go")).expect("its source");
    assert!(bank.contains(OLD_FEE), "the fee is where it was");
    let changed = bank.replace(OLD_FEE, NEW_FEE) + NEW_TARIFF;
    std::fs::write(source.join("bank.go"), changed).expect("written");
    build(go, &source, &new, &["-ldflags=-T=0x6e5a1000"]);
    let read = |path: &Path| std::fs::read(path).expect("built");
    let patch = livepatch::build(&read(&old), &read(&new)).expect("a patch");
    (old, patch)
}

struct Clients {
    mode: Arc<AtomicU8>,
    paid: Arc<AtomicU64>,
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<String>>>,
}

impl Clients {
    fn start(address: &str) -> Self {
        let (mode, paid, stop) = (Arc::new(AtomicU8::new(OLD)), Arc::default(), Arc::default());
        let threads = (0..3).map(|number| {
            let (address, mode) = (address.to_owned(), Arc::clone(&mode));
            let (paid, stop) = (Arc::clone(&paid), Arc::clone(&stop));
            std::thread::spawn(move || pay(&address, number, &mode, &paid, &stop))
        });
        let threads = threads.collect();
        Self { mode, paid, stop, threads }
    }

    /// From now on only this is right; waits until that many payments were made.
    fn expect(&self, mode: u8) {
        self.mode.store(mode, Ordering::SeqCst);
        let until = self.paid.load(Ordering::SeqCst) + 12;
        while self.paid.load(Ordering::SeqCst) < until {
            let dead = self.threads.iter().any(JoinHandle::is_finished);
            assert!(!dead, "a client has stopped");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }

    fn end(self) -> u64 {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            let wrong = thread.join().expect("a client ends well");
            assert!(wrong.is_empty(), "{} wrong answers, the first: {}", wrong.len(), wrong[0]);
        }
        self.paid.load(Ordering::SeqCst)
    }
}

fn pay(address: &str, number: usize, mode: &AtomicU8, paid: &AtomicU64, stop: &AtomicBool) -> Vec<String> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    let mut reader = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut wrong = Vec::new();
    for round in 0_u64.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let before = mode.load(Ordering::SeqCst);
        let body = format!(r#"{{"from":"a{number}-{round}","to":"b{number}","amount":{AMOUNT}}}"#);
        let request = format!(
            "POST /pay HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        stream.write_all(request.as_bytes()).expect("it reads");
        let answer = answer(&mut reader);
        let is = |fee: i64| answer.contains(&format!("\"fee\":{fee}}}"));
        let (old, new) = (is((AMOUNT + 199) / 200), is((AMOUNT + 99) / 100));
        let after = mode.load(Ordering::SeqCst);
        let right = match before {
            OLD => old,
            NEW => new,
            _ => old || new,
        };
        if before == after && !right {
            wrong.push(answer);
        }
        paid.fetch_add(1, Ordering::SeqCst);
    }
    wrong
}

fn answer(reader: &mut BufReader<TcpStream>) -> String {
    let mut length = 0;
    loop {
        let mut line = String::new();
        assert!(reader.read_line(&mut line).expect("it answers") > 0, "it closed the connection");
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().expect("a length");
        }
        if line == "\r\n" {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).expect("a body");
    String::from_utf8(body).expect("text")
}

/// Threads are interrupted by signals all the time, as by a profiler.
fn signals(pid: i32, stop: Arc<AtomicBool>) -> JoinHandle<()> {
    std::thread::spawn(move || {
        while !stop.load(Ordering::SeqCst) {
            let _ = Command::new("kill").args(["-s", "URG", &pid.to_string()]).status();
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    })
}

fn rounds(binary: &Path, patch: &Patch, debug: &str, rounds: u32) {
    let service = Service::start(binary, debug);
    let pid = i32::try_from(service.child.id()).expect("a process number");
    let process = Process::open(pid).expect("our child");
    let clients = Clients::start(&service.address);
    let done = Arc::new(AtomicBool::new(false));
    let signals = signals(pid, Arc::clone(&done));
    let options = Options { attempts: 5000, ..Options::default() };
    clients.expect(OLD);
    for round in 0..rounds {
        clients.expect(ANY);
        livepatch::apply(&process, patch, &[9; 32], options).unwrap_or_else(|e| panic!("round {round}: {e}"));
        clients.expect(NEW);
        clients.expect(ANY);
        livepatch::rollback(&process, options).unwrap_or_else(|e| panic!("round {round}: {e}"));
        clients.expect(OLD);
    }
    done.store(true, Ordering::SeqCst);
    signals.join().expect("it ends");
    let paid = clients.end();
    eprintln!("{rounds} rounds with GODEBUG={debug}: {paid} payments, all right");
}

#[test]
fn every_fee_is_right_however_often_the_service_is_patched() {
    let Some(go) = support::toolchains().into_iter().next() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let (binary, patch) = builds(&go, folder.path());
    let names: Vec<_> = patch.head.functions.iter().map(|f| f.name.as_str()).collect();
    assert_eq!(names, ["main.fee"], "exactly the function that differs");
    let all = std::env::var_os("CUSTODY_SOAK").is_some();
    let (plain, marked) = if all { (9_000, 1_000) } else { (12, 4) };
    rounds(&binary, &patch, "", plain);
    rounds(&binary, &patch, "gccheckmark=1", marked);
}
