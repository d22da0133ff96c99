//! `custody audit record`: JSON Lines in, receipts out.
//!
//! One thread reads and offers, the other waits and prints, so that the next events are on their way to the disk
//! while the last are being synced. A batch is what the pipe holds at the moment: a slow writer gets each receipt
//! at once, a fast one pays for few syncs.

use std::io::{self, BufRead, BufReader, Write as _};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use audit::{AuditError, Pending, Receipt, Selector, Session, Verdict};
use clap::Args;
use event::{InvalidComplianceEvent, MAX_OFFERED};

use super::super::Context;
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

pub(crate) const HELP: &str = "\
Each line is one event (docs/formats/event.md). Each receipt is printed after its event is durable, in the order of\n\
the lines. A refused event is named on standard error with its line and the path of every fault; the others are\n\
recorded, and the exit code is 2 in the end. Offering an event again under its id is safe: it is stored once.\n\
An event without `ctx.trace_id` gets that of the environment's TRACEPARENT, as a build or a shell under a trace has it.\n\n\
Examples:\n  $ custody audit record < events.jsonl\n  \
$ custody audit record --proof < events.jsonl > receipts.jsonl";

/// The variable by which a trace is handed to a process (OpenTelemetry, "Environment Variables as Context Propagation
/// Carriers"); its form is that of the header (W3C Trace Context, section 3.2.2).
const TRACEPARENT: &str = "TRACEPARENT";

/// Arguments of `custody audit record`.
#[derive(Args)]
pub(crate) struct RecordArgs {
    /// Print each event's inclusion proof with its receipt
    #[arg(long)]
    proof: bool,
}

/// Bytes read from standard input at a time.
const CHUNK: usize = 256 * 1024;
/// Batches between the two threads.
const IN_FLIGHT: usize = 16;

/// Events that were offered, with the numbers of their lines.
struct Batch<'s> {
    lines: Vec<u64>,
    pending: Pending<'s>,
}

/// Records what comes on standard input.
pub(crate) fn run(args: &RecordArgs, context: &Context) -> Outcome {
    let session = context.session()?;
    let trace = trace(context);
    let (to_printer, batches) = sync_channel(IN_FLIGHT);
    let (refused, seen) = std::thread::scope(|scope| {
        let reader = scope.spawn(move || read(session, trace.as_deref(), &to_printer));
        let printed = Printer { context, session, proof: args.proof }.print(&batches);
        // A printer that failed hangs up, which ends the reader at its next batch; the process need not wait for
        // input that may never come.
        let refused = printed.inspect_err(|failure| std::process::exit(end(failure, context)))?;
        let seen = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        Ok::<_, Failure>((refused, seen.map_err(failure)?))
    })?;
    if refused == 0 {
        return Ok(());
    }
    let text = anyhow::anyhow!("{refused} of {seen} events were refused");
    Err(Failure::input(text).hint("mend the named fields and offer them again; the others are recorded"))
}

/// The trace that this process runs under, if any.
fn trace(context: &Context) -> Option<String> {
    let given = std::env::var(TRACEPARENT).ok().filter(|value| !value.is_empty())?;
    let trace = audit::trace_of(&given);
    if trace.is_none() {
        context.output.remark(&format!("remark: {TRACEPARENT} is not a traceparent, and is left alone"));
    }
    trace
}

/// The event under the trace, where it names none. What is no event stays as it is: admission says why.
fn traced(offered: Vec<u8>, trace: &str) -> Vec<u8> {
    match event::validate(&offered) {
        Ok(mut event) if event.ctx.get("trace_id").is_none() => {
            event.ctx.set("trace_id", trace);
            event.canonical()
        }
        _ => offered,
    }
}

/// Reads to the end and offers; how many events there were.
fn read<'s>(
    session: &'s Session,
    trace: Option<&str>,
    batches: &SyncSender<Batch<'s>>,
) -> Result<u64, AuditError> {
    let mut input = BufReader::with_capacity(CHUNK, io::stdin());
    let mut lines = Lines::default();
    let mut seen = 0;
    loop {
        let more = lines.take_chunk(&mut input).map_err(|source| AuditError::Io {
            what: "read",
            path: "standard input".into(),
            source,
        })?;
        let whole = std::mem::take(&mut lines.whole);
        if !whole.is_empty() {
            let (numbers, mut offered): (Vec<u64>, Vec<Vec<u8>>) = whole.into_iter().unzip();
            if let Some(trace) = trace {
                offered = offered.into_iter().map(|event| traced(event, trace)).collect();
            }
            seen += numbers.len() as u64;
            let batch = Batch { lines: numbers, pending: session.submit(offered)? };
            if batches.send(batch).is_err() {
                return Ok(seen); // the printer knows why
            }
        }
        if !more {
            return Ok(seen);
        }
    }
}

/// Splits a stream into lines. Of a line that no event can be, just enough is kept for admission to refuse it.
#[derive(Default)]
struct Lines {
    whole: Vec<(u64, Vec<u8>)>,
    partial: Vec<u8>,
    number: u64,
}

impl Lines {
    /// Takes what is there now; whether there may be more.
    fn take_chunk(&mut self, input: &mut impl BufRead) -> io::Result<bool> {
        let chunk = loop {
            match input.fill_buf() {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                chunk => break chunk?,
            }
        };
        let taken = chunk.len();
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|&b| b == b'\n') {
            self.extend(&rest[..end]);
            self.end_line();
            rest = &rest[end + 1..];
        }
        self.extend(rest);
        if taken == 0 {
            self.end_line();
        }
        input.consume(taken);
        Ok(taken > 0)
    }

    fn extend(&mut self, bytes: &[u8]) {
        let room = (MAX_OFFERED + 1).saturating_sub(self.partial.len());
        self.partial.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// An empty line is no event.
    fn end_line(&mut self) {
        self.number += 1;
        let line = std::mem::take(&mut self.partial);
        if !line.iter().all(u8::is_ascii_whitespace) {
            self.whole.push((self.number, line));
        }
    }
}

struct Printer<'a> {
    context: &'a Context,
    session: &'a Session,
    proof: bool,
}

impl Printer<'_> {
    /// Prints what is answered; how many were refused.
    fn print(&self, batches: &Receiver<Batch<'_>>) -> Result<u64, Failure> {
        let mut refused = 0;
        while let Ok(batch) = batches.recv() {
            let verdicts = batch.pending.wait().map_err(failure)?;
            let mut receipts = String::with_capacity(verdicts.len() * 80);
            for (line, verdict) in batch.lines.into_iter().zip(verdicts) {
                refused += u64::from(verdict.is_err());
                self.verdict(line, verdict, &mut receipts)?;
            }
            self.context.output.text(&receipts)?;
        }
        Ok(refused)
    }

    fn verdict(&self, line: u64, verdict: Verdict, receipts: &mut String) -> Outcome {
        match verdict {
            Ok(receipt) => receipts.push_str(&self.receipt(receipt)?),
            Err(refusal) => refuse(line, &refusal, self.context.output.json),
        }
        Ok(())
    }

    fn receipt(&self, receipt: Receipt) -> Result<String, Failure> {
        let Receipt { id, index } = receipt;
        if !self.proof {
            return Ok(format!("{{\"id\":\"{id}\",\"index\":{index}}}\n"));
        }
        let proof = self.session.prove(&Selector::Index(index)).map_err(failure)?.proof;
        let document = serde_json::json!({ "id": id.to_string(), "index": index, "proof": proof });
        Ok(format!("{document}\n"))
    }
}

/// Names a refused line and every fault on standard error.
fn refuse(line: u64, refusal: &InvalidComplianceEvent, json: bool) {
    let mut text = if json {
        let document = serde_json::json!({
            "line": line, "error": "InvalidComplianceEvent", "faults": refusal.faults,
        });
        document.to_string()
    } else {
        let faults: Vec<String> = refusal.faults.iter().map(|fault| format!("\n  {fault}")).collect();
        format!("line {line}: InvalidComplianceEvent{}", faults.concat())
    };
    text.push('\n');
    let _ = io::stderr().write_all(text.as_bytes()); // nobody left to tell
}

/// Reports a failure that cannot wait for the reader.
fn end(failure: &Failure, context: &Context) -> i32 {
    i32::from(failure.tell(context.output.json))
}
