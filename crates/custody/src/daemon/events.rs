//! `POST /v1/events`: a body of events in, a verdict for each out, after what was accepted is durable.

use audit::intake::{Form, split};
use audit::{Receipt, Selector};
use hyper::StatusCode;
use hyper::body::Bytes;
use serde::Serialize;

use super::Daemon;
use super::answer::{Answer, Problem, json};
use super::body::{Packing, unpack};
use super::routes::Asked;
use super::store::{Stored, store};

/// Events of one request whose proofs may be asked for: each has its own.
const MAX_PROOFS: usize = 256;

#[derive(Serialize)]
struct Answered {
    accepted: u64,
    refused: u64,
    /// In the order of the events.
    verdicts: Vec<Shown>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Shown {
    Accepted {
        id: String,
        index: u64,
        #[serde(skip_serializing_if = "Option::is_none")]
        proof: Option<String>,
    },
    /// Durable, and without an index until the disk has room.
    Waiting {
        id: String,
        waiting: bool,
    },
    Refused {
        error: &'static str,
        faults: Vec<event::Fault>,
    },
}

/// How the events stand in a body of this type.
pub(crate) fn form(media_type: &str) -> Result<Form, Problem> {
    match media_type {
        "application/json" => Ok(Form::Json),
        "application/x-ndjson" | "application/jsonl" | "application/json-lines" => Ok(Form::Lines),
        _ => Err(Problem::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "events come as application/json or application/x-ndjson",
        )),
    }
}

/// Records the events of a body.
pub(crate) fn record(
    daemon: &Daemon,
    asked: &Asked,
    form: Form,
    body: Bytes,
    packing: Packing,
) -> Result<Answer, Problem> {
    let body = unpack(body, packing, daemon.settings.max_body)?;
    let offered = split(&body, form).map_err(|e| Problem::bad(e.to_string()))?;
    let proofs = match asked.query.get("proof") {
        None | Some("0" | "false") => false,
        Some("" | "1" | "true") => true,
        Some(_) => return Err(Problem::bad("`proof` is 1 or 0")),
    };
    if proofs && offered.len() > MAX_PROOFS {
        return Err(Problem::bad(format!("proofs are given for at most {MAX_PROOFS} events at a time")));
    }
    let offered: Vec<Vec<u8>> = offered.into_iter().map(<[u8]>::to_vec).collect();
    let verdicts = store(daemon, "http", &offered, &asked.caller)?;
    let count = |which: fn(&Stored) -> bool| verdicts.iter().filter(|verdict| which(verdict)).count() as u64;
    let refused = count(|verdict| matches!(verdict, Stored::Refused(_)));
    let waiting = count(|verdict| matches!(verdict, Stored::Waiting(_)));
    let accepted = verdicts.len() as u64 - refused;
    daemon.figures.events("http", "accepted", accepted - waiting);
    daemon.figures.events("http", "spilled", waiting);
    daemon.figures.events("http", "refused", refused);
    let verdicts =
        verdicts.into_iter().map(|verdict| shown(daemon, verdict, proofs)).collect::<Result<_, _>>()?;
    // A caller that looks at the status alone must not take a refusal for success.
    let status = match (refused, waiting) {
        (0, 0) => StatusCode::OK,
        (0, _) => StatusCode::ACCEPTED,
        _ => StatusCode::UNPROCESSABLE_ENTITY,
    };
    Ok(json(status, &Answered { accepted, refused, verdicts }))
}

fn shown(daemon: &Daemon, verdict: Stored, proofs: bool) -> Result<Shown, Problem> {
    match verdict {
        Stored::Waiting(id) => Ok(Shown::Waiting { id: id.to_string(), waiting: true }),
        Stored::Refused(refusal) => {
            Ok(Shown::Refused { error: "InvalidComplianceEvent", faults: refusal.faults })
        }
        Stored::Recorded(Receipt { id, index }) => {
            let prove = || daemon.session.prove(&Selector::Index(index)).map(|proved| proved.proof);
            let proof = if proofs { Some(prove()?) } else { None };
            Ok(Shown::Accepted { id: id.to_string(), index, proof })
        }
    }
}
