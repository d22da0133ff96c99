//! Whether a log has an entry: the promise of Rekor v1, and the path to a signed tree head.

use pkix::Time;
use signing::Verifier as _;
use tlog::{Hash, Sha256, TreeHash as _};

use super::bundle::{LogEntry, Version};
use super::checkpoint;
use super::root::Log;
use crate::base64_text::encode;

/// What a log proves of an entry.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Logged {
    /// The log's own time, where it signed one.
    pub(crate) time: Option<Time>,
    /// Name in the checkpoint.
    pub(crate) origin: String,
}

/// Checks an entry against the logs that are trusted; `times` are moments that others proved.
pub(crate) fn check(
    entry: &LogEntry,
    version: Version,
    logs: &[Log],
    times: &[Time],
    now: Time,
) -> Result<Logged, String> {
    if entry.log_index < 0 || entry.integrated_time < 0 {
        return Err("an index or a time of the log entry is negative".into());
    }
    let promised = entry.inclusion_promise.as_ref().filter(|p| !p.signed_entry_timestamp.is_empty());
    if version == Version::V0_1 && promised.is_none() {
        return Err("a bundle of version 0.1 needs the log's promise".into());
    }
    let mut refused = "the log is not among those that are trusted".to_owned();
    for log in logs.iter().filter(|log| is_of(entry, log)) {
        match by(entry, version, log, times, now) {
            Ok(logged) => return Ok(logged),
            Err(why) => refused = why,
        }
    }
    Err(refused)
}

/// Whether one of `logs` is the entry's.
pub(crate) fn is_known(entry: &LogEntry, logs: &[Log]) -> bool {
    logs.iter().any(|log| is_of(entry, log))
}

fn is_of(entry: &LogEntry, log: &Log) -> bool {
    let note = entry.inclusion_proof.as_ref().and_then(|proof| proof.checkpoint.as_ref());
    let origin = note.and_then(|note| note.envelope.lines().next()).unwrap_or_default();
    log.id == entry.log_id.key_id || checkpoint::ids(&log.key, origin).any(|id| id == entry.log_id.key_id)
}

fn by(entry: &LogEntry, version: Version, log: &Log, times: &[Time], now: Time) -> Result<Logged, String> {
    let time = promise(entry, log, now)?;
    let moments = times.iter().copied().chain(time);
    if moments.clone().next().is_some() && !moments.clone().any(|at| log.valid.has(at)) {
        return Err("the log's key did not count at that time".into());
    }
    let origin = match &entry.inclusion_proof {
        Some(proof) if proof.checkpoint.is_some() || version > Version::V0_1 => included(entry, log)?,
        _ if version > Version::V0_1 => return Err("the log entry has no inclusion proof".into()),
        _ if time.is_some() => String::new(),
        _ => return Err("the log entry has neither proof nor promise".into()),
    };
    Ok(Logged { time, origin })
}

/// The time in the log's promise, if there is a promise; one that does not verify condemns the entry.
fn promise(entry: &LogEntry, log: &Log, now: Time) -> Result<Option<Time>, String> {
    let promise = entry.inclusion_promise.as_ref().filter(|p| !p.signed_entry_timestamp.is_empty());
    let Some(promise) = promise else { return Ok(None) };
    // The canonical JSON (RFC 8785) of the four, as rekor's client specification has it.
    let message = format!(
        "{{\"body\":\"{}\",\"integratedTime\":{},\"logID\":\"{}\",\"logIndex\":{}}}",
        encode(&entry.canonicalized_body),
        entry.integrated_time,
        hex::encode(&entry.log_id.key_id),
        entry.log_index
    );
    log.key
        .verify(message.as_bytes(), &promise.signed_entry_timestamp)
        .map_err(|_| "the log's promise does not verify")?;
    let time = Time(entry.integrated_time);
    match time > now {
        true => Err("the log's time lies in the future".into()),
        false => Ok(Some(time)),
    }
}

/// The name of the log whose signed head leads to the entry.
fn included(entry: &LogEntry, log: &Log) -> Result<String, String> {
    let proof = entry.inclusion_proof.as_ref().ok_or("the log entry has no inclusion proof")?;
    let note = proof.checkpoint.as_ref().ok_or("the inclusion proof has no checkpoint")?;
    let head = checkpoint::open(&note.envelope, log)?;
    let natural = |number: i64| u64::try_from(number).map_err(|_| "a number of the proof is negative");
    let (index, size) = (natural(proof.log_index)?, natural(proof.tree_size)?);
    if size != head.size || proof.root_hash != head.root {
        return Err("the inclusion proof is of another tree than the checkpoint".into());
    }
    let path: Vec<Hash> = proof
        .hashes
        .iter()
        .map(|hash| Hash::try_from(hash.0.as_slice()).map_err(|_| "a hash of the path is not of 32 bytes"))
        .collect::<Result<_, _>>()?;
    let leaf = Sha256::leaf(&entry.canonicalized_body);
    tlog::verify_inclusion::<Sha256>(&leaf, index, size, &path, &head.root).map_err(|e| e.to_string())?;
    Ok(head.origin)
}
