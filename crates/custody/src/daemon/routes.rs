//! The table of what can be asked for, with the right that it takes. A new resource is a row here and a handler.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use audit::Caller;
use audit::intake::otlp::Encoding;
use audit::intake::{Query, Right};
use hyper::body::Incoming;
use hyper::header::ALLOW;
use hyper::{Method, Request, StatusCode};

use super::answer::{Answer, Problem};
use super::gate::Line;
use super::intake::Room;
use super::{Daemon, answer, body, events, evidence, otlp, read};

/// A handler.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Handler {
    Alive,
    Ready,
    Metrics,
    Events,
    Logs,
    Event,
    Proof,
    Checkpoint,
    Tile,
    Seen,
    Evidence,
    Evidenced,
}

/// One row of the table.
struct Route {
    method: Method,
    /// A path, or with a slash at its end the beginning of one.
    path: &'static str,
    /// The right that it takes; without one, nobody is asked who they are.
    right: Option<Right>,
    /// The names that its query may have.
    query: &'static [&'static str],
    handler: Handler,
}

const fn get(path: &'static str, right: Option<Right>, handler: Handler) -> Route {
    Route { method: Method::GET, path, right, query: &[], handler }
}

const ROUTES: &[Route] = &[
    get("/healthz", None, Handler::Alive),
    get("/readyz", None, Handler::Ready),
    get("/metrics", Some(Right::Metrics), Handler::Metrics),
    Route {
        method: Method::POST,
        path: "/v1/events",
        right: Some(Right::Record),
        query: &["proof"],
        handler: Handler::Events,
    },
    Route {
        method: Method::POST,
        path: "/v1/logs",
        right: Some(Right::Record),
        query: &[],
        handler: Handler::Logs,
    },
    get("/v1/events/", Some(Right::Read), Handler::Event),
    get("/v1/proof/", Some(Right::Monitor), Handler::Proof),
    Route {
        method: Method::GET,
        path: "/v1/trace/",
        right: Some(Right::Monitor),
        query: &["within"],
        handler: Handler::Seen,
    },
    Route {
        method: Method::POST,
        path: "/v1/evidence",
        right: Some(Right::Record),
        query: &[],
        handler: Handler::Evidence,
    },
    get("/v1/evidence/", Some(Right::Record), Handler::Evidenced),
    get("/checkpoint", Some(Right::Monitor), Handler::Checkpoint),
    get("/tile/", Some(Right::Monitor), Handler::Tile),
];

impl Route {
    fn is_at(&self, path: &str) -> bool {
        if self.path.ends_with('/') { path.starts_with(self.path) } else { path == self.path }
    }
}

/// A request that was let in, without its body.
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    /// What stands behind the row's path.
    pub(crate) rest: String,
    pub(crate) query: Query,
    /// Held until the answer is made.
    pub(crate) _room: Room,
}

/// Answers one request.
pub(crate) async fn answer(daemon: &Arc<Daemon>, line: &Line, request: Request<Incoming>) -> Answer {
    let path = request.uri().path();
    let there: Vec<&Route> = ROUTES.iter().filter(|route| route.is_at(path)).collect();
    let Some(route) = there.iter().find(|route| route.method == *request.method()) else {
        return nowhere(daemon, &there);
    };
    let encoding = Encoding::of(&body::media_type(request.headers()));
    let answer =
        carry_out(daemon, line, route, request).await.unwrap_or_else(|problem| match route.handler {
            Handler::Logs => otlp::problem(problem, encoding),
            _ => problem.answer(),
        });
    daemon.figures.answered(route.path, answer.status().as_u16());
    answer
}

fn nowhere(daemon: &Daemon, there: &[&Route]) -> Answer {
    let Some(route) = there.first() else {
        daemon.figures.answered("", StatusCode::NOT_FOUND.as_u16());
        return Problem::not_found("there is nothing at this path").answer();
    };
    daemon.figures.answered(route.path, StatusCode::METHOD_NOT_ALLOWED.as_u16());
    let detail = format!("this path takes {}", route.method);
    let mut answer = Problem::new(StatusCode::METHOD_NOT_ALLOWED, detail).answer();
    if let Ok(allowed) = route.method.as_str().parse() {
        answer.headers_mut().insert(ALLOW, allowed);
    }
    answer
}

async fn carry_out(
    daemon: &Arc<Daemon>,
    line: &Line,
    route: &Route,
    request: Request<Incoming>,
) -> Result<Answer, Problem> {
    let Some(right) = route.right else { return Ok(open(daemon, route.handler)) };
    let mut caller = daemon.gate().admit(&daemon.settings, line, request.headers(), right)?;
    caller.trace = trace_id(request.headers());
    let query = audit::intake::parse_query(request.uri().query().unwrap_or_default())
        .and_then(|query| query.only(route.query).map(|()| query))
        .map_err(|e| Problem::bad(e.to_string()))?;
    let rest = request.uri().path().strip_prefix(route.path).unwrap_or_default().to_owned();
    let room = daemon.intake.enter(&caller.name)?;
    let asked = Asked { caller, rest, query, _room: room };
    match route.handler {
        Handler::Events => {
            let (kind, packing) = (body::media_type(request.headers()), body::packing(request.headers())?);
            let form = events::form(&kind)?;
            let body = whole(daemon, request).await?;
            on_a_thread(daemon, asked, move |daemon, asked| {
                events::record(daemon, &asked, form, body, packing)
            })
            .await
        }
        Handler::Logs => {
            let (kind, packing) = (body::media_type(request.headers()), body::packing(request.headers())?);
            let encoding = Encoding::of(&kind).ok_or_else(|| {
                let detail = "logs come as application/x-protobuf or application/json";
                Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail)
            })?;
            let body = whole(daemon, request).await?;
            on_a_thread(daemon, asked, move |daemon, asked| {
                otlp::record(daemon, &asked, encoding, body, packing)
            })
            .await
        }
        Handler::Evidence => {
            let packing = body::packing(request.headers())?;
            if body::media_type(request.headers()) != "application/json" {
                let detail = "evidence comes as application/json";
                return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, detail));
            }
            let body = whole(daemon, request).await?;
            on_a_thread(daemon, asked, move |daemon, asked| {
                let body = body::unpack(body, packing, daemon.settings.max_body)?;
                evidence::submit(daemon, &asked, &body)
            })
            .await
        }
        Handler::Evidenced => {
            on_a_thread(daemon, asked, |daemon, asked| evidence::status(daemon, &asked)).await
        }
        Handler::Event => on_a_thread(daemon, asked, |daemon, asked| read::event(daemon, &asked)).await,
        Handler::Proof => on_a_thread(daemon, asked, |daemon, asked| read::proof(daemon, &asked)).await,
        Handler::Checkpoint => on_a_thread(daemon, asked, |daemon, _| read::checkpoint(daemon)).await,
        Handler::Tile => on_a_thread(daemon, asked, |daemon, asked| read::tile(daemon, &asked)).await,
        Handler::Seen => on_a_thread(daemon, asked, |daemon, asked| read::seen(daemon, &asked)).await,
        Handler::Metrics => on_a_thread(daemon, asked, |daemon, _| read::metrics(daemon)).await,
        Handler::Alive | Handler::Ready => Ok(open(daemon, route.handler)),
    }
}

async fn whole(daemon: &Daemon, request: Request<Incoming>) -> Result<hyper::body::Bytes, Problem> {
    let body = body::read(request, daemon.settings.max_body, daemon.settings.patience).await?;
    daemon.figures.body_bytes.fetch_add(body.len() as u64, Ordering::Relaxed);
    Ok(body)
}

/// What is told to everyone: whether the process runs, and whether it would take events.
fn open(daemon: &Daemon, handler: Handler) -> Answer {
    match handler {
        Handler::Ready if daemon.session.health().is_err() => {
            Problem::later(StatusCode::SERVICE_UNAVAILABLE, "the ledger must be opened again", 5).answer()
        }
        _ => answer::of(StatusCode::OK, "text/plain; charset=utf-8", "ok\n"),
    }
}

/// Does what may wait for the disk where no connection waits for it.
async fn on_a_thread(
    daemon: &Arc<Daemon>,
    asked: Asked,
    work: impl FnOnce(&Daemon, Asked) -> Result<Answer, Problem> + Send + 'static,
) -> Result<Answer, Problem> {
    let daemon = Arc::clone(daemon);
    let done = tokio::task::spawn_blocking(move || work(&daemon, asked)).await;
    done.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "the request broke something"))
    })
}

/// The trace that a request belongs to.
fn trace_id(headers: &hyper::HeaderMap) -> Option<String> {
    let mut values = headers.get_all("traceparent").iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    audit::trace_of(value.to_str().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_taken_from_a_whole_header_only() {
        let of = |value: &str| {
            let mut headers = hyper::HeaderMap::new();
            headers.insert("traceparent", value.parse().unwrap());
            trace_id(&headers)
        };
        let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
        assert_eq!(of(&format!("00-{trace}-00f067aa0ba902b7-01")).as_deref(), Some(trace));
        assert_eq!(of(&format!("cc-{trace}-00f067aa0ba902b7-01-what")).as_deref(), Some(trace));
        for bad in [
            "",
            trace,
            &format!("ff-{trace}-00f067aa0ba902b7-01"),
            &format!("00-{trace}-00f067aa0ba902b7-01-more"),
            &format!("00-{trace}-0000000000000000-01"),
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
