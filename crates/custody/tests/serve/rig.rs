//! A daemon of its own for each test, and a client that writes its requests by hand.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::Duration;

use serde_json::Value;

use crate::support::Home;

/// A daemon that runs, and is killed with the value.
pub(crate) struct Daemon {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    /// What it says after it began to listen.
    said: std::thread::JoinHandle<String>,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

impl Daemon {
    /// Starts `custody serve` on a free port and waits until it listens.
    pub(crate) fn start(home: &Home, arguments: &[&str]) -> Self {
        let all = [&["serve", "--listen", "127.0.0.1:0"], arguments].concat();
        let mut child = home.command(&all).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap());
        let mut first = String::new();
        lines.read_line(&mut first).unwrap();
        let address = first.trim().rsplit("://").next().unwrap().parse();
        let address = address.unwrap_or_else(|_| {
            let mut rest = String::new();
            let _ = lines.read_to_string(&mut rest); // it ended
            panic!("the daemon did not start: {first}{rest}")
        });
        let said = std::thread::spawn(move || {
            let mut rest = String::new();
            let _ = lines.read_to_string(&mut rest); // until it ends
            rest
        });
        Self { child, address, said }
    }

    pub(crate) fn signal(&self, name: &str) {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, name.parse::<nix::sys::signal::Signal>().unwrap()).unwrap();
    }

    /// Ends it as systemd does; its exit code and what it said.
    pub(crate) fn stop(mut self) -> (Option<i32>, String) {
        self.signal("SIGTERM");
        let code = self.child.wait().unwrap().code();
        let said = std::mem::replace(&mut self.said, std::thread::spawn(String::new));
        (code, said.join().unwrap())
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        stream
    }

    /// One request on a connection of its own. `head` is the request line and fields, without the blank line.
    pub(crate) fn ask(&self, head: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        let head = format!("{head}\r\nhost: {}\r\nconnection: close\r\n{length}\r\n", self.address);
        stream.write_all(head.as_bytes()).unwrap();
        let _ = stream.write_all(body); // it may have been refused by its head
        answer(stream)
    }

    pub(crate) fn get(&self, path: &str, token: &str) -> Answer {
        self.ask(&format!("GET {path} HTTP/1.1\r\nauthorization: Bearer {token}"), b"")
    }

    pub(crate) fn post(&self, path: &str, kind: &str, token: &str, body: &[u8]) -> Answer {
        let head = format!("POST {path} HTTP/1.1\r\nauthorization: Bearer {token}\r\ncontent-type: {kind}");
        self.ask(&head, body)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill(); // it ended already
        let _ = self.child.wait(); // as above
    }
}

/// Reads to the end of the connection.
pub(crate) fn answer(mut stream: TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes); // what came before a reset counts
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    let chunked = head.to_ascii_lowercase().contains("transfer-encoding: chunked");
    assert!(!chunked, "every answer has its length: {head}");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

/// A home with a token of each right; `all` has every one.
pub(crate) fn home() -> (Home, String) {
    let home = Home::new();
    let token = token(&home, "all", "record,read,monitor,metrics");
    (home, token)
}

pub(crate) fn token(home: &Home, name: &str, rights: &str) -> String {
    let made = home.run(&["serve", "token", "new", name, "--rights", rights], 0);
    crate::support::text(&made.stdout).trim().to_owned()
}

/// Events as `audit query --json` shows them.
pub(crate) fn stored(home: &Home, act: &str) -> Vec<Value> {
    let output = home.run(&["--json", "audit", "query", "--act", act], 0);
    crate::support::text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
