//! Every example in the help is run as it stands, by a shell, in a folder where what it names exists.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::Path;
use std::process::{Command, Output};

use support::{Home, event, id, text};

/// Examples that are not run in the order of the reference, before those that need what they make.
const FIRST: &[&str] = &[
    "custody init",
    "custody audit record < events.jsonl",
    "custody audit checkpoint -o january.checkpoint",
    "custody audit erase --subject customer:4712 --reason 'request of 2026-11-21' -o erasures",
    "custody seal create bin -o bin.seal.json",
    "custody pe sign app.exe --key code.key.pem --cert code.pem -o signed.exe",
];

/// Examples that run until they are told to stop: two seconds later, by SIGTERM. `tail` may die of it.
const UNTIL_STOPPED: &[&str] = &[
    "custody audit tail --act RUN.",
    "custody audit tail --lines 20 --duration 60",
    "custody audit tail --severity WARN --color always",
    "custody serve --listen 127.0.0.1:8481",
    "custody serve --listen 127.0.0.1:8482 --token-file home/serve.tokens",
    "custody pe reputation listen --listen 127.0.0.1:8490 --secret-file webhook.secret",
    "custody run --seal bin.seal.json --listen 127.0.0.1:8080 -- bin/payments",
    "custody run --seal bin.seal.json --no-restart --stop-timeout 30s -- bin/payments",
    "custody run --expect-sha256 $(sha256sum < bin/payments | cut -c1-64) -- bin/payments",
    "custody run --unsealed --restart-delay 1s --restart-limit 10 -- bin/payments",
];

/// Examples that cannot be run here, and why.
const NOT_HERE: &[(&str, &str)] = &[
    (
        "custody probe memory --pid 4711 --seal payments.seal.json --enforce stop --json",
        "there is no such process; `crates/probe/tests/memory.rs` starts some of its own",
    ),
    (
        "custody probe goroutines --pid 4711 --json",
        "there is no such process; `crates/probe/tests/goroutines.rs` starts some of its own",
    ),
    (
        "custody pe timestamp signed.exe --tsa http://timestamp.example.com/",
        "nobody answers at these addresses; `tests/pe_timestamp.rs` has an authority of its own",
    ),
    (
        "custody pe sign app.exe --pkcs11 'pkcs11:token=release;object=code' --cert token.pem",
        "there is no such token; `tests/pe_token.rs` has one of its own",
    ),
    (
        "custody pe key --pkcs11 'pkcs11:token=release;object=code-2026' --algorithm p256",
        "there is no such token; `tests/pe_token.rs` has one of its own",
    ),
    (
        "custody audit checkpoint --tsa http://timestamp.digicert.com -o dated.checkpoint",
        "it asks the network; `tests/checkpoint.rs` has an authority of its own",
    ),
    (
        "custody audit verify --checkpoint dated.checkpoint --tsa-roots tsa-root.pem",
        "there is no such checkpoint without the network; `tests/checkpoint.rs` makes one",
    ),
    (
        "custody anchor submit bin.seal.json --tsa http://timestamp.example.com/ -o bin.anchor.json",
        "nobody answers at these addresses; `tests/anchor.rs` has an authority of its own",
    ),
    (
        "custody anchor submit bin.seal.json --rekor https://log.example.com -o bin.anchor.json",
        "nobody answers at these addresses; `tests/rekor.rs` of `anchor` plays a log",
    ),
    (
        "custody seal bundle bin.seal.json --fulcio https://ca.example --identity-token jwt -o b.json",
        "nobody answers at these addresses; `tests/seal_bundle.rs` asks a Fulcio of its own",
    ),
    (
        "custody anchor verify payments --bundle b.json --public-key build.pub.pem --unlogged",
        "there is no such bundle; `tests/seal_bundle.rs` makes one",
    ),
    (
        "custody patch rollout fix.cpatch --name payments --stages 50,100 --watch 1 --dry-run",
        "it would reach what other runs of this test started; `tests/patch.rs` has names of its own",
    ),
    (
        "custody patch rollout fix.cpatch --name payments --stages 50,100 --watch 1",
        "it would reach what other runs of this test started; `tests/patch.rs` has names of its own",
    ),
    ("custody anchor status bin.anchor.json", "there is no such proof; `tests/anchor.rs` makes one"),
    (
        "custody anchor verify bin.seal.json --proof bin.anchor.json --ca root.pem",
        "there is no such proof; `tests/anchor.rs` makes one",
    ),
    ("custody demo --keep /tmp/chain", "the demonstration has a test of its own, and /tmp/chain may exist"),
    ("custody demo", "the demonstration has a test of its own"),
    (
        "custody modules verify src --sumdb modcache/cache/download/sumdb/sum.golang.org --json",
        "tests/modules.rs of `evidence` makes a database of its own",
    ),
    ("custody modules verify src --online -o modules.intoto.json", "it asks the network"),
];

#[test]
fn every_example_in_the_help_runs() {
    let Some(stage) = stage() else {
        eprintln!("SKIPPED every_example_in_the_help_runs: no Go (CUSTODY_GO) to build the program it names");
        return;
    };
    let reference = text(&stage.run(&["reference"], 0).stdout);
    let examples: Vec<&str> =
        reference.lines().filter_map(|line| line.trim_start().strip_prefix("$ ")).collect();
    assert!(examples.len() > 40, "the examples were not found");
    for known in FIRST.iter().chain(UNTIL_STOPPED).chain(NOT_HERE.iter().map(|(line, _)| line)) {
        assert!(examples.contains(known), "`{known}` is in this test and not in the help");
    }
    let rest = examples.iter().filter(|line| !FIRST.contains(line));
    let here = FIRST.iter().chain(rest).filter(|line| !NOT_HERE.iter().any(|(not, _)| not == *line));
    let _running = running(&stage);
    let faults: Vec<String> = here.filter_map(|example| fault(&stage, example)).collect();
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// The service that examples patch, for as long as the value lives.
struct Running(std::process::Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn running(stage: &Home) -> Running {
    let program = stage.folder().join("live/live-payments");
    let mut child = Command::new(program).stdout(std::process::Stdio::piped()).spawn().unwrap();
    // It has begun when it says so.
    let mut said = [0; 6];
    std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut said).unwrap();
    stage.write("payments.pid", child.id().to_string());
    Running(child)
}

/// What went wrong with an example; nothing when it did what it should.
fn fault(stage: &Home, example: &str) -> Option<String> {
    // The service's own default, so that a reader need not choose one.
    if example.ends_with("bin/payments") && std::net::TcpListener::bind("127.0.0.1:8080").is_err() {
        eprintln!("SKIPPED the example `{example}`: something else listens on 127.0.0.1:8080");
        return None;
    }
    let until = UNTIL_STOPPED.contains(&example);
    let line = if until { format!("timeout --preserve-status 2 {example}") } else { example.to_owned() };
    let output = shell(stage, &line);
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    // 128 + SIGTERM: what the shell makes of a program that let the signal end it.
    let stopped = until && example.contains(" tail ") && output.status.code() == Some(143);
    if example.starts_with("custody probe") && output.status.code() == Some(3) {
        eprintln!("SKIPPED the example `{example}`: {err}");
        return None;
    }
    (output.status.code() != Some(0) && !stopped)
        .then(|| format!("$ {example}\nstdout: {out}\nstderr: {err}"))
}

fn shell(stage: &Home, line: &str) -> Output {
    let folder = Path::new(env!("CARGO_BIN_EXE_custody")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command
        .args(["-c", line])
        .current_dir(stage.folder())
        .env("PATH", path)
        .env("CUSTODY_HOME", stage.path())
        // `toolchain env --persist` writes into the home folder: never into that of whoever runs the tests.
        .env("HOME", stage.folder());
    for name in ["GOPATH", "GOROOT", "GO111MODULE", "GOMODCACHE"] {
        command.env_remove(name);
    }
    command.output().unwrap()
}

/// A folder with everything that the examples name; nothing without a Go toolchain.
fn stage() -> Option<Home> {
    let stage = Home::absent();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/payments");
    let program = stage.folder().join("bin/payments");
    let mut build = Command::new(std::env::var_os("CUSTODY_GO").unwrap_or_else(|| "go".into()));
    build.args(["build", "-trimpath", "-buildvcs=false", "-o"]).arg(&program).arg(".").current_dir(source);
    let built = build.env("GOTOOLCHAIN", "local").env("CGO_ENABLED", "0").output().ok()?;
    assert!(built.status.success(), "{}", text(&built.stderr));
    std::fs::copy(&program, stage.folder().join("payments")).unwrap();
    support::patch::builds(&stage, "live/live-payments").unwrap();
    stage.write("src/go.sum", "");
    // A telephone number for each, of one customer, and of another in the last.
    let of = |event: String, customer: &str| {
        event.replace(
            "\"ctx\":{",
            &format!("\"ctx\":{{\"phone\":\"13812341234\",\"customer\":\"{customer}\","),
        )
    };
    let events = (0..3).map(|n| of(event(&id(n)), "4711") + "\n").collect::<String>();
    let named = of(event("0190b5a4-3c4e-7d10-9c3f-5a2b8d7e6f10"), "4712");
    stage.write("events.jsonl", format!("{events}{named}\n"));
    let policy = "version = 1\n[[require]]\nkeys = ['default', 'release-2026']\nthreshold = 'all'\n";
    stage.write("two-of-us.toml", policy);
    let rules = "version = 1\n[[rule]]\nname = \"logins\"\ncount = \"AUTH.LOGIN.FAIL\"\nthreshold = 10\n";
    stage.write("alerts.toml", rules);
    stage.write("release.zip", zip_of("release/README", b"one file, stored\n"));
    for name in ["go1.27.3.linux-amd64.tar.gz", "go.zip"] {
        stage.write(name, support::go::release());
    }
    stage.run(&["init"], 0);
    stage.write(
        "home/redaction.toml",
        "version = 1\npolicy = 1\n[[rule]]\nname = \"phone\"\nfields = [\"ctx.phone\"]\n\
         subject = \"customer=ctx.customer\"\naction = \"sm4-gcm\"\n",
    );
    std::fs::copy(stage.path().join("keys/log.vkey"), stage.folder().join("log.vkey")).unwrap();
    stage.write("app.exe", support::pe::program(2));
    support::pe::authority(stage.folder());
    support::pe::openssl(
        stage.folder(),
        "pkcs12 -export -inkey code.key.pem -in code.pem -passout pass:secret -out code.p12",
    );
    stage.write("code.password", "secret\n");
    stage.write("webhook.secret", "enough bytes for a secret\n");
    let other = Home::new();
    stage.write("build.pub.pem", other.run(&["key", "show", "default", "--pem"], 0).stdout);
    stage.write("dist/app.exe", support::pe::program(1));
    // Examples name events by their index, so they come first; the example that records them again changes nothing.
    assert!(shell(&stage, "custody audit record < events.jsonl").status.success());
    let set = ["pe", "resource", "set", "app.exe", "-o", "ready.exe", "--default-manifest"];
    stage.run(&[&set[..], &["--time", "2026-11-20T08:30:00Z"]].concat(), 0);
    stage.run(&["pe", "sign", "ready.exe", "--key", "code.key.pem", "--cert", "code.pem"], 0);
    stage.run(&["seal", "create", "dist", "-o", "dist.seal.json"], 0);
    stage.run(&["seal", "create", "live", "-o", "live.seal.json"], 0);
    Some(stage)
}

/// A ZIP of one stored entry (APPNOTE 4.3.7, 4.3.12, 4.3.16).
fn zip_of(name: &str, content: &[u8]) -> Vec<u8> {
    let crc = crc32(content).to_le_bytes();
    let size = u32::try_from(content.len()).unwrap().to_le_bytes();
    let length = u16::try_from(name.len()).unwrap().to_le_bytes();
    // Version needed 2.0; no flags; stored; 1980-01-01; CRC; both sizes; the name's length; no extra field.
    let common = [&[20, 0, 0, 0, 0, 0, 0, 0, 0x21, 0], &crc[..], &size, &size, &length, &[0, 0]].concat();
    let local = [b"PK\x03\x04", &common[..], name.as_bytes(), content].concat();
    // Made by 2.0 on MS-DOS; no comment, disk 0, no attributes, local header at 0.
    let central = [b"PK\x01\x02", &[20, 0][..], &common, &[0; 14], name.as_bytes()].concat();
    let central_size = u32::try_from(central.len()).unwrap().to_le_bytes();
    let central_start = u32::try_from(local.len()).unwrap().to_le_bytes();
    let end = [b"PK\x05\x06", &[0, 0, 0, 0, 1, 0, 1, 0][..], &central_size, &central_start, &[0, 0]].concat();
    [local, central, end].concat()
}

/// CRC-32 as ZIP has it, bit by bit: there is one short file to check.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}
