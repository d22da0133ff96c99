//! `custody probe http`: requests, as they end.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;

use jiff::Timestamp;
use probe::engine::{Lost, PAUSE};
use probe::http::{Ending, Options, Probe, Request, Side};
use serde::Serialize;

use super::clock::Clock;
use super::func::{duration, unseen};
use super::live::Live;
use super::routes::Routes;
use super::until::Until;
use super::{Act, HttpArgs, failure};
use crate::cmd::Context;
use crate::failure::Outcome;

/// One request, as `--json` prints it.
#[derive(Serialize)]
struct Line<'a> {
    time: Timestamp,
    side: Side,
    #[serde(skip_serializing_if = "finished")]
    ending: Ending,
    method: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    query: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    truncated: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    partial: bool,
    /// 0 where there was no response.
    status: u16,
    bytes: Option<u64>,
    request_bytes: Option<u64>,
    duration_ns: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a str>,
    goroutine: u64,
    pid: u32,
    host: &'a str,
    #[serde(skip_serializing_if = "str::is_empty")]
    remote: &'a str,
    protocol: String,
    tls: bool,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn finished(ending: &Ending) -> bool {
    *ending == Ending::Finished
}

/// The last line.
#[derive(Serialize, Default)]
struct End {
    seconds: f64,
    requests: u64,
    statuses: BTreeMap<u16, u64>,
    lost: Lost,
}

pub(super) fn run(args: &HttpArgs, context: &Context) -> Outcome {
    let target = args.target.open()?;
    let both = !args.server && !args.client;
    let options = Options { server: args.server || both, client: args.client || both };
    let until = Until::watch(args.target.duration, args.target.pid)?;
    let mut probe = Probe::attach(&target, options).map_err(failure)?;
    let seen = probe.seen();
    let mut what = Vec::new();
    what.extend((seen.server || seen.streams).then_some("server"));
    what.extend(seen.client.then_some("client"));
    let target = args.target.name();
    let mut act =
        Act { action: "PROBE.ATTACHED", probe: "http", target, what: what.join(" "), seen: 0, lost: 0 };
    context.note(&act)?;
    if !seen.traces {
        context
            .output
            .remark("remark: the layout of this program's headers is not understood: no traces are shown");
    }
    let clock = Clock::now();
    let mut end = End::default();
    let drawn = !context.output.json && !args.lines && std::io::stdout().is_terminal();
    let mut live =
        drawn.then(|| Live::open(format!("custody probe http  {}", args.target.name()))).transpose()?;
    let mut routes = Routes::default();
    loop {
        let mut goes_on = until.goes_on();
        if let Some(live) = &mut live {
            goes_on &= live.turn(&routes, probe.lost().map_err(failure)?.no_room)?;
        }
        let mut lines = String::new();
        let handed = probe.drain(|request| {
            end.requests += 1;
            *end.statuses.entry(request.status).or_default() += 1;
            match live {
                Some(_) => routes.add(&request),
                None => write_line(&mut lines, &request, args, context, &clock),
            }
        });
        if !lines.is_empty() {
            context.output.text(&lines)?;
        }
        if !goes_on && handed == 0 {
            break;
        }
        if handed == 0 {
            std::thread::sleep(PAUSE);
        }
    }
    drop(live);
    end.seconds = until.elapsed().as_secs_f64();
    end.lost = probe.lost().map_err(failure)?;
    act.action = "PROBE.ENDED";
    act.seen = end.requests;
    act.lost = end.lost.no_room + end.lost.unreadable + end.lost.forgotten;
    context.note(&act)?;
    if context.output.json {
        return context.output.json_line(&end);
    }
    context.output.remark(&format!("{} requests in {:.1} s{}", end.requests, end.seconds, unseen(&end.lost)));
    Ok(())
}

fn write_line(lines: &mut String, request: &Request, args: &HttpArgs, context: &Context, clock: &Clock) {
    let line = Line {
        time: clock.at(request.header.time),
        side: request.side,
        ending: request.ending,
        method: &request.method,
        path: request.path(),
        query: request.query().filter(|_| args.query),
        truncated: request.truncated,
        partial: request.partial,
        status: request.status,
        bytes: request.bytes,
        request_bytes: request.request_bytes,
        duration_ns: request.duration,
        traceparent: request.traceparent.as_deref(),
        goroutine: request.header.goroutine,
        pid: request.header.process,
        host: &request.host,
        remote: &request.remote,
        protocol: format!("HTTP/{}.{}", request.version.0, request.version.1),
        tls: request.tls,
    };
    let _ = if context.output.json {
        writeln!(lines, "{}", serde_json::to_string(&line).unwrap_or_default())
    } else {
        writeln!(lines, "{}", text(&line))
    };
}

/// One line for people. What a client sent is shown without its control characters.
fn text(line: &Line<'_>) -> String {
    let status = match line.ending {
        Ending::Finished => line.status.to_string(),
        Ending::Hijacked => "taken over".to_owned(),
        Ending::Aborted => "panicked".to_owned(),
        Ending::Failed => "failed".to_owned(),
    };
    let (arrow, peer) = match line.side {
        Side::Server => ("<-", line.remote),
        Side::Client => ("->", line.host),
    };
    let query = line.query.map(|query| format!("?{query}")).unwrap_or_default();
    let path: String = format!("{}{query}", line.path)
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect();
    let bytes = line.bytes.map_or_else(|| "-".to_owned(), |bytes| format!("{bytes} B"));
    let time = line.time.strftime("%H:%M:%S%.3f");
    let took = duration(line.duration_ns);
    format!("{time} {arrow} {status:>3} {took:>9} {bytes:>9}  {} {path}  {peer}", line.method)
}
