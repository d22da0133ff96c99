//! The Go service of the demonstration: built from the source inside this binary, run under `custody run`.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::stage::Stage;

/// A file of this repository, by its path there.
macro_rules! source {
    ($path:literal) => {
        ($path, include_str!(concat!("../../../../../", $path)))
    };
}

/// `examples/payments` and the SDK that it records through, so that the demonstration needs no checkout.
const SOURCE: &[(&str, &str)] = &[
    source!("examples/payments/go.mod"),
    source!("examples/payments/main.go"),
    source!("examples/payments/http.go"),
    source!("examples/payments/bank.go"),
    source!("examples/payments/book.go"),
    source!("examples/payments/listenfds.go"),
    source!("sdk/go/go.mod"),
    source!("sdk/go/doc.go"),
    source!("sdk/go/encode.go"),
    source!("sdk/go/event.go"),
    source!("sdk/go/http.go"),
    source!("sdk/go/recorder.go"),
    source!("sdk/go/ring_linux.go"),
    source!("sdk/go/ring_other.go"),
    source!("sdk/go/slog.go"),
    source!("sdk/go/socket.go"),
    source!("sdk/go/trace.go"),
    source!("sdk/go/wire.go"),
];

/// Flags of a build that can be repeated on another machine.
const BUILD: &[&str] = &["build", "-trimpath", "-buildvcs=false", "-o"];

/// The id of [`EVENT`].
pub(super) const EVENT_ID: &str = "4f9bc1f0-6a0b-4d19-9d57-7c3f0d1c9a51";
/// One event of the application, as its author would write it.
pub(super) const EVENT: &str = concat!(
    r#"{"id":"4f9bc1f0-6a0b-4d19-9d57-7c3f0d1c9a51","ts":"2026-11-20T08:30:45.123456789Z","severity":"WARN","#,
    r#""sub":{"user":"10086","svc":"auth"},"act":"AUTH.LOGIN.FAIL","obj":{"table":"users"},"#,
    r#""ctx":{"ip":"192.168.3.5","mfa":"true","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736"}}"#,
    "\n"
);

/// How long a start, an answer or a stop may take before the demonstration gives up.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes the source out and builds it with the Go command given.
pub(super) fn build(go: &Path, stage: &Stage) -> Result<()> {
    let source = stage.path("source");
    fs::create_dir(stage.path("build"))?;
    for (name, text) in SOURCE {
        let path = source.join(name);
        fs::create_dir_all(path.parent().unwrap_or(&source))?;
        fs::write(path, text)?;
    }
    let program = stage.path("build/payments");
    let begun = Instant::now();
    let finished = Command::new(go)
        .args(BUILD)
        .arg(&program)
        .arg(".")
        .current_dir(source.join("examples/payments"))
        .env("GOPROXY", "off") // everything is there
        .env("GOTOOLCHAIN", "local")
        .env("CGO_ENABLED", "0")
        .output()
        .with_context(|| format!("starting {} (a Go toolchain is needed)", go.display()))?;
    if !finished.status.success() {
        bail!("go build failed: {}", String::from_utf8_lossy(&finished.stderr));
    }
    stage.show(&format!(
        "\n$ go {} build/payments .   ({:.1} s)",
        BUILD.join(" "),
        begun.elapsed().as_secs_f64()
    ))
}

/// The service under its supervisor.
pub(super) struct Service {
    supervisor: Child,
    address: SocketAddr,
}

impl Service {
    /// Starts `custody run` on a free port and waits until the service answers.
    pub(super) fn start(stage: &Stage) -> Result<Self> {
        // The port is free now; between here and the supervisor's bind another process could take it, and then the
        // demonstration fails and says so.
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let listen = address.to_string();
        let arguments = [
            "run",
            "--seal",
            "payments.seal.json",
            "--listen",
            &listen,
            "--crash-pause",
            "2s",
            "--",
            "build/payments",
            "-home",
            "home",
        ];
        stage.show(&format!("\n$ custody {} &", arguments.join(" ")))?;
        let log = fs::File::create(stage.path("run.log"))?;
        let mut command = stage.command(&arguments);
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let service = Self { supervisor: command.spawn()?, address };
        let begun = Instant::now();
        let answer = exchange(service.connect()?, "GET", "/healthz", "")?;
        let seconds = begun.elapsed().as_secs_f64();
        stage.show(&format!("GET /healthz                  → {answer} after {seconds:.1} s"))?;
        Ok(service)
    }

    /// One request on a connection of its own, made once; gives the status line and the body.
    pub(super) fn request(&self, method: &str, path: &str, body: &str) -> Result<String> {
        let stream = TcpStream::connect(self.address).context("connecting to the service")?;
        exchange(stream, method, path, body)
    }

    /// Tries until the supervisor has opened its socket; after that a connection must never fail.
    fn connect(&self) -> Result<TcpStream> {
        let begun = Instant::now();
        loop {
            match TcpStream::connect(self.address) {
                Ok(stream) => return Ok(stream),
                Err(error) if begun.elapsed() > PATIENCE => {
                    return Err(error).context("connecting to the service");
                }
                Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }

    /// Kills the service (not its supervisor) and, once it is dead, asks it something.
    pub(super) fn crash_and_request(&mut self) -> Result<(f64, String)> {
        let child = child_of(self.supervisor.id()).context("finding the service's process")?;
        signal(Signal::Kill, child)?;
        let begun = Instant::now();
        // A connection that the dying process had still accepted would die with it.
        while Path::new(&format!("/proc/{child}")).exists() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(1));
        }
        let begun = Instant::now();
        // One connection while nobody runs: were the socket not kept, it would be refused.
        let answer = self.request("GET", "/healthz", "")?;
        Ok((begun.elapsed().as_secs_f64(), answer))
    }

    /// Asks the supervisor to stop and waits for it.
    pub(super) fn stop(mut self) -> Result<()> {
        signal(Signal::Terminate, self.supervisor.id())?;
        let begun = Instant::now();
        loop {
            match self.supervisor.try_wait()? {
                Some(status) if status.success() => return Ok(()),
                Some(status) => bail!("custody run ended with {status}"),
                None if begun.elapsed() > PATIENCE => bail!("custody run did not stop"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        }
    }
}

fn exchange(mut stream: TcpStream, method: &str, path: &str, body: &str) -> Result<String> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: payments\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n{body}"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).context("waiting for the service's answer")?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.lines().next().unwrap_or_default().trim_start_matches("HTTP/1.1 ");
    Ok(format!("{status} {}", body.trim_end()))
}

impl Drop for Service {
    /// A demonstration that fails half-way leaves nothing running.
    fn drop(&mut self) {
        if matches!(self.supervisor.try_wait(), Ok(None)) {
            if signal(Signal::Terminate, self.supervisor.id()).is_err() {
                let _ = self.supervisor.kill(); // the wait below must end
            }
            let _ = self.supervisor.wait();
        }
    }
}

/// What is sent to a process.
#[derive(Clone, Copy)]
enum Signal {
    /// Dies at once.
    Kill,
    /// Is asked to end.
    Terminate,
}

#[cfg(unix)]
fn signal(signal: Signal, pid: u32) -> Result<()> {
    use nix::sys::signal::{Signal::SIGKILL, Signal::SIGTERM, kill};
    let number = match signal {
        Signal::Kill => SIGKILL,
        Signal::Terminate => SIGTERM,
    };
    let pid = nix::unistd::Pid::from_raw(i32::try_from(pid)?);
    kill(pid, number).with_context(|| format!("sending {number} to process {pid}"))
}

#[cfg(not(unix))]
fn signal(_: Signal, _: u32) -> Result<()> {
    bail!("this platform has no signals")
}

/// The only child of a process, from /proc (proc_pid_children(5) lists them by thread).
fn child_of(pid: u32) -> Result<u32> {
    for thread in fs::read_dir(format!("/proc/{pid}/task"))? {
        let children = fs::read_to_string(thread?.path().join("children"))?;
        if let Some(first) = children.split_whitespace().next() {
            return Ok(first.parse()?);
        }
    }
    bail!("process {pid} has no child")
}
