//! What a probe costs its target: requests a second of a Go server under wrk with `probe http` on and off, and the
//! processor time of one call of a function with `probe func` on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::Plan;
use crate::measure::{Row, custody};

/// The Go server, running.
struct Server {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    address: String,
}

/// A probe on it.
struct Probe(Child);

/// The entry: skipped by name without Go, wrk, or the privilege to probe.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    if Command::new("wrk").arg("-v").output().is_err() {
        eprintln!("bench: probe skipped: no wrk (Debian: apt-get install wrk)");
        return Ok(Vec::new());
    }
    let folder = tempfile::tempdir()?;
    let program = folder.path().join("probed");
    let go = std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into());
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/go/probed/main.go");
    let mut build = Command::new(go);
    build.args(["build", "-ldflags=-s -w", "-o"]).arg(&program).arg(source);
    build.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("GO111MODULE", "off").env("CGO_ENABLED", "0");
    if !build.status().is_ok_and(|status| status.success()) {
        eprintln!("bench: probe skipped: no Go (set CUSTODY_GO)");
        return Ok(Vec::new());
    }
    let mut server = Server::start(&program)?;
    if Probe::attach(&server, &["http"])?.is_none() {
        eprintln!("bench: probe skipped: probes cannot be had here (`custody probe http` says why)");
        return Ok(Vec::new());
    }
    let seconds = if plan.sample { 1 } else { 4 };
    let requests = Row::alternate(
        ("probe http: a Go server under wrk", "the same server, not probed", "requests/s"),
        plan.rounds,
        || {
            let probe = Probe::attach(&server, &["http"])?;
            let rate = wrk(&server.address, seconds)?;
            drop(probe);
            Ok((rate, None))
        },
        || wrk(&server.address, seconds),
    )?;
    let mut rows = vec![requests];
    for (what, flags) in [
        ("probe func --calls-only: one call", &["func", "main.Called", "--calls-only"][..]),
        ("probe func: one call and its end", &["func", "main.Called"][..]),
    ] {
        let server = std::cell::RefCell::new(&mut server);
        rows.push(Row::alternate(
            (what, "the same call, not probed", "CPU ns"),
            plan.rounds,
            || {
                let probe = Probe::attach(&server.borrow(), flags)?;
                let call = server.borrow_mut().one_call()?;
                drop(probe);
                Ok((call, None))
            },
            || server.borrow_mut().one_call(),
        )?);
    }
    Ok(rows)
}

impl Server {
    fn start(program: &std::path::Path) -> Result<Self> {
        let mut child = Command::new(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let input = child.stdin.take().context("its input")?;
        let mut output = BufReader::new(child.stdout.take().context("its output")?);
        let mut address = String::new();
        output.read_line(&mut address)?;
        Ok(Self { child, input, output, address: address.trim().to_owned() })
    }

    /// Nanoseconds of processor time of one call.
    fn one_call(&mut self) -> Result<f64> {
        writeln!(self.input)?;
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        line.trim().parse().context("what a call cost")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Probe {
    /// Attaches; `None` when that cannot be done here.
    fn attach(server: &Server, arguments: &[&str]) -> Result<Option<Self>> {
        let mut command = Command::new(custody()?);
        command.arg("probe").args(arguments).arg("--pid").arg(server.child.id().to_string());
        command.args(["--json", "--quiet"]).env("CUSTODY_HOME", "/nonexistent").stdout(Stdio::null());
        let mut probe = Self(command.spawn()?);
        // There is no word when it is attached; a second is ten times what it takes.
        sleep(Duration::from_secs(1));
        Ok(probe.0.try_wait()?.is_none().then_some(probe))
    }
}

impl Drop for Probe {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Requests a second, as wrk counts them.
fn wrk(address: &str, seconds: u32) -> Result<f64> {
    let output = Command::new("wrk")
        .args(["-t1", "-c32", &format!("-d{seconds}s"), &format!("http://{address}/")])
        .output()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let rate = text.lines().find_map(|line| line.strip_prefix("Requests/sec:"));
    match rate.and_then(|rate| rate.trim().parse().ok()) {
        Some(rate) => Ok(rate),
        None => bail!("wrk says: {text}"),
    }
}
