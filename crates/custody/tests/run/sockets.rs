//! Sockets are kept while the service is down: a client that hammers them is served late, and never refused.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use crate::rig::{self, PATIENCE, Running, dir};

/// One request on a connection of its own; the answer's body.
fn ask(mut stream: impl Read + Write, path: &str) -> io::Result<String> {
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").ok_or(io::ErrorKind::UnexpectedEof)?.1;
    Ok(body.to_owned())
}

fn tcp(port: u16) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn unix(path: &Path) -> io::Result<UnixStream> {
    let stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

#[derive(Default)]
struct Tally {
    answered: AtomicUsize,
    /// Cut while the service was at it: a killed process cannot answer.
    cut: AtomicUsize,
    not_connected: AtomicUsize,
}

impl Tally {
    fn count<S: Read + Write>(&self, connected: io::Result<S>) {
        let Ok(stream) = connected else {
            self.not_connected.fetch_add(1, Ordering::Relaxed);
            return;
        };
        let field = if ask(stream, "/pid").is_ok() { &self.answered } else { &self.cut };
        field.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn no_connection_is_refused_while_the_service_restarts() {
    let Some(go) = rig::go("no_connection_is_refused_while_the_service_restarts") else { return };
    let dir = dir();
    let program = rig::listener(&go, dir.path());
    let (port, path) = (free_port(), dir.path().join("socket"));
    let (web, admin) = (format!("web=tcp:127.0.0.1:{port}"), format!("admin=unix:{}", path.display()));
    let sum = rig::sha256(&program);
    let options = ["--expect-sha256", &sum, "--listen", &web, "--listen", &admin];
    let times = ["--restart-delay", "300ms", "--crash-pause", "300ms", "--restart-limit", "100"];
    let mut run = Running::start(dir.path(), &[&options[..], &times].concat(), &[&program]);
    let mut pids = vec![run.await_start()];
    assert_eq!(ask(tcp(port).unwrap(), "/names").unwrap(), "web:admin");

    let (tally, over) = (Tally::default(), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for client in 0..4 {
            let (tally, over, path) = (&tally, &over, &path);
            scope.spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    if client % 2 == 0 { tally.count(tcp(port)) } else { tally.count(unix(path)) }
                }
            });
        }
        for round in 0..6 {
            std::thread::sleep(Duration::from_millis(100));
            let _ = ask(tcp(port).unwrap(), if round % 2 == 0 { "/crash" } else { "/fail" });
            run.await_fact(if round % 2 == 0 { "RUN.CRASHED" } else { "RUN.EXITED" });
            // It is down now. A connection made now waits and is answered by the next process.
            let waiting = tcp(port).unwrap();
            pids.push(run.await_start());
            assert_eq!(ask(waiting, "/pid").unwrap(), pids.last().unwrap().to_string());
        }
        over.store(true, Ordering::Relaxed);
    });
    let [answered, cut, not_connected] =
        [&tally.answered, &tally.cut, &tally.not_connected].map(|field| field.load(Ordering::Relaxed));
    assert_eq!(not_connected, 0, "{answered} answered, {cut} cut");
    assert!(answered > 100, "{answered} answered, {cut} cut");
    // A crash cuts what was being served, at most one request a client and what Go had accepted.
    assert!(cut <= 6 * 8, "{answered} answered, {cut} cut");

    run.signal("TERM");
    assert_eq!(run.finish().0, Some(0));
    assert!(!path.exists(), "the socket's file is left");
    assert!(tcp(port).is_err(), "the socket is still open");
}

#[test]
fn an_address_in_use_is_exit_3_and_nothing_starts() {
    let dir = dir();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let run = rig::Finished::run(dir.path(), &["--unsealed", "--listen", &address], &["touch", "mark"]);
    assert!(run.ended(3).stderr.contains("\nhint: somebody else listens there"), "{}", run.stderr);
    assert!(!dir.path().join("mark").exists());
}
