//! What is read over HTTP: one event, a proof, and the log as monitors read it (c2sp.org/tlog-tiles). Whoever reads
//! an event is recorded before it is shown.

use audit::{Recorder as _, Selector};
use event::Fact;
use hyper::StatusCode;
use tlog::Tile;
use tlog::tile::Level;

use super::Daemon;
use super::answer::{Answer, Problem, json, of};
use super::routes::Asked;

/// `GET /v1/events/{id}`: the event as it is stored, its index and its proof.
pub(crate) fn event(daemon: &Daemon, asked: &Asked) -> Result<Answer, Problem> {
    let selector = Selector::Id(asked.rest.clone());
    let proved = daemon.session.prove(&selector)?;
    recorded(daemon, asked, "id", &asked.rest)?;
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
        recorded(daemon, asked, "bundle", &tile.index.to_string())?;
    }
    Ok(of(StatusCode::OK, "application/octet-stream", bytes))
}

/// `GET /metrics`.
pub(crate) fn metrics(daemon: &Daemon) -> Result<Answer, Problem> {
    let page = daemon.figures.page(&daemon.session.metrics()?, daemon.intake.in_flight());
    Ok(of(StatusCode::OK, "text/plain; version=0.0.4; charset=utf-8", page))
}

/// Records that the caller reads.
fn recorded(daemon: &Daemon, asked: &Asked, what: &'static str, which: &str) -> Result<(), Problem> {
    let fact = Fact::new("AUDIT.READ")
        .subject("client", asked.caller.name.clone())
        .object(what, which.chars().take(64).collect::<String>())
        .context("via", asked.caller.via.as_str())
        .context("way", "http");
    let fact = match asked.caller.ip {
        Some(ip) => fact.context("ip", ip.to_string()),
        None => fact,
    };
    daemon.session.record(fact)?;
    Ok(())
}
