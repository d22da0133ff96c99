//! Redaction and erasure from the outside: nothing personal is on the disk in clear, what was erased stays closed, also
//! from an older copy of the home, and every proof holds all the same.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use support::{Home, id, text};

const MOBILE: &str = "13856781234";
const IDCARD: &str = "11010519491231002X";
const CARD: &str = "6222020200112345679";

/// A home with the policy of the template.
fn home() -> Home {
    let home = Home::new();
    let template = home.run(&["audit", "redact", "--template"], 0).stdout;
    home.write("home/redaction.toml", template);
    home
}

fn event(number: u64, severity: &str, customer: &str, phone: &str) -> String {
    format!(
        concat!(
            r#"{{"id":"{}","ts":"2026-11-20T08:30:45Z","severity":"{}","sub":{{"customer":"{}"}},"#,
            r#""act":"PAYMENT.CREATED","obj":{{"phone":"{}","note":"card {}, id {}"}},"ctx":{{"ip":"192.168.3.5"}}}}"#
        ),
        id(number),
        severity,
        customer,
        phone,
        CARD,
        IDCARD
    )
}

fn record(home: &Home, lines: &[String]) -> Vec<Value> {
    lines_of(&home.run_with(&["audit", "record"], lines.join("\n").as_bytes(), 0).stdout)
}

fn lines_of(bytes: &[u8]) -> Vec<Value> {
    text(bytes).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn stored(home: &Home, number: u64) -> Value {
    lines_of(&home.run(&["--json", "audit", "query", "--id", &id(number)], 0).stdout).remove(0)
}

fn revealed(home: &Home, number: u64) -> Value {
    let arguments = ["--json", "audit", "query", "--id", &id(number), "--reveal", "--reason", "test"];
    lines_of(&home.run(&arguments, 0).stdout).remove(0)
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The value must not stand in any file below the folder, as text or in the usual codings.
fn nowhere(folder: &Path, value: &str) {
    use base64::Engine as _;
    let coded = base64::engine::general_purpose::STANDARD_NO_PAD.encode(value);
    let needles = [value.to_owned(), coded[..coded.len() - 2].to_owned()];
    for path in files(folder) {
        let bytes = std::fs::read(&path).unwrap_or_default(); // a socket is no file
        for needle in &needles {
            let found = bytes.windows(needle.len()).any(|window| window == needle.as_bytes());
            assert!(!found, "{value} stands in {}", path.display());
        }
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    let status = Command::new("cp").arg("-a").arg(from.join(".")).arg(to).status().unwrap();
    assert!(status.success());
}

#[test]
fn the_table_of_the_document_holds() {
    let home = home();
    record(&home, &[event(1, "DEBUG", "4711", MOBILE), event(2, "ERROR", "4711", MOBILE)]);
    let debug = stored(&home, 1);
    assert_eq!(debug["obj"]["phone"], "138****1234");
    assert_eq!(debug["obj"]["note"], "card **** **** **** 5679, id 110105****1231002X");
    assert_eq!(debug["ctx"]["ip"], "192.168.3.5");
    let error = stored(&home, 2);
    assert!(error["obj"]["phone"].as_str().unwrap().starts_with("sealed:1:"));
    assert!(error["obj"]["note"].as_str().unwrap().starts_with("sealed:1:"));
    for value in [MOBILE, IDCARD, CARD] {
        nowhere(&home.path(), value);
    }
    let open = revealed(&home, 2);
    assert_eq!(open["obj"]["phone"], MOBILE);
    assert_eq!(open["obj"]["note"], format!("card {CARD}, id {IDCARD}"));
    home.run(&["audit", "query", "--reveal"], 2);
    let looks = lines_of(&home.run(&["--json", "audit", "query", "--act", "AUDIT.REVEALED"], 0).stdout);
    assert_eq!(looks.len(), 1);
    assert_eq!(looks[0]["ctx"]["reason"], "test");
    home.run(&["audit", "verify"], 0);
}

#[test]
fn what_was_erased_stays_closed_and_every_older_proof_holds() {
    let home = home();
    record(&home, &[event(1, "ERROR", "4711", MOBILE), event(2, "ERROR", "4712", "13900001111")]);
    home.run(&["audit", "prove", "--id", &id(1), "--with-event", "-o", "old.tlog-proof"], 0);
    home.run(&["audit", "checkpoint", "-o", "old.checkpoint"], 0);
    let backup = home.folder().join("yesterday");
    copy(&home.path(), &backup);

    let erase = ["audit", "erase", "--subject", "customer:4711", "--reason", "asked for"];
    home.run(&[&erase[..], &["--dry-run"]].concat(), 0);
    assert_eq!(revealed(&home, 1)["obj"]["phone"], MOBILE);
    let done = home.run(&[&["--json"], &erase[..], &["-o", "certificates"]].concat(), 0);
    let done = lines_of(&done.stdout).remove(0);
    let certificate = done["certificates"][0].as_str().unwrap().to_owned();
    home.run(&erase, 2);

    assert!(revealed(&home, 1)["obj"]["phone"].as_str().unwrap().starts_with("sealed:1:"));
    assert_eq!(revealed(&home, 2)["obj"]["phone"], "13900001111");
    home.run(&["audit", "prove", "--check", "old.tlog-proof"], 0);
    home.run(&["audit", "verify", "--checkpoint", "old.checkpoint"], 0);

    // Yesterday's copy, put in the place of the home, with its vault: the key that closed it is gone.
    let today = home.folder().join("today");
    std::fs::rename(home.path(), &today).unwrap();
    copy(&backup, &home.path());
    let said = home.run(&["audit", "query", "--id", &id(1), "--reveal", "--reason", "test"], 3);
    assert!(!text(&said.stdout).contains(MOBILE), "{}", text(&said.stdout));
    // As it should be restored: without the vault of that day, with that of today.
    std::fs::remove_dir_all(home.path().join("vault")).unwrap();
    copy(&today.join("vault"), &home.path().join("vault"));
    assert!(revealed(&home, 1)["obj"]["phone"].as_str().unwrap().starts_with("sealed:1:"));
    assert_eq!(revealed(&home, 2)["obj"]["phone"], "13900001111");

    // The certificate needs nothing of the home but the two public keys.
    std::fs::copy(home.path().join("keys/log.vkey"), home.folder().join("log.vkey")).unwrap();
    std::fs::copy(home.path().join("keys/default.pub.pem"), home.folder().join("default.pub.pem")).unwrap();
    std::fs::remove_dir_all(home.path()).unwrap();
    let verify = |file: &str, code| {
        let keys = ["--key", "log.vkey", "--signer", "default.pub.pem"];
        home.run(&[&["audit", "verify", "--certificate", file], &keys[..]].concat(), code)
    };
    assert!(text(&verify(&certificate, 0).stdout).contains("customer:4711"));
    let forged = std::fs::read_to_string(home.folder().join(&certificate)).unwrap();
    let forged = forged.replacen("\"payload\":\"ey", "\"payload\":\"fy", 1);
    home.write("forged.json", forged);
    verify("forged.json", 1);
}

/// A copy of the whole disk, key-encryption key included, put back beside the newer ledger: the leaf of the destruction
/// is replayed before anything is opened.
#[test]
fn a_restored_vault_destroys_again_what_the_ledger_says_was_destroyed() {
    let home = home();
    record(&home, &[event(1, "ERROR", "4711", MOBILE), event(2, "ERROR", "4712", "13900001111")]);
    let backup = home.folder().join("yesterday");
    copy(&home.path().join("vault"), &backup.join("vault"));
    std::fs::copy(home.folder().join("home.kek"), backup.join("home.kek")).unwrap();
    home.run(&["audit", "erase", "--subject", "customer:4711", "--reason", "asked for"], 0);
    std::fs::remove_dir_all(home.path().join("vault")).unwrap();
    copy(&backup.join("vault"), &home.path().join("vault"));
    std::fs::copy(backup.join("home.kek"), home.folder().join("home.kek")).unwrap();
    assert!(revealed(&home, 1)["obj"]["phone"].as_str().unwrap().starts_with("sealed:1:"));
    assert_eq!(revealed(&home, 2)["obj"]["phone"], "13900001111");
    let status = lines_of(&home.run(&["--json", "audit", "keys", "status"], 0).stdout).remove(0);
    assert_eq!(status["subjects"], 1);
}

#[test]
fn a_hold_queues_an_erasure_and_its_release_lets_it_through() {
    let home = home();
    record(&home, &[event(1, "ERROR", "4711", MOBILE)]);
    let held = ["audit", "hold", "add", "--subject", "customer:4711", "--reason", "court order"];
    let held = home.run(&[&["--json"], &held[..]].concat(), 0);
    let hold = lines_of(&held.stdout)[0]["id"].as_str().unwrap().to_owned();
    let erase = ["--json", "audit", "erase", "--subject", "customer:4711", "--reason", "asked for"];
    let queued = lines_of(&home.run(&erase, 0).stdout).remove(0);
    assert!(queued["erasures"][0]["queued"]["waits_for"].as_str().unwrap().contains("court order"));
    home.run(&["audit", "erase", "--due"], 0);
    assert_eq!(revealed(&home, 1)["obj"]["phone"], MOBILE);
    home.run(&["audit", "hold", "release", &hold, "--reason", "lifted"], 0);
    home.run(&["audit", "erase", "--due", "-o", "done"], 0);
    assert!(revealed(&home, 1)["obj"]["phone"].as_str().unwrap().starts_with("sealed:1:"));
    assert_eq!(std::fs::read_dir(home.folder().join("done")).unwrap().count(), 1);
    let acts: Vec<String> = ["HOLD.", "ERASURE."]
        .iter()
        .flat_map(|act| lines_of(&home.run(&["--json", "audit", "query", "--act", act], 0).stdout))
        .map(|event| event["act"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(acts, ["HOLD.ADDED", "HOLD.RELEASED", "ERASURE.QUEUED", "ERASURE.DESTROYED"]);
    nowhere(&home.path(), "customer:4711");
}

#[test]
fn equal_values_differ_when_sealed_and_match_when_tokenised_until_the_erasure() {
    let home = Home::new();
    home.write(
        "home/redaction.toml",
        "version = 1\npolicy = 7\n[[rule]]\nname = \"phone\"\nfields = [\"obj.phone\"]\n\
         subject = \"customer=sub.customer\"\naction = \"sm4-gcm+hmac-sm3\"\n\
         [[rule]]\nname = \"customer\"\nfields = [\"sub.customer\"]\nsubject = \"customer=sub.customer\"\n\
         action = \"hmac-sm3\"\n",
    );
    let recorded = |numbers: &[u64]| -> Vec<(String, String)> {
        let lines: Vec<String> = numbers.iter().map(|n| event(*n, "INFO", "4711", MOBILE)).collect();
        record(&home, &lines);
        let field = |n: &u64| {
            let event = stored(&home, *n);
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            (text(&event["obj"]["phone"]), text(&event["sub"]["customer"]))
        };
        numbers.iter().map(field).collect()
    };
    let before = recorded(&[1, 2]);
    assert_ne!(before[0].0, before[1].0);
    let token = |sealed: &str| sealed.rsplit(':').next().unwrap().to_owned();
    assert_eq!(token(&before[0].0), token(&before[1].0));
    assert_eq!(before[0].1, before[1].1);
    assert!(before[0].1.starts_with("token:1:"));
    nowhere(&home.path().join("log"), "4711");
    home.run(&["audit", "erase", "--subject", "customer:4711", "--reason", "asked for"], 0);
    let after = recorded(&[3]);
    assert_ne!(token(&after[0].0), token(&before[0].0));
    assert_ne!(after[0].1, before[0].1, "a subject that comes back is somebody else");
}

#[test]
fn one_changed_byte_of_the_vault_is_named() {
    let home = home();
    record(&home, &[event(1, "ERROR", "4711", MOBILE), event(2, "ERROR", "4712", MOBILE)]);
    home.run(&["audit", "verify"], 0);
    let path = home.path().join("vault/keys.vault");
    let good = std::fs::read(&path).unwrap();
    for at in (0..good.len()).step_by(11).chain([good.len() - 1]) {
        let mut bad = good.clone();
        bad[at] ^= 0x10;
        std::fs::write(&path, &bad).unwrap();
        let said = text(&home.run(&["audit", "verify"], 1).stderr);
        assert!(said.contains("vault/keys.vault: ") && said.contains("bytes "), "byte {at}: {said}");
    }
    std::fs::write(&path, &good).unwrap();
    home.run(&["audit", "verify"], 0);
}

#[test]
fn a_policy_that_changes_is_told_by_every_event() {
    let home = home();
    record(&home, &[event(1, "DEBUG", "4711", MOBILE)]);
    let old = std::fs::read(home.path().join("redaction.toml")).unwrap();
    home.write("home/redaction.toml", "version = 1\npolicy = 2\n");
    record(&home, &[event(2, "DEBUG", "4711", MOBILE)]);
    assert_eq!(stored(&home, 2)["obj"]["phone"], MOBILE);
    let named = |number| stored(&home, number)["ctx"]["redaction"].as_str().unwrap().to_owned();
    let (first, second) = (named(1), named(2));
    assert!(first.starts_with("1:") && second.starts_with("2:"));
    let kept = std::fs::read(home.path().join(format!("redaction/{}.toml", &first[2..]))).unwrap();
    assert_eq!(kept, old);
    // A repeated delivery under another policy is the same event.
    record(&home, &[event(1, "DEBUG", "4711", MOBILE)]);
    let forged = event(3, "INFO", "4711", "x").replace("\"ctx\":{", "\"ctx\":{\"redaction\":\"9:00\",");
    let said = home.run_with(&["audit", "record"], forged.as_bytes(), 2);
    assert!(text(&said.stderr).contains("is written by Custody"), "{}", text(&said.stderr));
}

#[test]
fn a_repeated_delivery_of_a_sealed_event_is_acknowledged_once() {
    let home = home();
    let first = record(&home, &[event(1, "ERROR", "4711", MOBILE)]);
    assert_eq!(record(&home, &[event(1, "ERROR", "4711", MOBILE)]), first);
    let other = event(1, "ERROR", "4711", "13856781235");
    let said = home.run_with(&["audit", "record"], other.as_bytes(), 2);
    assert!(text(&said.stderr).contains("stored with other content"), "{}", text(&said.stderr));
}

#[test]
fn one_field_is_disclosed_with_proof() {
    let home = home();
    let receipt = record(&home, &[event(1, "ERROR", "4711", MOBILE)]).remove(0);
    let index = receipt["index"].to_string();
    let disclose = ["audit", "disclose", &index, "obj.phone", "--reason", "audit", "-o", "phone.json"];
    home.run(&disclose, 0);
    home.run(&["audit", "disclose", &index, "ctx.ip", "--reason", "audit"], 2);
    std::fs::copy(home.path().join("keys/log.vkey"), home.folder().join("log.vkey")).unwrap();
    std::fs::remove_dir_all(home.path()).unwrap();
    let check =
        |file: &str, code| home.run(&["audit", "disclose", "--check", file, "--key", "log.vkey"], code);
    assert!(text(&check("phone.json", 0).stdout).contains(MOBILE));
    let disclosure = std::fs::read_to_string(home.folder().join("phone.json")).unwrap();
    assert!(!disclosure.contains(IDCARD), "no other field is opened");
    home.write("forged.json", disclosure.replace(MOBILE, "13856781235"));
    check("forged.json", 1);
}

#[test]
fn explaining_records_nothing() {
    let home = home();
    let input = event(1, "ERROR", "4711", MOBILE);
    let before = files(&home.path()).len();
    let said = home.run_with(&["--json", "audit", "redact", "--explain"], input.as_bytes(), 0);
    let explained = lines_of(&said.stdout).remove(0);
    let fields = explained["fields"].as_array().unwrap();
    let phone = fields.iter().find(|field| field["path"] == "obj.phone").unwrap();
    assert_eq!((&phone["rule"], &phone["action"]), (&"mobile".into(), &"sm4-ctr".into()));
    assert_eq!(phone["subject"], "customer:4711");
    assert_eq!(files(&home.path()).len(), before);
    assert!(!home.folder().join("home.kek").exists());
    home.write(
        "ecb.toml",
        "version = 1\npolicy = 1\n[[rule]]\nname = \"x\"\nfields = [\"ctx.x\"]\naction = \"sm4-ecb\"\n",
    );
    let arguments = ["audit", "redact", "--explain", "--policy", "ecb.toml"];
    let said = text(&home.run_with(&arguments, input.as_bytes(), 2).stderr);
    assert!(said.contains("ECB is not offered"), "{said}");
}

#[test]
fn without_the_key_encryption_key_nothing_is_stored_in_clear() {
    let home = home();
    record(&home, &[event(1, "ERROR", "4711", MOBILE)]);
    std::fs::rename(home.folder().join("home.kek"), home.folder().join("away")).unwrap();
    let lines = event(2, "ERROR", "4711", "13900002222");
    let said = home.run_with(&["audit", "record"], lines.as_bytes(), 3);
    assert!(text(&said.stderr).contains("key-encryption key"), "{}", text(&said.stderr));
    nowhere(&home.path(), "13900002222");
    std::fs::rename(home.folder().join("away"), home.folder().join("home.kek")).unwrap();
    std::fs::remove_dir_all(home.path().join("vault")).unwrap();
    let said = home.run_with(&["audit", "record"], lines.as_bytes(), 1);
    assert!(text(&said.stderr).contains("and no vault"), "{}", text(&said.stderr));
}

#[test]
fn an_anonymised_export_names_nobody() {
    let home = home();
    record(&home, &[event(1, "DEBUG", "4711", MOBILE), event(2, "ERROR", "4711", MOBILE)]);
    let export = || {
        let output = home.run(&["audit", "redact", "--anonymise", "--act", "PAYMENT."], 0);
        lines_of(&output.stdout)
    };
    let (first, second) = (export(), export());
    assert_eq!(first[0]["ts"], "2026-11-01T00:00:00.000000000Z");
    assert_eq!(first[0]["ctx"]["ip"], "192.168.3.0");
    assert_eq!(first[1]["obj"]["phone"], "sealed");
    assert_eq!(first[0]["sub"]["customer"], first[1]["sub"]["customer"], "within one export they match");
    assert_ne!(first[0]["sub"]["customer"], second[0]["sub"]["customer"], "and between two they do not");
    let text = format!("{first:?}");
    assert!(!text.contains("4711") && !text.contains(&id(1)) && !text.contains("peer."), "{text}");
    let exports = home.run(&["--json", "audit", "query", "--act", "AUDIT.EXPORTED"], 0);
    assert_eq!(lines_of(&exports.stdout).len(), 2);
}

/// The operator's table of retention puts an erasure off, with the day and the regime.
#[test]
fn a_minimum_of_the_table_of_retention_queues_an_erasure() {
    let home = home();
    record(&home, &[event(1, "ERROR", "4711", MOBILE)]);
    let own = "[[regime]]\nname = \"payments\"\nactions = [\"PAYMENT.\"]\nminimum = \"10 years\"\n";
    home.write("home/retention.toml", format!("version = 1\nregimes = []\n{own}"));
    let erase = ["--json", "audit", "erase", "--subject", "customer:4711", "--reason", "asked for"];
    let queued = lines_of(&home.run(&erase, 0).stdout).remove(0);
    let queued = &queued["erasures"][0]["queued"];
    // From when the ledger recorded it, whatever day the event names; the last day belongs to the period.
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let due = today.checked_add(jiff::Span::new().years(10)).unwrap().tomorrow().unwrap();
    assert_eq!(
        (&queued["waits_for"], &queued["due"]),
        (&"payments".into(), &due.to_string().into()),
        "{queued}"
    );
    home.run(&["audit", "erase", "--due"], 0);
    assert_eq!(revealed(&home, 1)["obj"]["phone"], MOBILE);
}

/// A person is found by what they are called, although the ledger holds a token; who looked is recorded, and whom they
/// looked for is not, in plain.
#[test]
fn a_query_by_a_subject_sees_tokens_and_leaves_no_plain_name() {
    let home = Home::new();
    home.write(
        "home/redaction.toml",
        "version = 1\npolicy = 1\n\
         [[rule]]\nname = \"customer\"\nfields = [\"sub.customer\"]\nsubject = \"customer=value\"\naction = \"hmac-sm3\"\n\
         [[rule]]\nname = \"owner\"\nfields = [\"obj.phone\"]\nsubject = \"customer=value\"\naction = \"sm4-gcm+hmac-sm3\"\n",
    );
    record(&home, &[event(1, "INFO", "4711001", MOBILE), event(2, "INFO", "4712002", "13956781234")]);
    let query = |more: &[&str]| {
        lines_of(&home.run(&[&["--json", "audit", "query", "--act", "PAYMENT."], more].concat(), 0).stdout)
    };
    assert!(stored(&home, 1)["sub"]["customer"].as_str().unwrap().starts_with("token:1:"));
    for (more, found) in [
        (["--sub", "customer=4711001"], 1),
        (["--sub", "customer=4712002"], 2),
        (["--obj", &format!("phone={MOBILE}")], 1),
    ] {
        let events = query(&more);
        assert_eq!(events.len(), 1, "{more:?}");
        assert_eq!(events[0]["id"], id(found));
    }
    assert!(query(&["--sub", "customer=4713003"]).is_empty());
    query(&["--text", "711001"]);
    let reads = lines_of(&home.run(&["--json", "audit", "query", "--act", "AUDIT.READ"], 0).stdout);
    let looked = |name: &str| {
        let said = reads.iter().filter_map(|read| read["obj"][name].as_str());
        said.map(str::to_owned).collect::<Vec<String>>()
    };
    let token = stored(&home, 1)["sub"]["customer"].as_str().unwrap().to_owned();
    let sub = looked("filter.sub.customer");
    assert_eq!((sub.len(), &sub[0], sub[2].as_str()), (3, &token, "omitted"), "{sub:?}");
    assert_eq!(looked("filter.text"), ["omitted"]);
    // Who looked for this person can be asked, by the name.
    let who = ["--json", "audit", "query", "--act", "AUDIT.READ", "--obj", "filter.sub.customer=4711001"];
    assert_eq!(lines_of(&home.run(&who, 0).stdout).len(), 1);
    for value in ["4711001", "4712002", "4713003", "711001", MOBILE] {
        nowhere(&home.path(), value);
    }
    // With the key the connection is gone.
    home.run(&["audit", "erase", "--subject", "customer:4711001", "--reason", "asked for"], 0);
    assert!(query(&["--sub", "customer=4711001"]).is_empty());
    assert_eq!(query(&["--sub", "customer=4712002"]).len(), 1);
    home.run(&["audit", "verify"], 0);
}
