//! `POST /v1/logs`: OTLP/HTTP. Records become events; those that are not admitted are named in `partial_success`.

use audit::intake::otlp::{self, Encoding};
use hyper::StatusCode;
use hyper::body::Bytes;

use super::Daemon;
use super::answer::{Answer, Problem, of};
use super::body::{Packing, unpack};
use super::routes::Asked;
use super::store::{Stored, store};

/// Refusals that are described; the rest is counted.
const MAX_DESCRIBED: usize = 5;

/// Records the records of a body.
pub(crate) fn record(
    daemon: &Daemon,
    asked: &Asked,
    encoding: Encoding,
    body: Bytes,
    packing: Packing,
) -> Result<Answer, Problem> {
    let body = unpack(body, packing, daemon.settings.max_body)?;
    let groups = otlp::decode(&body, encoding).map_err(|e| Problem::bad(e.to_string()))?;
    let events = otlp::map(groups, daemon.settings.otlp_act.as_deref(), audit::now());
    let verdicts =
        if events.is_empty() { Vec::new() } else { store(daemon, "otlp", &events, &asked.caller)? };
    let refusals: Vec<_> =
        verdicts.iter().zip(0..).filter_map(|(verdict, n)| refusal(verdict).map(|e| (n, e))).collect();
    let rejected = refusals.len() as u64;
    daemon.figures.events("otlp", "accepted", verdicts.len() as u64 - rejected);
    daemon.figures.events("otlp", "refused", rejected);
    let why: Vec<String> = refusals
        .iter()
        .take(MAX_DESCRIBED)
        .map(|(n, refusal): &(i32, _)| format!("record {n}: {refusal}"))
        .collect();
    let answer = otlp::partial_success(encoding, rejected, &why.join("\n"));
    Ok(of(StatusCode::OK, encoding.media_type(), answer))
}

fn refusal(verdict: &Stored) -> Option<&event::InvalidComplianceEvent> {
    match verdict {
        Stored::Refused(refusal) => Some(refusal),
        Stored::Recorded(_) | Stored::Waiting(_) => None,
    }
}

/// A problem as exporters read it; those that come without a known type get protobuf.
pub(crate) fn problem(problem: Problem, encoding: Option<Encoding>) -> Answer {
    let encoding = encoding.unwrap_or(Encoding::Protobuf);
    let body = otlp::status(encoding, problem.status.as_u16(), &problem.detail);
    let mut answer = problem.answer();
    let kind = hyper::header::HeaderValue::from_static(encoding.media_type());
    answer.headers_mut().insert(hyper::header::CONTENT_TYPE, kind);
    *answer.body_mut() = http_body_util::Full::new(body.into());
    answer
}
