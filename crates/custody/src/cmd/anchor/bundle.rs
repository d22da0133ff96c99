//! `custody anchor verify --bundle`: a Sigstore bundle of any maker, judged offline.

use std::path::Path;

use anchor::AnchorError;
use anchor::sigstore::{
    Artifact, Bundle, Identity, MAX_BUNDLE, Policy, Signer, TrustedRoot, Verified, verify,
};
use event::{Fact, Severity};
use serde::Serialize;

use super::{failure, read, subject};
use crate::cmd::{Context, key};
use crate::failure::{Failure, Outcome};
use crate::recorder::Recorded;

/// Larger artefacts are judged by their digest alone, which a signature of the bytes themselves does not allow.
const MAX_ARTEFACT: usize = 512 << 20;

/// Whose signature it must be.
pub(super) enum Wanted<'a> {
    Key(&'a Path),
    Identity { name: &'a str, issuer: &'a str },
}

/// The judgement. The names are part of the interface.
#[derive(Serialize)]
struct Judged {
    act: &'static str,
    holds: bool,
    file: String,
    bundle: String,
    sha256: String,
    #[serde(flatten)]
    verified: Option<Verified>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Recorded for Judged {
    fn fact(&self) -> Option<Fact> {
        let severity = if self.holds { Severity::Info } else { Severity::Warn };
        let fact = Fact::new(self.act)
            .severity(severity)
            .subject("svc", "custody")
            .object("path", self.file.clone())
            .object("sha256", self.sha256.clone())
            .context("anchors", "bundle".to_owned());
        Some(fact)
    }

    /// Looking changes nothing.
    fn must_be_recorded(&self) -> bool {
        false
    }
}

impl Judged {
    fn lines(&self) -> String {
        let verdict = if self.holds { "holds" } else { "broken" };
        let mut text = format!("`{}` sha256:{}\n  {verdict:9} {}\n", self.file, self.sha256, self.bundle);
        if let Some(verified) = &self.verified {
            let by =
                verified.identity.as_ref().map(|by| format!("  signer    {} ({})\n", by.name, by.issuer));
            text += &by.unwrap_or_default();
            verified.times.iter().for_each(|time| text += &format!("  time      {time}\n"));
            if let (Some(log), Some(index)) = (&verified.log, verified.log_index) {
                text += &format!("  log       entry {index} of {log}\n");
            }
        }
        text + &self.reason.as_ref().map(|why| format!("  why       {why}\n")).unwrap_or_default()
    }
}

/// Judges the bundle at `path` about the file.
pub(super) fn run(
    file: &Path,
    path: &Path,
    wanted: &Wanted<'_>,
    root: &TrustedRoot,
    logged: bool,
    context: &Context,
) -> Outcome {
    let signer = match wanted {
        Wanted::Key(key) => Signer::Key(key::read_public(key)?),
        Wanted::Identity { name, issuer } => {
            Signer::Identity(Identity { name: (*name).to_owned(), issuer: (*issuer).to_owned() })
        }
    };
    let found = subject(file)?;
    let now = pkix::Time(jiff::Timestamp::now().as_second());
    let policy = Policy { root, signer: &signer, now, logged };
    let judged = read(path, MAX_BUNDLE).map(|bytes| Bundle::parse(&bytes))?.and_then(|bundle| {
        if bundle.message_signature.is_none() {
            return verify(&bundle, &Artifact::Subject(&found), &policy);
        }
        let bytes = read(file, MAX_ARTEFACT)
            .map_err(|e| AnchorError::Request { what: "artefact", why: e.to_string() })?;
        verify(&bundle, &Artifact::Bytes(&bytes), &policy)
    });
    let (verified, reason) = match judged {
        Ok(verified) => (Some(verified), None),
        Err(error @ AnchorError::Broken { .. }) => (None, Some(error.to_string())),
        Err(error) => return Err(failure(error)),
    };
    let holds = verified.is_some();
    let judged = Judged {
        act: if holds { "ANCHOR.VERIFIED" } else { "ANCHOR.MISMATCH" },
        holds,
        file: file.display().to_string(),
        bundle: path.display().to_string(),
        sha256: found.sha256(),
        verified,
        reason,
    };
    context.conclude(&judged, Judged::lines)?;
    match holds {
        true => Ok(()),
        false => Err(Failure::finding(anyhow::anyhow!(
            "`{}` is not proved by `{}`",
            file.display(),
            path.display()
        ))),
    }
}
