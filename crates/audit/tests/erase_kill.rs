//! `kill -9` while subjects are erased: what was said to be erased stays closed, what nobody asked to erase opens, every
//! destruction has its leaf, and the home verifies.
//!
//! A kill does not test durability, the page cache survives it. It tests that no moment between the vault's file, the leaf
//! and the note of the leaf leaves a home that contradicts itself. `CUSTODY_SOAK=1` kills sixty times.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]
#![cfg(unix)]

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use audit::vault::{Subject, VaultAnswer, VaultCall};
use audit::{Filter, Session};

const CHILD: &str = "CUSTODY_ERASE_KILL_HOME";
const CYCLES: u64 = 6;
const SOAK_CYCLES: u64 = 60;
const POLICY: &str = "version = 1\npolicy = 1\n\
    [[rule]]\nname = \"mobile\"\nfields = [\"ctx.phone\"]\nsubject = \"customer=sub.customer\"\naction = \"sm4-gcm\"\n";

fn subject(customer: &str) -> Subject {
    Subject { kind: "customer".into(), id: customer.into() }
}

fn event(run: u32, number: u64, customer: &str) -> Vec<u8> {
    format!(
        concat!(
            r#"{{"id":"{:08x}-0000-4000-8000-{:012x}","ts":"2026-11-20T08:30:45Z","severity":"INFO","#,
            r#""sub":{{"customer":"{}"}},"act":"PAYMENT.CREATED","ctx":{{"phone":"13856781234"}}}}"#
        ),
        run, number, customer
    )
    .into_bytes()
}

fn say(line: &str) {
    let mut output = std::io::stdout().lock();
    output.write_all(line.as_bytes()).and_then(|()| output.flush()).unwrap();
}

/// The victim: not a test by itself. Records a customer each, erases two of three, and says what it was told.
#[test]
fn victim() {
    let Some(home) = std::env::var_os(CHILD) else { return };
    let session = audit::own(Path::new(&home)).unwrap();
    let run = std::process::id();
    for number in 0.. {
        let customer = format!("{run}-{number}");
        let verdict = session.offer(vec![event(run, number, &customer)]).unwrap().remove(0);
        say(&format!("\nrecorded {} {customer}\n", verdict.unwrap().index));
        if number % 3 != 0 {
            say(&format!("\nerasing {customer}\n"));
            let call =
                VaultCall::Erase { subject: subject(&customer), reason: "asked".into(), dry_run: false };
            match session.vault(&call).unwrap() {
                VaultAnswer::Certificates(_) | VaultAnswer::Erasures(_) => {
                    say(&format!("\nerased {customer}\n"))
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Told {
    Kept,
    Erasing,
    Erased,
}

/// Lets the victim run for a while, kills it, and notes what it had said: by customer, the index and how far it came.
fn life(home: &Path, time: Duration, told: &mut BTreeMap<String, (u64, Told)>) {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(CHILD, home)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // From its first event on: on a busy machine the beginning alone may take longer than its life.
    let mut output = BufReader::new(victim.stdout.take().unwrap());
    let mut said = String::new();
    while !said.contains("recorded ") {
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "the victim ended by itself: {said}");
    }
    std::thread::sleep(time);
    victim.kill().unwrap();
    output.read_to_string(&mut said).unwrap();
    victim.wait().unwrap();
    for line in said.split_inclusive('\n').filter(|line| line.ends_with('\n')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["recorded", index, customer] => {
                told.insert(customer.to_owned(), (index.parse().unwrap(), Told::Kept));
            }
            ["erasing", customer] => told.get_mut(customer).unwrap().1 = Told::Erasing,
            ["erased", customer] => told.get_mut(customer).unwrap().1 = Told::Erased,
            _ => {}
        }
    }
}

/// Whether the value of an event can still be opened.
fn opens(session: &Session, index: u64) -> bool {
    let call = VaultCall::Reveal { reason: "test".into(), indices: vec![index] };
    let VaultAnswer::Revealed(revealed) = session.vault(&call).unwrap() else {
        panic!("no answer to reveal")
    };
    let [revealed] = &revealed[..] else { panic!("{revealed:?}") };
    assert_eq!(revealed.opened.len() + revealed.closed.len(), 1, "{revealed:?}");
    assert_eq!(revealed.event.contains("13856781234"), revealed.closed.is_empty(), "{revealed:?}");
    revealed.closed.is_empty()
}

#[test]
fn a_kill_at_any_moment_neither_opens_what_was_erased_nor_erases_anything_else() {
    let folder = tempfile::tempdir().unwrap();
    let home = folder.path().join("home");
    audit::create_home(&home, "test").unwrap();
    std::fs::write(home.join("redaction.toml"), POLICY).unwrap();
    let cycles = if std::env::var_os("CUSTODY_SOAK").is_some() { SOAK_CYCLES } else { CYCLES };
    let (mut told, mut interrupted) = (BTreeMap::new(), 0);
    for cycle in 0..cycles {
        let mut new = BTreeMap::new();
        life(&home, Duration::from_millis(150 + cycle * 7919 % 397), &mut new);
        interrupted += new.values().filter(|(_, told)| *told == Told::Erasing).count();
        told.extend(new.clone());
        let found = audit::verify(&home, None, &mut |_, _| ()).unwrap();
        assert!(found.holds(), "{found:?}");
        let session = audit::own(&home).unwrap();
        // All of them in the end, after as many openings.
        let asked = if cycle + 1 == cycles { &told } else { &new };
        for (customer, (index, told)) in asked {
            match told {
                Told::Kept => assert!(opens(&session, *index), "{customer} was never to be erased"),
                Told::Erased => assert!(!opens(&session, *index), "{customer} was said to be erased"),
                Told::Erasing => drop(opens(&session, *index)),
            }
        }
        let mut leaves = 0;
        let filter = Filter { act: Some("ERASURE.DESTROYED".into()), ..Filter::default() };
        session
            .query(&filter, &mut |_| {
                leaves += 1;
                Ok(())
            })
            .unwrap();
        let erased = told.values().filter(|(_, told)| *told == Told::Erased).count();
        assert!(leaves >= erased, "{erased} were erased, {leaves} destructions have a leaf");
    }
    let erased = told.values().filter(|(_, told)| *told == Told::Erased).count();
    println!("{} customers, {erased} erased, {interrupted} kills within an erasure", told.len());
    assert!(erased > 0, "the victim came to nothing");
}
