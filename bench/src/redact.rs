//! Admission with redaction against the same with a plain set of regular expressions in place of the matchers.

use anyhow::{Context as _, Result};
use audit::measuring::Stage;
use regex::RegexSet;

use crate::Plan;
use crate::measure::{Row, processor_time};

/// What both look for.
const DETECTING: &str = "version = 1\npolicy = 1\n\
    [[rule]]\nname = \"mobile\"\nfields = [\"ctx.phone\"]\ndetect = \"mobile\"\nsubject = \"customer=sub.customer\"\naction = \"sm4-gcm\"\n\
    [[rule]]\nname = \"idcard\"\ndetect = \"idcard\"\naction = \"mask\"\n\
    [[rule]]\nname = \"bankcard\"\ndetect = \"bankcard\"\naction = \"mask\"\n\
    [[rule]]\nname = \"email\"\ndetect = \"email\"\naction = \"mask\"\n\
    [[rule]]\nname = \"ip\"\nfields = [\"ctx.ip\"]\ndetect = \"ip\"\naction = \"keep\"\n";
/// The same rule by path alone: the peer's expressions do the looking.
const BY_PATH: &str = "version = 1\npolicy = 1\n\
    [[rule]]\nname = \"mobile\"\nfields = [\"ctx.phone\"]\nsubject = \"customer=sub.customer\"\naction = \"sm4-gcm\"\n";
/// The expressions that a service would write.
const EXPRESSIONS: [&str; 5] = [
    r"\b(?:86|0086)?1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4}\b",
    r"\b[0-9]{6}[ -]?[0-9]{8}[ -]?[0-9]{3}[0-9Xx]\b",
    r"\b[234569](?:[ -]?[0-9]){12,18}\b",
    r"[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}",
    r"\b(?:[0-9]{1,3}\.){3}[0-9]{1,3}\b|(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{1,4}",
];
const THREADS: usize = 2;
/// Events that a caller offers at once.
const BATCH: usize = 256;

/// An event of about 330 bytes; `phone` may be empty.
fn event(number: u64, phone: &str) -> String {
    format!(
        concat!(
            r#"{{"id":"{:08x}-0000-4000-8000-{:012x}","ts":"2026-11-20T08:30:45.123456789Z","severity":"INFO","#,
            r#""sub":{{"customer":"{}","svc":"payments"}},"act":"PAYMENT.CREATED","obj":{{"order":"R{}","note":"#,
            r#""paid in the branch at the station"}},"ctx":{{"ip":"192.168.3.5","trace_id":"4bf92f3577b34da6a3ce929d0e0e4736""#,
            r#"{}}}}}"#
        ),
        number >> 32,
        number,
        number % 1000,
        number,
        phone
    )
}

/// Events a second of one processor: schema, policy, stored form, and the leaf's hash, on two threads.
fn rate(stage: &Stage, events: &[String], look: &(dyn Fn(&str) + Sync)) -> Result<f64> {
    stage.leaves(events.iter().take(1000).map(String::as_bytes), look)?; // the keys of the month
    stage.settle()?;
    let used = processor_time()?;
    std::thread::scope(|scope| {
        let parts = events.chunks(events.len().div_ceil(THREADS));
        let threads: Vec<_> = parts
            .map(|part| {
                scope.spawn(move || -> Result<u8> {
                    let mut all = 0;
                    for batch in part.chunks(BATCH) {
                        let hashes = stage.leaves(batch.iter().map(String::as_bytes), look)?;
                        all ^= hashes.iter().fold(0, |all, hash| all ^ hash[0]);
                    }
                    Ok(all)
                })
            })
            .collect();
        threads.into_iter().try_for_each(|thread| {
            thread.join().map_or_else(|panic| std::panic::resume_unwind(panic), |done| done.map(|_| ()))
        })
    })?;
    Ok(events.len() as f64 / (processor_time()? - used).max(0.001))
}

/// One sealed field in each event, and none.
pub(crate) fn run(plan: Plan) -> Result<Vec<Row>> {
    let count = if plan.sample { 2_000 } else { 400_000 };
    let folder = tempfile::tempdir_in(".").context("a folder on the disk under test")?;
    let home = |name: &str, policy: &str| -> Result<Stage> {
        let home = folder.path().join(name);
        std::fs::create_dir(&home)?;
        if !policy.is_empty() {
            std::fs::write(home.join("redaction.toml"), policy)?;
        }
        Ok(Stage::of(&home)?)
    };
    let (ours, theirs, bare) = (home("ours", DETECTING)?, home("theirs", BY_PATH)?, home("bare", "")?);
    let set = RegexSet::new(EXPRESSIONS)?;
    let looked = std::sync::atomic::AtomicU64::new(0);
    let look = |value: &str| {
        looked.fetch_add(u64::from(set.is_match(value)), std::sync::atomic::Ordering::Relaxed);
    };
    let personal: Vec<String> =
        (0..count).map(|n| event(n, &format!(",\"phone\":\"138{:08}\"", n % 100_000_000))).collect();
    let plain: Vec<String> = (0..count).map(|n| event(n, "")).collect();
    let rows = [
        Row::alternate(
            (
                "admission, redaction, one SM4-GCM field, SHA-256 leaf (2 threads)",
                "the same with a RegexSet",
                "events/CPU s",
            ),
            plan.rounds,
            || Ok((rate(&ours, &personal, &|_| ())?, None)),
            || rate(&theirs, &personal, &look),
        )?,
        Row::alternate(
            (
                "admission with a policy that finds nothing (2 threads)",
                "the same without a policy",
                "events/CPU s",
            ),
            plan.rounds,
            || Ok((rate(&ours, &plain, &|_| ())?, None)),
            || rate(&bare, &plain, &|_| ()),
        )?,
    ];
    Ok(rows.into())
}
