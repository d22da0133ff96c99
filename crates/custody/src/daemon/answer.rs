//! What a request is answered with. Errors are problem documents (RFC 9457).

use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde::Serialize;

/// An answer with its whole body.
pub(crate) type Answer = Response<Full<Bytes>>;

/// Why a request is not carried out.
#[derive(Debug)]
pub(crate) struct Problem {
    pub(crate) status: StatusCode,
    pub(crate) detail: String,
    /// Seconds after which the same request may be carried out.
    pub(crate) retry_after: Option<u32>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self { status, detail: detail.into(), retry_after: None }
    }

    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// Nothing is wrong with the request; the daemon has no room for it now.
    pub(crate) fn later(status: StatusCode, detail: impl Into<String>, seconds: u32) -> Self {
        Self { status, detail: detail.into(), retry_after: Some(seconds) }
    }

    pub(crate) fn answer(self) -> Answer {
        let document = serde_json::json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
        });
        let mut answer = of(self.status, "application/problem+json", document.to_string());
        if let Some(seconds) = self.retry_after {
            answer.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"custody\"");
            answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        answer
    }
}

impl From<audit::AuditError> for Problem {
    /// By who must act. What is told is the first reason; its causes name files of the home, and stay here.
    fn from(error: audit::AuditError) -> Self {
        use audit::{AuditError as E, LedgerError as L};
        match &error {
            E::NotFound { .. } | E::Ledger(L::OutOfRange { .. }) => Self::not_found(error.to_string()),
            E::Ledger(L::Full { .. }) => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "the ledger's disk is full", 30)
            }
            E::Ledger(L::Poisoned { .. } | L::Closed) => {
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "the ledger must be opened again", 5)
            }
            _ if error.kind() == audit::ErrorKind::Request => Self::bad(error.to_string()),
            _ => Self::later(StatusCode::SERVICE_UNAVAILABLE, "the ledger cannot do this now", 5),
        }
    }
}

/// A body under a type. Nothing that is answered may be kept by a cache on the way.
pub(crate) fn of(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer.headers_mut().insert("x-content-type-options", HeaderValue::from_static("nosniff"));
    answer
}

/// A JSON document and a line's end.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Answer {
    match serde_json::to_vec(value) {
        Ok(mut body) => {
            body.push(b'\n');
            of(status, "application/json", body)
        }
        Err(error) => Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).answer(),
    }
}
