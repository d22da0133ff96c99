//! Probes that come and go under load: the target answers every request, and its code is afterwards what it was.
#![allow(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use probe::sites::Finder;
use probe::{Target, func, http};
use support::{Go, PLAIN, Running};

const SOURCE: &str = include_str!("support/http.go");

/// How often: `CUSTODY_PROBE_SOAK` asks for more.
fn rounds() -> usize {
    std::env::var("CUSTODY_PROBE_SOAK").ok().and_then(|text| text.parse().ok()).unwrap_or(12)
}

/// The code of every function that is probed, as the file has it and as the process has it now.
fn same_code(target: &Target, names: &[&str]) {
    let binary = target.binary().unwrap();
    let functions = binary.functions().unwrap();
    let memory = std::fs::File::open(format!("/proc/{}/mem", target.pid().unwrap())).unwrap();
    for name in names {
        let function = functions.iter().find(|f| f.name == *name).unwrap();
        let mut now = vec![0; binary.code(function).len()];
        memory.read_exact_at(&mut now, function.entry).unwrap();
        assert!(now == binary.code(function), "{name} is not what it was");
    }
}

#[test]
fn a_target_outlives_its_probes_and_is_left_as_it_was() {
    let test = "a_target_outlives_its_probes_and_is_left_as_it_was";
    let Some(go) = Go::some(test, &[]).into_iter().next() else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = go.build(dir.path(), SOURCE, PLAIN);
    let (mut server, mut client) = (Running::start(&path), Running::start(&path));
    let url = server.ask("start h1");
    let target = Target::process(server.pid()).unwrap();
    let probed = [
        "main.deep",
        "main.handler",
        "net/http.serverHandler.ServeHTTP",
        "net/http.(*response).finishRequest",
    ];
    let names = probed.iter().map(|name| (*name).to_owned()).chain(["main.handler.*".to_owned()]).collect();
    let options = func::Options { names, durations: true, ..func::Options::default() };
    let over = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        let load = scope.spawn(|| {
            let mut sent = 0;
            while !over.load(Ordering::Relaxed) {
                client.ask(&format!("load {url} 1000"));
                sent += 1000;
            }
            sent
        });
        let (mut requests, mut calls) = (0, 0);
        for _ in 0..rounds() {
            let mut requests_seen =
                http::Probe::attach(&target, http::Options { server: true, client: true }).unwrap();
            let calls_seen = func::Probe::attach(&target, &options).unwrap();
            std::thread::sleep(std::time::Duration::from_millis(60));
            requests += requests_seen.drain(|_| ());
            calls += calls_seen.totals().unwrap().iter().map(|t| t.calls).sum::<u64>();
        }
        over.store(true, Ordering::Relaxed);
        assert!(requests > 0 && calls > 0, "{requests} requests and {calls} calls were seen");
        load.join().unwrap()
    });
    same_code(&target, &probed);
    let file = dir.path().join("log");
    let logged: usize = server.ask(&format!("log {}", file.display())).parse().unwrap();
    assert!(logged >= sent, "{logged} requests of {sent}");
}

#[test]
fn most_functions_have_a_cheap_instruction() {
    let test = "most_functions_have_a_cheap_instruction";
    for go in Go::some(test, &[21, 27]) {
        let dir = tempfile::tempdir().unwrap();
        let target = Target::executable(&go.build(dir.path(), SOURCE, PLAIN)).unwrap();
        let binary = target.binary().unwrap();
        let functions = binary.functions().unwrap();
        let finder = Finder::new(&binary, &functions);
        let (mut all, mut entries, mut arguments, mut returns) = (0, 0, 0, 0);
        for sites in functions.iter().filter_map(|f| finder.sites(f)) {
            all += 1;
            entries += usize::from(sites.entry.cheap);
            arguments += usize::from(sites.arguments);
            returns += usize::from(sites.returns.iter().all(|site| site.cheap));
        }
        eprintln!(
            "{}: of {all} functions {entries} have a cheap entry, {arguments} with the arguments still in their \
             registers, {returns} cheap ends only",
            go.version
        );
        assert!(entries * 10 > all * 8 && arguments * 10 > all * 9, "{entries}, {arguments} of {all}");
    }
}
