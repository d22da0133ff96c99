//! `custody pe reputation listen`: the receiver of the partner portal's messages.
//!
//! Whoever sends must know the secret: the body is signed with HMAC-SHA256 together with the time, in the header that
//! our own alerts have (`docs/formats/alerts.md`), so that a message can neither be made up nor sent again later.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use authenticode::portal::{Message, Sealed, StatusUpdate};
use aws_lc_rs::hmac;
use clap::Args;
use event::{Fact, Severity};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use crate::cmd::Context;
use crate::cmd::pe::credential::read_up_to;
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

pub(super) const EXAMPLES: &str = "\
`POST /` with JSON and `X-Custody-Signature: t=SECONDS,v1=HMAC-SHA256(SECONDS.BODY)`. What is taken is recorded and
printed, one line each. TLS is the business of the proxy before it.

Examples:
  $ custody pe reputation listen --listen 127.0.0.1:8490 --secret-file webhook.secret";

/// What a message has at most; the portal's have some hundred bytes.
const MAX_BODY: usize = 64 * 1024;
/// For one connection, from its first byte to the answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Connections at a time.
const MAX_CONNECTIONS: usize = 64;
/// Seconds by which the sender's clock may be wrong.
const SKEW: i64 = 300;
/// Messages whose numbers are remembered; a message cannot come again after `SKEW`.
const REMEMBERED: usize = 4096;
/// A key shorter than this could be guessed.
const MIN_SECRET: usize = 16;

#[derive(Args)]
pub(super) struct ListenArgs {
    /// Address to listen at
    #[arg(long, value_name = "ADDRESS")]
    listen: SocketAddr,
    /// File with the secret that the sender knows too, at least 16 bytes
    #[arg(long, value_name = "FILE")]
    secret_file: PathBuf,
    /// End after so many messages
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
}

/// What was taken. The names are part of the interface.
#[derive(Serialize)]
struct Taken {
    act: &'static str,
    id: String,
    certificate_sha1: String,
    status: String,
}

impl Recorded for Taken {
    fn fact(&self) -> Option<Fact> {
        let bad = ["revoked", "expired", "invalid", "suspended", "rejected"];
        let bad = bad.iter().any(|word| self.status.eq_ignore_ascii_case(word));
        let fact = Fact::new(self.act)
            .severity(if bad { Severity::Error } else { Severity::Info })
            .subject("svc", "custody")
            .object("cert", self.certificate_sha1.clone())
            .object("message", self.id.clone());
        Some(fact.context("status", self.status.clone()))
    }
}

/// A body whose signature was right, and who waits for what becomes of it.
struct Letter {
    body: Bytes,
    answer: oneshot::Sender<(StatusCode, &'static str)>,
}

pub(super) fn run(args: &ListenArgs, context: &Context) -> Outcome {
    let key = Arc::new(secret(&args.secret_file)?);
    if context.home.existing().is_ok() {
        context.session()?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|e| Failure::environment(anyhow::Error::from(e).context("cannot start")))?;
    runtime.block_on(serve(args, key, context))
}

async fn serve(args: &ListenArgs, key: Arc<hmac::Key>, context: &Context) -> Outcome {
    let listener = TcpListener::bind(args.listen).await.map_err(|e| {
        let what = format!("cannot listen on {}", args.listen);
        Failure::environment(anyhow::Error::from(e).context(what))
            .hint("name another address with `--listen`, or end what listens there")
    })?;
    if let Ok(address) = listener.local_addr() {
        context.output.remark(&format!("listening on {address}"));
    }
    let (sender, mut letters) = mpsc::channel::<Letter>(MAX_CONNECTIONS);
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let mut seen = VecDeque::new();
    let mut taken = 0;
    let mut stop = std::pin::pin!(stopped());
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else {
                    tokio::time::sleep(Duration::from_millis(50)).await; // out of descriptors, most likely
                    continue;
                };
                // Without a place it is closed at once.
                let Ok(place) = Arc::clone(&room).try_acquire_owned() else { continue };
                let (key, sender) = (Arc::clone(&key), sender.clone());
                tokio::spawn(async move {
                    let _ = tokio::time::timeout(PATIENCE, converse(stream, key, sender)).await;
                    drop(place);
                });
            }
            Some(letter) = letters.recv() => {
                let outcome = take(&letter.body, &mut seen, context);
                let ended = matches!(&outcome, Ok((StatusCode::OK, _)));
                let said = match &outcome {
                    Ok(said) => *said,
                    Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "it could not be recorded"),
                };
                let _ = letter.answer.send(said); // the sender may have gone; it is recorded all the same
                outcome?;
                taken += u64::from(ended);
                if args.messages.is_some_and(|most| taken >= most) {
                    // The answer is on its way; give it the time to get there.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                    return Ok(());
                }
            }
            () = &mut stop => return Ok(()),
        }
    }
}

/// SIGINT or SIGTERM.
#[cfg(unix)]
async fn stopped() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut term) = signal(SignalKind::terminate()) else { return std::future::pending().await };
    tokio::select! {
        _ = term.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
    }
}

#[cfg(not(unix))]
async fn stopped() {
    let _ = tokio::signal::ctrl_c().await; // nothing else can end it
}

async fn converse(stream: TcpStream, key: Arc<hmac::Key>, sender: mpsc::Sender<Letter>) {
    let service = service_fn(move |request| {
        let (key, sender) = (Arc::clone(&key), sender.clone());
        async move {
            let (status, text) = receive(request, &key, &sender).await;
            let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
            *response.status_mut() = status;
            Ok::<_, Infallible>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .max_headers(64)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    let _ = connection.await; // whoever breaks off has had no answer, and sends it again
}

async fn receive(
    request: Request<Incoming>,
    key: &hmac::Key,
    sender: &mpsc::Sender<Letter>,
) -> (StatusCode, &'static str) {
    if request.method() != Method::POST || request.uri().path() != "/" {
        return (StatusCode::NOT_FOUND, "POST / takes messages, and nothing else is here");
    }
    let header = request.headers().get("x-custody-signature").and_then(|value| value.to_str().ok());
    let Some(header) = header.map(str::to_owned) else {
        return (StatusCode::UNAUTHORIZED, "it is not signed");
    };
    let Ok(body) = Limited::new(request.into_body(), MAX_BODY).collect().await else {
        return (StatusCode::PAYLOAD_TOO_LARGE, "it is larger than 64 KiB");
    };
    let body = body.to_bytes();
    if !is_signed(&header, &body, key, jiff::Timestamp::now().as_second()) {
        return (StatusCode::UNAUTHORIZED, "it is not signed under the secret, or not now");
    }
    let (answer, waiting) = oneshot::channel();
    if sender.send(Letter { body, answer }).await.is_err() {
        return (StatusCode::SERVICE_UNAVAILABLE, "it is being stopped");
    }
    waiting.await.unwrap_or((StatusCode::SERVICE_UNAVAILABLE, "it is being stopped"))
}

/// `t=SECONDS,v1=HEX`, compared in constant time.
fn is_signed(header: &str, body: &[u8], key: &hmac::Key, now: i64) -> bool {
    let Some(sealed) = Sealed::read(header) else { return false };
    let signed = [sealed.time.as_bytes(), b".", body].concat();
    sealed.seconds.abs_diff(now) <= SKEW.unsigned_abs() && hmac::verify(key, &signed, &sealed.code).is_ok()
}

/// Acts on a message. An error is one of this side's; what the message has wrong is an answer.
fn take(
    body: &[u8],
    seen: &mut VecDeque<String>,
    context: &Context,
) -> Result<(StatusCode, &'static str), Failure> {
    let message = match Message::read(body) {
        Ok(message) => message,
        Err(fault) => return Ok((StatusCode::BAD_REQUEST, fault.said())),
    };
    if seen.contains(&message.id) {
        return Ok((StatusCode::ALREADY_REPORTED, "it was taken before"));
    }
    let Some(StatusUpdate { certificate_sha1, status }) = message.update else {
        return Ok((StatusCode::ACCEPTED, "nothing is done about messages of this kind"));
    };
    let taken = Taken { act: "PE.CERT.STATUS", id: message.id.clone(), certificate_sha1, status };
    context.conclude(&taken, |t| {
        format!("certificate {} is {} (message {})\n", t.certificate_sha1, t.status, t.id)
    })?;
    seen.push_back(message.id);
    if seen.len() > REMEMBERED {
        seen.pop_front();
    }
    Ok((StatusCode::OK, "taken"))
}

fn secret(path: &Path) -> Result<hmac::Key, Failure> {
    let bytes = read_up_to(path, 64 * 1024)?;
    let secret = bytes.trim_ascii();
    if secret.len() < MIN_SECRET {
        return Err(Failure::input(anyhow::anyhow!(
            "the secret in `{}` is shorter than 16 bytes",
            path.display()
        ))
        .hint("make one: openssl rand -hex 32"));
    }
    Ok(hmac::Key::new(hmac::HMAC_SHA256, secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_signed_with_its_time() {
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"sixteen bytes or more");
        let sign = |seconds: i64, body: &str| {
            let code = hmac::sign(&key, format!("{seconds}.{body}").as_bytes());
            format!("t={seconds},v1={}", hex::encode(code))
        };
        let header = sign(1_750_000_000, "{}");
        assert!(is_signed(&header, b"{}", &key, 1_750_000_000 + SKEW));
        assert!(!is_signed(&header, b"{}", &key, 1_750_000_001 + SKEW), "too old");
        assert!(!is_signed(&header, b"{ }", &key, 1_750_000_000), "another body");
        assert!(!is_signed(&header.replace("t=1750000000", "t=1750000001"), b"{}", &key, 1_750_000_000));
        for wrong in ["", "t=1", "t=x,v1=00", "v1=00,t=1", "t=1750000000,v1="] {
            assert!(!is_signed(wrong, b"{}", &key, 1_750_000_000), "{wrong}");
        }
    }
}
