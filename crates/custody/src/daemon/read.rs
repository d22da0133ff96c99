//! What is read over HTTP: one event, a proof, and the log as monitors read it (c2sp.org/tlog-tiles). Whoever reads
//! an event is recorded before it is shown.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use audit::{Reader, Recorder as _, Selector};
use event::Fact;
use hyper::StatusCode;
use tlog::tile::Level;
use tlog::{TILE_WIDTH, Tile};

use super::Daemon;
use super::answer::{Answer, Problem, json, of};
use super::routes::Asked;

/// How long a trace counts as seen lately when nothing is said.
const FIVE_MINUTES: Duration = Duration::from_secs(300);

/// `GET /v1/events/{id}`: the event as it is stored, its index and its proof.
pub(crate) fn event(daemon: &Daemon, asked: &Asked) -> Result<Answer, Problem> {
    let proved = daemon.session.prove_as(&reader(asked), &Selector::Id(asked.rest.clone()))?;
    Ok(json(StatusCode::OK, &proved))
}

/// `GET /v1/proof/{index}`: the proof without the event, as `.tlog-proof`.
pub(crate) fn proof(daemon: &Daemon, asked: &Asked) -> Result<Answer, Problem> {
    let index = asked.rest.parse().map_err(|_| Problem::bad("an index is a decimal number"))?;
    let proved = daemon.session.prove(&Selector::Index(index))?;
    Ok(of(StatusCode::OK, "text/plain; charset=utf-8", proved.proof))
}

/// `GET /checkpoint`: the newest that is published.
pub(crate) fn checkpoint(daemon: &Daemon) -> Result<Answer, Problem> {
    Ok(of(StatusCode::OK, "text/plain; charset=utf-8", daemon.session.published_checkpoint()?))
}

/// `GET /tile/…`: hashes for every monitor; a bundle of entries is a reading of events.
pub(crate) fn tile(daemon: &Daemon, asked: &Asked) -> Result<Answer, Problem> {
    let path = format!("tile/{}", asked.rest);
    let tile = Tile::parse(&path).map_err(|e| Problem::not_found(e.to_string()))?;
    let bytes = daemon.session.tile(tile)?.ok_or_else(|| Problem::not_found("the log has no such tile"))?;
    if tile.level == Level::Entries {
        reading(daemon, asked, tile.index)?;
    }
    Ok(of(StatusCode::OK, "application/octet-stream", bytes))
}

/// `GET /v1/trace/{id}/seen?within=5m`: whether an event with this trace id came in lately. Says nothing else of it.
pub(crate) fn seen(daemon: &Daemon, asked: &Asked) -> Result<Answer, Problem> {
    let id = asked.rest.strip_suffix("/seen").filter(|id| !id.is_empty() && !id.contains('/'));
    let id = id.ok_or_else(|| Problem::not_found("ask for /v1/trace/ID/seen"))?;
    let within = match asked.query.get("within") {
        None => FIVE_MINUTES,
        Some(text) => duration(text).ok_or_else(|| Problem::bad("`within` is a time as 30s, 5m or 1h"))?,
    };
    let seen = daemon.session.trace_seen(id, within)?;
    Ok(json(StatusCode::OK, &serde_json::json!({ "seen": seen })))
}

fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        _ => return None,
    };
    Some(Duration::from_secs(number.parse::<u64>().ok()?.checked_mul(seconds)?))
}

/// `GET /metrics`.
pub(crate) fn metrics(daemon: &Daemon) -> Result<Answer, Problem> {
    let page =
        daemon.figures.page(&daemon.session.metrics()?, daemon.intake.in_flight(), daemon.alarm.figures());
    Ok(of(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page))
}

fn reader(asked: &Asked) -> Reader {
    let reader = Reader::new("client", asked.caller.name.clone(), "http");
    let reader = reader.with("name_by", asked.caller.via.as_str());
    match asked.caller.ip {
        Some(ip) => reader.with("ip", &ip.to_string()),
        None => reader,
    }
}

/// How long a caller reads on under one event.
const READING: Duration = Duration::from_secs(300);
/// Callers whose readings are remembered; beyond that each bundle is an event again.
const MAX_READINGS: usize = 4096;

/// What callers were recorded to read: bundles from one on to the last there was, for five minutes.
#[derive(Default)]
pub(crate) struct Readings(Mutex<HashMap<String, (Instant, u64, u64)>>);

/// A monitor reads thousands of bundles one after another: one event says from which on to which, before the first is
/// shown. What it then reads of that within five minutes needs no other.
fn reading(daemon: &Daemon, asked: &Asked, bundle: u64) -> Result<(), Problem> {
    let caller = &asked.caller;
    let key = format!("{}\0{}\0{:?}", caller.name, caller.via.as_str(), caller.ip);
    let mut readings = daemon.readings.0.lock().unwrap_or_else(PoisonError::into_inner);
    readings.retain(|_, (since, ..)| since.elapsed() < READING);
    if readings.get(&key).is_some_and(|(_, from, to)| (*from..=*to).contains(&bundle)) {
        return Ok(());
    }
    let size = daemon.session.metrics()?.published;
    let to = (size.saturating_sub(1) / TILE_WIDTH).max(bundle);
    recorded(daemon, asked, bundle, to)?;
    if readings.len() < MAX_READINGS {
        readings.insert(key, (Instant::now(), bundle, to));
    }
    Ok(())
}

/// Records that the caller reads a part of the log.
fn recorded(daemon: &Daemon, asked: &Asked, from: u64, to: u64) -> Result<(), Problem> {
    let fact = Fact::new("AUDIT.READ")
        .subject("client", asked.caller.name.clone())
        .object("bundles_from", from.to_string())
        .object("bundles_to", to.to_string())
        .context("for_seconds", READING.as_secs().to_string())
        .context("via", "http")
        .context("name_by", asked.caller.via.as_str());
    let fact = match asked.caller.ip {
        Some(ip) => fact.context("ip", ip.to_string()),
        None => fact,
    };
    daemon.session.record(fact)?;
    Ok(())
}
