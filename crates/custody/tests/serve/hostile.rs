//! Bodies and connections that mean no good.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use crate::rig::{Daemon, answer, home};
use crate::support::{event, id};

#[test]
fn what_is_too_large_is_refused_before_it_is_read() {
    let (home, token) = home();
    let daemon = Daemon::start(&home, &[]);
    let mut stream = daemon.connect();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: {}\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 99999999999\r\n\r\n",
        daemon.address
    );
    stream.write_all(head.as_bytes()).unwrap();
    assert_eq!(answer(stream).status, 413);
    // Without a length, as many bytes are read as a body may have.
    let mut stream = daemon.connect();
    let chunked = head.replace("content-length: 99999999999", "transfer-encoding: chunked");
    stream.write_all(chunked.as_bytes()).unwrap();
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; 1 << 20], b"\r\n"].concat();
    let _ = (0..20).try_for_each(|_| stream.write_all(&chunk)); // until it is cut off
    assert_eq!(answer(stream).status, 413);
    let many = "{}\n".repeat(10_001);
    assert_eq!(daemon.post("/v1/events", "application/x-ndjson", &token, many.as_bytes()).status, 400);
    for (body, detail) in [
        ("[{},", "$[1] ends before the array does"),
        ("[{}]x", "$[1] stands behind"),
        ("", "the body is empty"),
    ] {
        let answer = daemon.post("/v1/events", "application/json", &token, body.as_bytes());
        assert_eq!(answer.status, 400);
        assert!(answer.json()["detail"].as_str().unwrap().contains(detail), "{}", answer.body);
    }
    let head = format!("GET /metrics HTTP/1.1\r\nx: {}", "y".repeat(100_000));
    assert!([400, 431].contains(&daemon.ask(&head, b"").status));
    assert_eq!(daemon.post("/v1/events", "application/json", &token, event(&id(1)).as_bytes()).status, 200);
}

#[test]
fn slow_ones_lose_their_place_and_hold_up_nobody() {
    let (home, token) = home();
    let config = home.path().join("custody.toml");
    let text = std::fs::read_to_string(&config).unwrap().replace("[serve]", "[serve]\npatience = 1");
    std::fs::write(config, text).unwrap();
    let daemon = Daemon::start(&home, &[]);
    let mut heads: Vec<_> = (0..50)
        .map(|_| {
            let mut stream = daemon.connect();
            stream.write_all(b"POST /v1/events HTTP/1.1\r\nhost:").unwrap();
            stream
        })
        .collect();
    let mut body = daemon.connect();
    let head = format!(
        "POST /v1/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: 100\r\n\r\n{{"
    );
    body.write_all(head.as_bytes()).unwrap();
    assert_eq!(daemon.post("/v1/events", "application/json", &token, event(&id(1)).as_bytes()).status, 200);
    let start = Instant::now();
    let mut rest = Vec::new();
    for stream in &mut heads {
        let _ = stream.read_to_end(&mut rest); // closed, or reset
    }
    assert_eq!(answer(body).status, 408);
    assert!(start.elapsed() < Duration::from_secs(20), "they were let go");
}
