//! How the last heart ended: what a new owner sees when it looks back.

use event::{Event, Fact, Severity};

use super::clocks::{Reading, boot_id};
use super::{CLOSED, GAP, HEARTBEAT, Pulse, STEP, own};
use crate::AuditError;
use crate::query::{Filter, Found};
use crate::session::Session;

/// The last sign of life, and what it said of the clocks.
struct Sign {
    index: u64,
    closed: bool,
    ts: String,
    wall: i64,
    boot: i64,
    boot_id: Option<String>,
}

/// What has to be recorded of the time between the last sign of life and now.
pub(super) fn look_back(session: &Session, pulse: Pulse, now: Reading) -> Result<Vec<Fact>, AuditError> {
    let signs = [last(session, HEARTBEAT)?, last(session, CLOSED)?];
    let Some(sign) = signs.into_iter().flatten().max_by_key(|sign| sign.index) else { return Ok(Vec::new()) };
    let mut facts = Vec::new();
    let step = step(&sign, now);
    if step.abs() >= i64::try_from(pulse.tolerance.step.as_millis()).unwrap_or(i64::MAX) {
        facts.push(own(STEP, Severity::Warn).context("by_ms", step.to_string()).context("while", "closed"));
    }
    let away = (now.wall - step - sign.wall).max(0);
    // An end that was not said is told whatever its length; one in order when nothing was heard for two beats.
    let long = away >= i64::try_from(pulse.interval.as_millis()).unwrap_or(i64::MAX).saturating_mul(2);
    if !sign.closed || long {
        let (kind, severity) =
            if sign.closed { ("closed", Severity::Info) } else { ("died", Severity::Warn) };
        let gap = own(GAP, severity)
            .object("after", sign.index.to_string())
            .context("kind", kind)
            .context("since", sign.ts)
            .context("seconds", format!("{}.{:03}", away / 1000, away % 1000));
        facts.push(gap);
    }
    Ok(facts)
}

/// By how much the wall clock was set meanwhile, as far as can be known: within one run of the machine its own clock
/// tells; otherwise only that the time of now lies before the last one.
fn step(sign: &Sign, now: Reading) -> i64 {
    let same_run = sign.boot_id.is_some() && sign.boot_id == boot_id() && now.boot >= sign.boot;
    if same_run { (now.wall - sign.wall) - (now.boot - sign.boot) } else { (now.wall - sign.wall).min(0) }
}

fn last(session: &Session, act: &str) -> Result<Option<Sign>, AuditError> {
    let filter = Filter { act: Some(act.to_owned()), reverse: true, limit: Some(1), ..Filter::default() };
    let mut sign = None;
    session.query(&filter, &mut |found| {
        sign = read(&found);
        Ok(())
    })?;
    Ok(sign)
}

fn read(found: &Found) -> Option<Sign> {
    let event: Event<'_> = event::validate(&found.stored).ok()?;
    let number = |name: &str| event.ctx.get(name)?.parse::<i64>().ok();
    Some(Sign {
        index: found.index,
        closed: event.act == CLOSED,
        ts: event.ts.to_string(),
        wall: number("clock.wall_ms")?,
        boot: number("clock.boot_ms")?,
        boot_id: event.ctx.get("clock.boot_id").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sign(boot_id: Option<String>) -> Sign {
        Sign { index: 7, closed: true, ts: String::new(), wall: 1_000_000, boot: 5000, boot_id }
    }

    #[test]
    fn within_one_run_of_the_machine_a_set_clock_is_seen_both_ways() {
        let Some(id) = boot_id() else { return };
        let now = |wall, boot| Reading { wall, boot, mono: boot };
        assert_eq!(step(&sign(Some(id.clone())), now(1_060_000, 65_000)), 0);
        assert_eq!(step(&sign(Some(id.clone())), now(4_660_000, 65_000)), 3_600_000);
        assert_eq!(step(&sign(Some(id)), now(460_000, 65_000)), -600_000);
    }

    #[test]
    fn across_runs_only_backwards_is_certain() {
        let now = |wall| Reading { wall, boot: 9000, mono: 9000 };
        assert_eq!(step(&sign(Some("another".into())), now(9_000_000)), 0);
        assert_eq!(step(&sign(Some("another".into())), now(400_000)), -600_000);
        assert_eq!(step(&sign(None), now(400_000)), -600_000);
    }
}
