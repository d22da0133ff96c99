//! `custody probe func`: calls of functions, and their durations.

use std::fmt::Write as _;

use probe::engine::{Lost, PAUSE};
use probe::func::{Call, Options, Probe, Shown, Totals, Watched};
use serde::Serialize;

use super::clock::Clock;
use super::until::Until;
use super::{Act, FuncArgs, failure};
use crate::cmd::Context;
use crate::failure::{Failure, Outcome};

/// Functions that a remark names.
const NAMED: usize = 3;

/// One function, as `--json` prints it at the end.
#[derive(Serialize)]
struct Line<'a> {
    function: &'a str,
    #[serde(flatten)]
    totals: &'a Totals,
    #[serde(skip_serializing_if = "Option::is_none")]
    p50_ns: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    p99_ns: Option<u64>,
    /// (2^n nanoseconds, how many took so long or longer, but less than the next)
    histogram: Vec<(u64, u64)>,
}

/// The last line.
#[derive(Serialize)]
struct End {
    seconds: f64,
    lost: Lost,
}

pub(super) fn run(args: &FuncArgs, context: &Context) -> Outcome {
    let target = args.target.open()?;
    let twin = args.debug_from.as_deref().map(read_twin).transpose()?;
    let options =
        Options { names: args.names.clone(), durations: !args.calls_only, arguments: args.args, twin };
    let until = Until::watch(args.target.duration, args.target.pid)?;
    let mut probe = Probe::attach(&target, &options).map_err(failure)?;
    let mut act = Act {
        action: "PROBE.ATTACHED",
        probe: "func",
        target: args.target.name(),
        what: args.names.join(" "),
        seen: 0,
        lost: 0,
    };
    context.note(&act)?;
    remark_costs(context, probe.watched(), &options);
    let clock = Clock::now();
    loop {
        let goes_on = until.goes_on();
        let mut lines = String::new();
        let handed = probe.drain(|function, call| write_call(&mut lines, function, &call, context, &clock));
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
    let seconds = until.elapsed().as_secs_f64();
    let (totals, lost) = (probe.totals().map_err(failure)?, probe.lost().map_err(failure)?);
    let rows: Vec<(&Watched, &Totals)> = probe.watched().iter().zip(&totals).collect();
    act.action = "PROBE.ENDED";
    act.seen = totals.iter().map(|t| t.calls).sum();
    act.lost = lost.no_room + lost.unreadable + lost.forgotten;
    context.note(&act)?;
    if !context.output.json {
        return context.output.text(&text(&rows, &lost, seconds));
    }
    for (watched, totals) in rows {
        context.output.json_line(&Line::new(watched, totals))?;
    }
    context.output.json_line(&End { seconds, lost })
}

/// One call with its arguments, as `--json` prints it.
#[derive(Serialize)]
struct CallLine<'a> {
    time: jiff::Timestamp,
    call: &'a str,
    pid: u32,
    goroutine: u64,
    arguments: &'a [Shown],
}

fn write_call(lines: &mut String, function: &Watched, call: &Call, context: &Context, clock: &Clock) {
    let (pid, goroutine) = (call.header.process, call.header.goroutine);
    let time = clock.at(call.header.time);
    let _ = if context.output.json {
        let line = CallLine { time, call: &function.name, pid, goroutine, arguments: &call.arguments };
        writeln!(lines, "{}", serde_json::to_string(&line).unwrap_or_default())
    } else {
        // As JSON, texts have their control characters escaped.
        let shown = |argument: &Shown| format!("{}={}", argument.name, argument.value);
        let arguments: Vec<String> = call.arguments.iter().map(shown).collect();
        let time = time.strftime("%H:%M:%S%.3f");
        writeln!(lines, "{time} goroutine {goroutine}  {}({})", function.name, arguments.join(", "))
    };
}

fn read_twin(path: &std::path::Path) -> Result<Vec<u8>, Failure> {
    let target = probe::Target::executable(path).map_err(failure)?;
    Ok(target.bytes().to_vec())
}

impl<'a> Line<'a> {
    fn new(watched: &'a Watched, totals: &'a Totals) -> Self {
        let counts = totals.histogram.iter().enumerate().filter(|(_, count)| **count > 0);
        Self {
            function: &watched.name,
            totals,
            p50_ns: totals.quantile(0.5),
            p99_ns: totals.quantile(0.99),
            histogram: counts.map(|(bucket, count)| (1u64 << bucket, *count)).collect(),
        }
    }
}

/// Says which functions are slowed down by twenty microseconds a call rather than one.
fn remark_costs(context: &Context, watched: &[Watched], options: &Options) {
    let stepped = |w: &&Watched| !w.cheap_entry || options.durations && w.stepped_returns > 0;
    let named: Vec<&str> = watched.iter().filter(stepped).map(|w| w.name.as_str()).collect();
    if let Some(first) = named.get(..named.len().min(NAMED)).filter(|first| !first.is_empty()) {
        let more =
            if named.len() > NAMED { format!(" and {} more", named.len() - NAMED) } else { String::new() };
        context.output.remark(&format!(
            "remark: {} of {} functions have no cheap instruction at their beginning or at an end, where a call costs \
             about 20 µs more: {}{more}",
            named.len(),
            watched.len(),
            first.join(", ")
        ));
    }
}

fn text(rows: &[(&Watched, &Totals)], lost: &Lost, seconds: f64) -> String {
    let mut out = format!("{:>10} {:>10} {:>10} {:>10}  function\n", "calls", "p50 <=", "p99 <=", "longest");
    let mut sorted = rows.to_vec();
    sorted.sort_by_key(|(_, totals)| std::cmp::Reverse(totals.calls));
    for (watched, totals) in sorted {
        let at = |share| totals.quantile(share).map_or_else(|| "-".to_owned(), duration);
        let longest = if totals.returns > 0 { duration(totals.longest_ns) } else { "-".to_owned() };
        let (p50, p99) = (at(0.5), at(0.99));
        let _ = writeln!(out, "{:>10} {p50:>10} {p99:>10} {longest:>10}  {}", totals.calls, watched.name);
    }
    let _ = writeln!(out, "in {seconds:.1} s{}", unseen(lost));
    out
}

/// What was lost, in words; nothing when nothing was.
pub(super) fn unseen(lost: &Lost) -> String {
    let told = [
        (lost.no_room, "records found no room"),
        (lost.unreadable, "could not be read"),
        (lost.forgotten, "calls were forgotten before their end"),
        (lost.unmatched, "ends of calls that had begun before"),
    ];
    told.iter().filter(|(count, _)| *count > 0).fold(String::new(), |mut all, (count, what)| {
        let _ = write!(all, "; {count} {what}");
        all
    })
}

/// A duration as people write it.
pub(super) fn duration(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{}.{} µs", ns / 1_000, ns % 1_000 / 100),
        1_000_000..1_000_000_000 => format!("{}.{} ms", ns / 1_000_000, ns % 1_000_000 / 100_000),
        _ => format!("{}.{} s", ns / 1_000_000_000, ns % 1_000_000_000 / 100_000_000),
    }
}
