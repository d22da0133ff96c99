//! Requests that Go programs serve and send, against the server's own log.
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use probe::Target;
use probe::http::{Ending, Options, Probe, Request, Side};
use support::{Go, PLAIN, Running, STRIPPED, STRIPPED_PIE};

const SOURCE: &str = include_str!("support/http.go");

/// method, path, status, bytes, trace, how it ended
type Row = (String, String, u16, u64, String, String);

/// The log of the server: rows, and for each path how long the handler took by its own clock.
fn log(path: &Path) -> (Vec<Row>, BTreeMap<String, u64>) {
    let text = std::fs::read_to_string(path).unwrap();
    let (mut rows, mut took) = (Vec::new(), BTreeMap::new());
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let unquoted = |word: &str| word.trim_matches('"').to_owned();
        let number = |word: &str| word.parse::<u64>().unwrap();
        let row = (
            words[0].to_owned(),
            words[1].to_owned(),
            words[2].parse().unwrap(),
            number(words[3]),
            unquoted(words[4]),
            unquoted(words[5]),
        );
        took.insert(row.1.clone(), number(words[6]));
        rows.push(row);
    }
    rows.sort();
    (rows, took)
}

fn row(request: &Request) -> Row {
    let how = match request.ending {
        Ending::Finished => "",
        Ending::Hijacked => "hijacked",
        Ending::Aborted => "aborted",
        Ending::Failed => "failed",
    };
    (
        request.method.clone(),
        request.path().to_owned(),
        request.status,
        request.bytes.unwrap_or(0),
        request.traceparent.clone().unwrap_or_default(),
        how.to_owned(),
    )
}

/// What a server answered, as it says itself and as the probe says.
fn compare(go: &Go, flags: &[&str], protocol: &str, number: usize) {
    let place = format!("{} {flags:?} {protocol}", go.version);
    let dir = tempfile::tempdir().unwrap();
    let path = go.build(dir.path(), SOURCE, flags);
    let (mut server, mut client) = (Running::start(&path), Running::start(&path));
    let url = server.ask(&format!("start {protocol}"));
    let target = Target::process(server.pid()).unwrap();
    let mut probe = Probe::attach(&target, Options { server: true, client: false }).unwrap();
    assert!(
        probe.seen().server && probe.seen().streams && probe.seen().traces,
        "{place}: {:?}",
        probe.seen()
    );
    let answered: usize = client.ask(&format!("load {url} {number}")).parse().unwrap();
    assert!(answered > number * 9 / 10, "{place}: {answered}");
    let file = dir.path().join("log");
    let logged: usize = server.ask(&format!("log {}", file.display())).parse().unwrap();
    let (wanted, took) = log(&file);
    assert!(logged == wanted.len() && logged >= number, "{place}: {logged}");
    let mut seen = Vec::new();
    while probe.drain(|request| seen.push(request)) > 0 {}
    // A page that the kernel is just moving cannot be read: rare, and said of the request.
    let partial = seen.iter().filter(|request| request.partial).count();
    let unreadable = partial as u64;
    assert_eq!(probe.lost().unwrap(), probe::engine::Lost { unreadable, ..Default::default() }, "{place}");
    assert!(partial * 500 <= seen.len(), "{place}: {partial} of {}", seen.len());
    for request in &seen {
        let own = took[request.path()];
        // What was taken over is told when it is taken over.
        let whole = request.ending != Ending::Hijacked;
        assert!(!whole || request.duration >= own, "{place}: {} took {own} ns: {request:?}", request.path());
        assert!(
            request.header.goroutine > 0 && request.remote.starts_with("127.0.0.1:"),
            "{place}: {request:?}"
        );
        assert_eq!(
            request.query(),
            request.path().rsplit('/').next().map(|n| format!("secret={n}")).as_deref()
        );
        let version = if protocol == "h2" { (2, 0) } else { (1, 1) };
        assert_eq!((request.version, request.tls, request.side), (version, protocol == "h2", Side::Server));
    }
    let mut rows: Vec<Row> = seen.iter().map(row).collect();
    // What is missing of such a request is what the log says; that it is there, and once, is still compared.
    for (row, request) in rows.iter_mut().zip(&seen).filter(|(_, request)| request.partial) {
        eprintln!("{place}: {request:?} is partial");
        *row = wanted.iter().find(|wanted| wanted.1 == request.path()).unwrap().clone();
    }
    rows.sort();
    // What a body of a HEAD response counts differs between the two servers; an HTTP/2 handler that panicked is not told.
    let same = |rows: Vec<Row>| -> Vec<Row> {
        let told = rows.into_iter().filter(|row| protocol != "h2" || row.5 != "aborted");
        told.map(|row| if row.0 == "HEAD" { (row.0, row.1, row.2, 0, row.4, row.5) } else { row }).collect()
    };
    let (rows, wanted) = (same(rows), same(wanted));
    let first = rows.iter().zip(&wanted).find(|(a, b)| a != b);
    assert!(rows == wanted, "{place}: {} seen, {} logged; first {first:?}", rows.len(), wanted.len());
}

#[test]
fn each_request_is_told_once_with_what_the_server_logged() {
    for go in Go::some("each_request_is_told_once_with_what_the_server_logged", &[21, 24, 27]) {
        for flags in [PLAIN, STRIPPED] {
            compare(&go, flags, "h1", 10_000);
        }
    }
}

#[test]
fn http2_and_tls_are_told_too() {
    for go in Go::some("http2_and_tls_are_told_too", &[21, 24, 27]) {
        compare(&go, STRIPPED_PIE, "h2", 3_000);
    }
}

#[test]
fn requests_that_are_sent_are_told() {
    for go in Go::some("requests_that_are_sent_are_told", &[21, 27]) {
        let dir = tempfile::tempdir().unwrap();
        let path = go.build(dir.path(), SOURCE, STRIPPED);
        let (mut server, mut client) = (Running::start(&path), Running::start(&path));
        let url = server.ask("start h1");
        let target = Target::process(client.pid()).unwrap();
        let mut probe = Probe::attach(&target, Options { server: true, client: true }).unwrap();
        client.ask(&format!("load {url} 500"));
        let mut seen = Vec::new();
        while probe.drain(|request| seen.push(request)) > 0 {}
        let file = dir.path().join("log");
        server.ask(&format!("log {}", file.display()));
        let (wanted, _) = log(&file);
        let key = |row: &Row| (row.0.clone(), row.1.clone(), row.2);
        let mut wanted: Vec<_> = wanted.iter().filter(|row| row.5.is_empty()).map(key).collect();
        let finished = seen.iter().filter(|r| r.ending == Ending::Finished && r.status != 204);
        let mut told: Vec<_> = finished.map(|request| key(&row(request))).collect();
        wanted.sort();
        told.sort();
        assert_eq!(told, wanted, "{}", go.version);
        assert!(seen.iter().all(|r| r.side == Side::Client && url.ends_with(&r.host)));
        assert!(seen.iter().any(|r| r.ending == Ending::Failed), "a panic of the server ends a round trip");
    }
}
