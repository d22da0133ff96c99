//! A checkpoint on its own: dated by an authority on request, and judged offline, years later.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use audit::{LedgerSettings, LogKeys};
use event::Fact;
use pkix::Certificate;
use pkix::tsp::Token;
use serde::Serialize;
use signing::note::{self, NoteVerifier, Sm2NoteVerifier};
use signing::{Sm2Verifier, Verifier as _};

use super::super::Context;
use super::super::pe::{credential, tsa};
use super::prove::{open_checkpoint, read_text};
use crate::failure::{Failure, Outcome};
use crate::recorder::failure;

/// What was found about a checkpoint that was given.
#[derive(Serialize)]
pub(crate) struct Judged {
    holds: bool,
    origin: String,
    size: u64,
    /// SM2 keys that were asked for, and whether each signed.
    sm2: Vec<Signed>,
    timestamps: Vec<Stamp>,
    /// Why it does not hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

#[derive(Serialize)]
struct Signed {
    key: String,
    holds: bool,
    /// It was asked for by name: without it the checkpoint does not hold.
    required: bool,
}

#[derive(Serialize)]
struct Stamp {
    /// Who was asked, by the line's own word.
    name: String,
    /// When, by the token's own word until `trusted`.
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    /// Whether it is over this checkpoint, and its authority leads to one that is trusted; nothing where none was named.
    #[serde(skip_serializing_if = "Option::is_none")]
    trusted: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fault: Option<String>,
}

/// The checkpoint with a timestamp of the first authority that gives one. That it was dated is an event.
pub(crate) fn dated(checkpoint: &str, authorities: &[String], context: &Context) -> Result<String, Failure> {
    let text = note::text(checkpoint).map_err(Failure::environment)?;
    let (token, url) = tsa::token(authorities, text.as_bytes())?;
    let refused = |e: pkix::PkixError| {
        Failure::environment(
            anyhow::Error::from(e).context(format!("{url} gave a timestamp that does not hold")),
        )
        .hint("nothing was written; name another authority with `--tsa URL`")
    };
    let (time, serial) = {
        let read = Token::read(&token).map_err(refused)?;
        read.signature().map_err(refused)?;
        let info = read.info().map_err(refused)?;
        if info.digest.of(text.as_bytes()) != info.imprint {
            return Err(Failure::environment(anyhow::anyhow!("{url} dated something else")));
        }
        (info.time.to_string(), hex::encode(info.serial))
    };
    let name = host(&url);
    let stamped = note::add_timestamp(checkpoint, &name, &token).map_err(Failure::environment)?;
    let size = text.lines().nth(1).unwrap_or_default().to_owned(); // c2sp.org/tlog-checkpoint: origin, size, root
    let fact = Fact::new("CHECKPOINT.TIMESTAMPED")
        .subject("svc", "custody")
        .object("size", size)
        .object("authority", name)
        .context("time", time)
        .context("serial", serial);
    context.record(fact)?;
    Ok(stamped)
}

/// The host of a URL, as a name that a signature line may have.
fn host(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let host = host.rsplit('@').next().unwrap_or_default();
    let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
    let name: String = host.chars().filter(plain).take(128).collect();
    if name.is_empty() { "tsa".to_owned() } else { name }
}

/// Judges a checkpoint: by the key in `key`, or that of the home; by SM2 keys, those of the home too when there is one; by
/// the timestamp authorities.
pub(crate) fn judge(
    file: &Path,
    key: Option<&Path>,
    sm2: &[PathBuf],
    roots: &[PathBuf],
    context: &Context,
) -> Result<Judged, Failure> {
    let text = read_text(file)?;
    let home = if key.is_some() { None } else { Some(context.home.existing()?.path()) };
    let verifier = match (key, home) {
        (Some(key), _) => NoteVerifier::parse(&read_text(key)?).map_err(Failure::input)?,
        (None, Some(home)) => LogKeys::of(home).verifier().map_err(failure)?,
        (None, None) => return Err(Failure::input(anyhow::anyhow!("no key to judge by"))),
    };
    let checkpoint = open_checkpoint(&text, &verifier, file)?;
    let mut judged = Judged {
        holds: true,
        origin: checkpoint.origin.clone(),
        size: checkpoint.size,
        sm2: signed(&text, &checkpoint.origin, sm2, home)?,
        timestamps: stamps(&text, roots)?,
        fault: None,
    };
    let unsigned = judged.sm2.iter().find(|signed| !signed.holds && signed.required);
    judged.fault = match unsigned {
        Some(signed) => Some(format!("it has no good signature by {}", signed.key)),
        None if roots.is_empty() || judged.timestamps.iter().any(|stamp| stamp.trusted == Some(true)) => None,
        None => Some(match judged.timestamps.iter().find_map(|stamp| stamp.fault.clone()) {
            Some(why) => format!("its timestamp does not hold: {why}"),
            None => "it has no timestamp".to_owned(),
        }),
    };
    judged.holds = judged.fault.is_none();
    Ok(judged)
}

/// A key of the home may be newer than the checkpoint, so its line may be missing; but where it stands, it must hold.
fn signed(note: &str, origin: &str, files: &[PathBuf], home: Option<&Path>) -> Result<Vec<Signed>, Failure> {
    let mut all = Vec::new();
    for file in files {
        let key = Sm2Verifier::from_spki_pem(&read_text(file)?).map_err(Failure::input)?;
        let name = key.key_id().to_string();
        let verifier = Sm2NoteVerifier::new(origin, key).map_err(Failure::input)?;
        all.push(Signed { key: name, holds: verifier.verify(note).is_ok(), required: true });
    }
    let own = match home {
        Some(home) => {
            LedgerSettings::of(home).and_then(|settings| settings.verifiers(home, origin)).map_err(failure)?
        }
        None => Vec::new(),
    };
    for (key, verifier) in own {
        match verifier.verify(note) {
            Err(signing::SigningError::NoTrustedSignature { .. }) => {}
            judged => all.push(Signed { key, holds: judged.is_ok(), required: true }),
        }
    }
    Ok(all)
}

fn stamps(note: &str, roots: &[PathBuf]) -> Result<Vec<Stamp>, Failure> {
    let mut anchors: Vec<Certificate> = Vec::new();
    for file in roots {
        anchors.extend(credential::read_certificates(file)?);
    }
    let text = note::text(note).map_err(Failure::input)?;
    let found = note::timestamps(note).map_err(Failure::input)?;
    Ok(found.iter().map(|stamp| judge_stamp(&stamp.name, &stamp.token, text.as_bytes(), &anchors)).collect())
}

fn judge_stamp(name: &str, token: &[u8], text: &[u8], anchors: &[Certificate]) -> Stamp {
    let mut stamp = Stamp { name: name.to_owned(), time: None, trusted: None, fault: None };
    let read = match Token::read(token) {
        Ok(read) => read,
        Err(why) => {
            stamp.fault = Some(why.to_string());
            stamp.trusted = (!anchors.is_empty()).then_some(false);
            return stamp;
        }
    };
    stamp.time = read.info().ok().map(|info| info.time.to_string());
    if anchors.is_empty() {
        return stamp;
    }
    match read.verify(text, anchors, &[]) {
        Ok(dated) => (stamp.time, stamp.trusted) = (Some(dated.time.to_string()), Some(true)),
        Err(why) => (stamp.fault, stamp.trusted) = (Some(why.to_string()), Some(false)),
    }
    stamp
}

/// Ends the command.
pub(crate) fn conclude(judged: &Judged) -> Outcome {
    match &judged.fault {
        None => Ok(()),
        Some(why) => Err(Failure::finding(anyhow::anyhow!("the checkpoint that was given does not hold: {why}"))
            .hint("`custody audit checkpoint --tsa URL -o FILE` dates one; `custody key show NAME --pem` shows an SM2 key")),
    }
}

pub(crate) fn text(judged: &Judged) -> String {
    let word = if judged.holds { "holds" } else { "fails" };
    let mut text = format!("{word}  the checkpoint of {} at {} events\n", judged.origin, judged.size);
    for signed in &judged.sm2 {
        let word = if signed.holds { "signed" } else { "not signed" };
        let _ = writeln!(text, "  {word} with SM2 by {}", signed.key); // a String takes everything
    }
    for stamp in &judged.timestamps {
        let time = stamp.time.as_deref().unwrap_or("at no time that can be read");
        let state = match (stamp.trusted, &stamp.fault) {
            (Some(true), _) => "dated".to_owned(),
            (_, Some(why)) => format!("not dated ({why})"),
            (_, None) => "dated by its own word, no authority was named,".to_owned(),
        };
        let _ = writeln!(text, "  {state} {time} by {}", stamp.name); // as above
    }
    text
}
