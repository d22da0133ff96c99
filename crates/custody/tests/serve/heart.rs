//! Heartbeats, and what tells that logging was not alive.

use std::time::Duration;

use crate::rig::{Daemon, home, stored};
use crate::support::{Home, event, id, text};

fn configure(home: &Home, lines: &str) {
    let path = home.path().join("custody.toml");
    let text =
        std::fs::read_to_string(&path).unwrap().replace("[heartbeat]\n", &format!("[heartbeat]\n{lines}\n"));
    std::fs::write(path, text).unwrap();
}

fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let held = (0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        holds()
    });
    assert!(held, "waited in vain for {what}");
}

#[test]
fn heartbeats_carry_both_heads_and_what_was_counted() {
    let (home, token) = home();
    configure(&home, "interval = 1");
    let daemon = Daemon::start(&home, &[]);
    daemon.post("/v1/events", "application/json", &token, format!("[{},{{}}]", event(&id(1))).as_bytes());
    until("three heartbeats", || stored(&home, "LEDGER.HEARTBEAT").len() >= 3);
    assert_eq!(daemon.stop().0, Some(0));
    let beats = stored(&home, "LEDGER.HEARTBEAT");
    for beat in &beats {
        let ctx = &beat["ctx"];
        assert_eq!(ctx["sha256_root"].as_str().unwrap().len(), 64);
        assert_eq!(ctx["sm3_root"].as_str().unwrap().len(), 64);
        assert_eq!(ctx["interval"], "1");
    }
    let refused = |beat: &serde_json::Value| beat["ctx"]["refused"].as_str().unwrap().parse::<u64>().unwrap();
    let closed = stored(&home, "LEDGER.CLOSED");
    assert_eq!(closed.len(), 1);
    assert_eq!(beats.iter().chain(&closed).map(refused).sum::<u64>(), 1);
    home.run(&["audit", "verify"], 0);
}

#[test]
fn a_daemon_that_died_or_was_stopped_leaves_a_gap() {
    let (home, _) = home();
    configure(&home, "interval = 1\nstall = 1");
    let mut daemon = Daemon::start(&home, &[]);
    until("a heartbeat", || !stored(&home, "LEDGER.HEARTBEAT").is_empty());
    daemon.signal("SIGSTOP");
    std::thread::sleep(Duration::from_secs(3));
    daemon.signal("SIGCONT");
    let kinds = || -> Vec<String> {
        stored(&home, "LEDGER.GAP")
            .iter()
            .map(|gap| gap["ctx"]["kind"].as_str().unwrap().to_owned())
            .collect()
    };
    until("the stall", || kinds().contains(&"stalled".to_owned()));
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    drop(daemon);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(Daemon::start(&home, &[]).stop().0, Some(0));
    assert!(kinds().contains(&"died".to_owned()), "{:?}", kinds());
    // Closed in order, and away for longer than two heartbeats.
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(Daemon::start(&home, &[]).stop().0, Some(0));
    assert!(kinds().contains(&"closed".to_owned()), "{:?}", kinds());
    let shown = text(&home.run(&["audit", "gaps"], 0).stdout);
    for kind in ["kind=stalled", "kind=died", "kind=closed"] {
        assert!(shown.contains(kind), "{shown}");
    }
    assert!(stored(&home, "LEDGER.CLOCK.STEP").is_empty(), "nobody set the clock");
    let lines = text(&home.run(&["--json", "audit", "gaps"], 0).stdout);
    let first: serde_json::Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
    assert_eq!(first["what"], "LEDGER.GAP");
}

#[test]
fn silence_is_told_once_and_so_is_its_end() {
    let (home, token) = home();
    configure(&home, "interval = 1\nsilence = 1");
    let daemon = Daemon::start(&home, &[]);
    let states = || -> Vec<String> {
        let told = stored(&home, "LEDGER.SILENCE");
        told.iter().map(|event| event["ctx"]["state"].as_str().unwrap().to_owned()).collect()
    };
    // The questions of this test come from another process, and are events: ask seldom.
    std::thread::sleep(Duration::from_secs(5));
    assert_eq!(states(), ["begun"]);
    assert_eq!(daemon.post("/v1/events", "application/json", &token, event(&id(1)).as_bytes()).status, 200);
    until("the end", || states().get(1).is_some_and(|state| state == "ended"));
}
