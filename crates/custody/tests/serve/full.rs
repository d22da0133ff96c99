//! A full disk: refused, blocked or spilled, as each source wants. On a tmpfs of the test's own, so only as root.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use audit::ring::{Options, Producer, Push};

use crate::rig::{Daemon, home, stored};
use crate::support::{Home, event, id, text};

/// A home on a small file system, which is unmounted with the value.
struct Small {
    home: Home,
    token: String,
}

impl Small {
    fn new(serve: &str) -> Option<Self> {
        let (home, token) = home();
        let aside = home.folder().join("aside");
        std::fs::rename(home.path(), &aside).unwrap();
        std::fs::create_dir(home.path()).unwrap();
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=256m,mode=0700", "tmpfs"])
            .arg(home.path())
            .output();
        if !mount.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: no small file system can be mounted here; that takes root");
            return None;
        }
        let small = Self { home, token };
        let copied =
            Command::new("cp").arg("-a").arg(aside.join(".")).arg(small.home.path()).status().unwrap();
        assert!(copied.success());
        let config = small.home.path().join("custody.toml");
        let text =
            std::fs::read_to_string(&config).unwrap().replace("[serve]\n", &format!("[serve]\n{serve}\n"));
        std::fs::write(config, text).unwrap();
        Some(small)
    }

    fn ballast(&self) -> PathBuf {
        self.home.path().join("ballast")
    }

    /// Takes all the space there is.
    fn fill(&self) {
        let mut file = std::fs::File::create(self.ballast()).unwrap();
        let chunk = vec![0; 1 << 20];
        while file.write_all(&chunk).is_ok() {}
        let _ = file.write_all(&chunk[..4096]); // the last page, if it is there
    }

    fn empty(&self) {
        std::fs::remove_file(self.ballast()).unwrap();
    }

    fn post(&self, daemon: &Daemon, n: u64) -> crate::rig::Answer {
        daemon.post("/v1/events", "application/json", &self.token, event(&id(n)).as_bytes())
    }

    /// An event of more than a page: what is left of the last page of a file that has one cannot take it.
    fn post_large(&self, daemon: &Daemon, n: u64) -> crate::rig::Answer {
        let note = format!("\"ctx\":{{\"note\":\"{}\",", "x".repeat(9000));
        let large = event(&id(n)).replace("\"ctx\":{", &note);
        daemon.post("/v1/events", "application/json", &self.token, large.as_bytes())
    }

    fn stored(&self) -> Vec<String> {
        let found = stored(&self.home, "AUTH.LOGIN.FAIL");
        found.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.home.path()).status(); // the folder may stay behind
    }
}

#[test]
fn a_source_that_is_refused_is_told_to_come_again() {
    let Some(small) = Small::new("") else { return };
    small.fill();
    let daemon = Daemon::start(&small.home, &[]);
    let answer = small.post_large(&daemon, 1);
    assert_eq!(answer.status, 503, "{}", answer.body);
    assert!(answer.head.to_ascii_lowercase().contains("retry-after: 30"), "{}", answer.head);
    assert!(answer.body.contains("disk is full"), "{}", answer.body);
    small.empty();
    assert_eq!(small.post_large(&daemon, 1).status, 200, "there is room again");
    drop(daemon.stop());
    assert_eq!(small.stored(), [id(1)]);
}

#[test]
fn a_source_that_blocks_waits_for_room() {
    let Some(small) = Small::new("disk_full = { http = \"block\" }") else { return };
    small.fill();
    let daemon = Daemon::start(&small.home, &[]);
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| small.post_large(&daemon, 1).status);
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!posting.is_finished(), "it waits");
        small.empty();
        assert_eq!(posting.join().unwrap(), 200);
    });
}

#[test]
fn a_source_that_spills_loses_nothing_even_if_the_daemon_dies() {
    let Some(small) = Small::new("disk_full = { http = \"spill\" }\nspill_bytes = 65536") else { return };
    assert_eq!(Daemon::start(&small.home, &[]).stop().0, Some(0)); // makes the spill while there is room
    small.fill();
    let mut daemon = Daemon::start(&small.home, &[]);
    for n in 1..=20 {
        let answer = if n == 1 { small.post_large(&daemon, n) } else { small.post(&daemon, n) };
        assert_eq!(
            (answer.status, answer.json()["verdicts"][0]["waiting"].as_bool()),
            (202, Some(true)),
            "{n}"
        );
    }
    assert_eq!(
        daemon.post("/v1/events", "application/json", &small.token, b"{}").status,
        422,
        "judged at once"
    );
    // More than fits.
    let many: String = (100..1100).map(|n| event(&id(n)) + "\n").collect();
    let answer = daemon.post("/v1/events", "application/x-ndjson", &small.token, many.as_bytes());
    assert_eq!(answer.status, 503, "{}", answer.body);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    // It starts on the full disk, says what it has, and takes up what waits as soon as there is room.
    let daemon = Daemon::start(&small.home, &[]);
    assert_eq!(daemon.get("/checkpoint", &small.token).status, 200);
    small.empty();
    let all: Vec<String> = (1..=20).map(id).collect();
    let there = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        small.stored() == all
    });
    assert!(there, "in order: {:?}", small.stored());
    assert_eq!(small.post(&daemon, 22).status, 200, "and then as ever");
    let (code, said) = daemon.stop();
    assert_eq!(code, Some(0));
    assert!(said.contains("recorded 20 events that waited"), "{said}");
    assert!(text(&small.home.run(&["audit", "verify"], 0).stdout).contains("holds"));
}

/// Killed with events that no checkpoint covers yet, and not a byte left: the room that was set aside is what it starts
/// with.
#[test]
fn a_daemon_killed_on_a_full_disk_starts_again() {
    let Some(small) = Small::new("") else { return };
    let mut daemon = Daemon::start(&small.home, &[]);
    let many: String = (0..400).map(|n| event(&id(n)) + "\n").collect();
    // Killed at once: within the second in which a checkpoint would have covered them.
    assert_eq!(daemon.post("/v1/events", "application/x-ndjson", &small.token, many.as_bytes()).status, 200);
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    small.fill();
    assert!(small.home.path().join("reserve").is_file());
    let daemon = Daemon::start(&small.home, &[]);
    let checkpoint = daemon.get("/checkpoint", &small.token).body;
    let size: u64 = checkpoint.lines().nth(1).unwrap().parse().unwrap();
    assert!(size >= 400, "{checkpoint}");
    small.empty();
    drop(daemon.stop());
    assert_eq!(small.stored().len(), 400);
    small.home.run(&["audit", "verify"], 0);
    assert!(small.home.path().join("reserve").is_file(), "and set aside again");
}

/// Events of a ring, the first of them larger than what may be left of a page.
fn offer(small: &Small, numbers: std::ops::RangeInclusive<u64>) -> (Producer, u64) {
    let mut ring = Producer::attach(&small.home.path(), Options::default()).unwrap();
    let note = format!("\"ctx\":{{\"note\":\"{}\",", "x".repeat(9000));
    let mut last = 0;
    for n in numbers.clone() {
        let plain = event(&id(n));
        let large = plain.replace("\"ctx\":{", &note);
        let event = if n == *numbers.start() { large } else { plain };
        let Push::Written(position) = ring.offer_fast(event.as_bytes()).unwrap() else { panic!("no room") };
        last = position;
    }
    (ring, last)
}

#[test]
fn a_ring_waits_for_room_if_the_operator_says_so() {
    let Some(small) = Small::new("disk_full = { ring = \"block\" }") else { return };
    small.fill();
    let daemon = Daemon::start(&small.home, &[]);
    let (ring, last) = offer(&small, 1..=3);
    assert!(ring.wait_durable(last, Duration::from_millis(1500)).is_err(), "it waits");
    small.empty();
    ring.wait_durable(last, Duration::from_secs(20)).unwrap();
    drop((ring, daemon.stop()));
    assert_eq!(small.stored(), [id(1), id(2), id(3)]);
    small.home.run(&["audit", "verify"], 0);
}

#[test]
fn events_of_a_ring_are_spilled_if_the_operator_says_so() {
    let Some(small) = Small::new("disk_full = { ring = \"spill\" }\nspill_bytes = 65536") else { return };
    assert_eq!(Daemon::start(&small.home, &[]).stop().0, Some(0)); // makes the spill while there is room
    small.fill();
    let mut daemon = Daemon::start(&small.home, &[]);
    let (ring, last) = offer(&small, 1..=20);
    ring.wait_durable(last, Duration::from_secs(20)).unwrap(); // on a disk without room
    let (second, last) = offer(&small, 21..=22);
    second.wait_durable(last, Duration::from_secs(20)).unwrap();
    daemon.child.kill().unwrap();
    daemon.child.wait().unwrap();
    drop((ring, second)); // what they held is gone with them
    let daemon = Daemon::start(&small.home, &[]);
    small.empty();
    let all: Vec<String> = (1..=22).map(id).collect();
    let there = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        small.stored() == all
    });
    assert!(there, "in order: {:?}", small.stored());
    assert_eq!(daemon.stop().0, Some(0));
    small.home.run(&["audit", "verify"], 0);
}

#[test]
fn a_client_of_the_socket_waits_for_room_if_the_operator_says_so() {
    let Some(small) = Small::new("disk_full = { socket = \"block\" }") else { return };
    small.fill();
    let daemon = Daemon::start(&small.home, &[]);
    let note = format!("\"ctx\":{{\"note\":\"{}\",", "x".repeat(9000));
    // One that is refused whatever the disk says, and one that waits.
    let lines = format!("{{}}\n{}\n", event(&id(1)).replace("\"ctx\":{", &note));
    std::thread::scope(|scope| {
        let recording = scope.spawn(|| small.home.run_with(&["audit", "record"], lines.as_bytes(), 2));
        std::thread::sleep(Duration::from_millis(1500));
        assert!(!recording.is_finished(), "it waits");
        small.empty();
        let receipts = text(&recording.join().unwrap().stdout);
        assert!(receipts.contains(&id(1)), "{receipts}");
    });
    let page = daemon.get("/metrics", &small.token).body;
    assert!(page.lines().any(|line| line == "custody_ledger_refused_total{rule=\"missing\"} 1"), "{page}");
    drop(daemon.stop());
    assert_eq!(small.stored(), [id(1)]);
}
