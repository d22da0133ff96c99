//! Witnesses of a Custody ledger: a request becomes an event there, and independent witnesses cosign a checkpoint that
//! covers it (c2sp.org/tlog-witness, `add-checkpoint`; c2sp.org/tlog-cosignature, `cosignature/v1`).
//!
//! What is proved: the event that names the subject was in the ledger when the witness saw the checkpoint, at the time in
//! its cosignature, and the ledger never showed that witness another history.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::Digest as _;
use signing::note::{self, NoteVerifier};
use signing::{Ed25519Verifier, Verifier as _};
use tlog::{Checkpoint, Hash, InclusionProof, Sha256, TreeHash as _};

use crate::authority::{Authority, Order};
use crate::error::AnchorError;
use crate::http::Http;
use crate::receipt::{Anchor, Evidence, Status};
use crate::subject::Subject;
use crate::verify::{Judged, Verdict, broken};

/// Signature type of `cosignature/v1` (c2sp.org/tlog-cosignature, "Format").
const TYPE_COSIGNATURE: u8 = 0x04;
/// Most lines that a witness's answer may have.
const MAX_LINES: usize = 16;
/// How often a checkpoint is fetched anew because the ledger grew meanwhile.
const ATTEMPTS: usize = 8;

/// A witness's public key: `<name>+<hash>+<base64(0x04 ‖ key)>`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct WitnessKey {
    name: String,
    id: [u8; 4],
    key: Ed25519Verifier,
}

impl WitnessKey {
    /// Reads the text form.
    ///
    /// # Errors
    /// When a part is missing, of another type, or the hash does not belong to the key.
    pub fn parse(text: &str) -> Result<Self, AnchorError> {
        let bad = |why: &str| AnchorError::malformed("witness key", why);
        let mut parts = text.trim().splitn(3, '+');
        let (Some(name), Some(hash), Some(key)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(bad("it is not `name+hash+key`"));
        };
        let raw = STANDARD.decode(key).map_err(|_| bad("the key is not base64"))?;
        let Some((&TYPE_COSIGNATURE, key)) = raw.split_first() else {
            return Err(bad("it is no key for cosignatures (type 4)"));
        };
        let key: [u8; 32] = key.try_into().map_err(|_| bad("the key is not of 32 bytes"))?;
        let digest = sha2::Sha256::new().chain_update(name).chain_update(b"\n").chain_update(&raw).finalize();
        let id = [digest[0], digest[1], digest[2], digest[3]];
        if name.is_empty()
            || name.contains(char::is_whitespace)
            || !hash.eq_ignore_ascii_case(&hex::encode(id))
        {
            return Err(bad("the hash does not belong to the name and the key"));
        }
        let key = Ed25519Verifier::from_bytes(&key).map_err(|e| bad(&e.to_string()))?;
        Ok(Self { name: name.to_owned(), id, key })
    }

    /// The time of a cosignature of this witness on a note, if it has a good one: seconds since 1970.
    fn time(&self, note: &str) -> Option<u64> {
        let (text, lines) = note.split_at(note.rfind("\n\n")? + 1);
        lines.trim_start_matches('\n').lines().find_map(|line| {
            let (name, blob) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
            let blob = STANDARD.decode(blob).ok().filter(|_| name == self.name)?;
            let (id, rest) = blob.split_first_chunk::<4>()?;
            let (time, signature) = rest.split_first_chunk::<8>()?;
            let time = u64::from_be_bytes(*time);
            let message = format!("cosignature/v1\ntime {time}\n{text}");
            (*id == self.id && self.key.verify(message.as_bytes(), signature).is_ok()).then_some(time)
        })
    }
}

/// The ledger that is witnessed, as whoever owns it shows it.
pub trait Ledger: Send + Sync {
    /// The newest event that asks for this order, as it is stored, and its `.tlog-proof`.
    ///
    /// # Errors
    /// When the ledger cannot prove it.
    fn prove(&self, order: &Order<'_>) -> Result<(String, String), AnchorError>;
    /// The consistency path from the tree of `old` leaves to the newest checkpoint, and that checkpoint's size.
    ///
    /// # Errors
    /// When the ledger cannot prove it.
    fn consistency(&self, old: u64) -> Result<(u64, Vec<Hash>), AnchorError>;
}

/// A witness at an address, for a ledger.
pub struct Witness<L> {
    http: Http,
    url: String,
    key: WitnessKey,
    ledger: L,
}

impl<L: Ledger> Witness<L> {
    /// The witness at `url`, whose cosignatures must be by `key`.
    #[must_use]
    pub fn new(http: Http, url: &str, key: WitnessKey, ledger: L) -> Self {
        Self { http, url: format!("{}/add-checkpoint", url.trim_end_matches('/')), key, ledger }
    }

    /// The lines that cosign a checkpoint. A witness that saw the ledger before says at which size.
    fn cosign(&self, note: &str, size: u64) -> Result<Option<String>, AnchorError> {
        let mut old = 0;
        for _ in 0..2 {
            let path = match old {
                0 => Vec::new(),
                old if old == size => Vec::new(),
                old => match self.ledger.consistency(old)? {
                    (newest, path) if newest == size => path,
                    // The ledger grew: come again with its newest checkpoint.
                    _ => return Ok(None),
                },
            };
            let mut body = format!("old {old}\n");
            for hash in &path {
                let _ = writeln!(body, "{}", STANDARD.encode(hash)); // writing to a String cannot fail
            }
            let answer = self.http.post(&self.url, &[], format!("{body}\n{note}").as_bytes())?;
            if answer.status != 409 {
                return lines(&answer.good()?).map(Some);
            }
            let known = std::str::from_utf8(&answer.body).ok().and_then(|text| text.trim().parse().ok());
            old = match known {
                Some(known) if known <= size && known != old => known,
                // What it saw before is not a beginning of what it is shown: the ledger was forked, or lost its end.
                Some(known) => {
                    let why = format!("the witness saw {known} events, and the ledger shows {size}");
                    return Err(AnchorError::broken("ledger", why));
                }
                None => return Err(AnchorError::malformed("answer of the witness", "it names no size")),
            };
        }
        Ok(None)
    }
}

/// The cosignature lines of an answer.
fn lines(body: &[u8]) -> Result<String, AnchorError> {
    let bad = |why: &str| AnchorError::malformed("answer of the witness", why);
    let text = std::str::from_utf8(body).map_err(|_| bad("it is not UTF-8"))?;
    let fits = |line: &str| line.starts_with("\u{2014} ") && line.split(' ').count() == 3;
    match text.ends_with('\n') && (1..=MAX_LINES).contains(&text.lines().count()) && text.lines().all(fits) {
        true => Ok(text.to_owned()),
        false => Err(bad("it is not lines `— name base64`")),
    }
}

impl<L: Ledger> Authority for Witness<L> {
    fn kind(&self) -> &str {
        "witness"
    }

    fn address(&self) -> &str {
        &self.url
    }

    fn nothing(&self) -> Evidence {
        Evidence::Witness { event: None, proof: None }
    }

    fn submit(&self, order: &Order<'_>) -> Result<Anchor, AnchorError> {
        for _ in 0..ATTEMPTS {
            let (event, proof) = self.ledger.prove(order)?;
            let mut proof = InclusionProof::parse(&proof)
                .map_err(|e| AnchorError::malformed("proof of the ledger", e))?;
            let size = proof.note.lines().nth(1).and_then(|size| size.parse().ok());
            let size = size.ok_or_else(|| AnchorError::malformed("proof of the ledger", "no size"))?;
            let Some(lines) = self.cosign(&proof.note, size)? else { continue };
            proof.note += &lines;
            if self.key.time(&proof.note).is_none() {
                let why = "it carries no good cosignature by the witness's key";
                return Err(AnchorError::broken("answer of the witness", why));
            }
            let evidence = Evidence::Witness { event: Some(event), proof: Some(proof.to_string()) };
            return Ok(order.anchor(self.address(), Status::Success, evidence));
        }
        Err(AnchorError::Answered {
            address: self.url.clone(),
            status: 503,
            words: "the ledger grows faster than the witness answers".into(),
        })
    }
}

/// Judges an event and its proof.
pub(crate) fn judge(
    event: &str,
    proof: &str,
    found: &Subject,
    logs: &[NoteVerifier],
    witnesses: &[WitnessKey],
) -> Judged {
    let told: serde_json::Value = match serde_json::from_str(event) {
        Ok(told) => told,
        Err(error) => return broken(format_args!("the event is malformed: {error}")),
    };
    if told["act"] != "ANCHOR.REQUESTED" || told["obj"]["sha256"] != found.sha256() {
        return broken("the event is about something else");
    }
    let proof = match InclusionProof::parse(proof) {
        Ok(proof) => proof,
        Err(error) => return broken(error),
    };
    if logs.is_empty() || witnesses.is_empty() {
        let why = "name the ledger's key and the witness's: `--ledger-key`, `--witness-key`";
        return (Verdict::Untrusted, None, why.to_owned());
    }
    let text = match note::open(&proof.note, logs) {
        Ok(opened) => opened.text,
        Err(signing::SigningError::NoTrustedSignature { signers }) => {
            let signers: String = signers.escape_debug().collect();
            return (Verdict::Untrusted, None, format!("the ledger's key is not trusted here ({signers})"));
        }
        Err(error) => return broken(error),
    };
    let checkpoint = match Checkpoint::parse(&text) {
        Ok(checkpoint) => checkpoint,
        Err(error) => return broken(error),
    };
    if let Err(error) = proof.verify(&Sha256::leaf(event.as_bytes()), &checkpoint) {
        return broken(error);
    }
    let cosigned: Vec<(&str, u64)> =
        witnesses.iter().filter_map(|key| Some((key.name.as_str(), key.time(&proof.note)?))).collect();
    let Some(time) = cosigned.iter().map(|(_, time)| *time).min() else {
        return (Verdict::Untrusted, None, "no witness that is trusted here cosigned the checkpoint".into());
    };
    let names: Vec<&str> = cosigned.iter().map(|(name, _)| *name).collect();
    let time = i64::try_from(time).ok().map(crate::time::text);
    let detail = format!("event {} of {}, cosigned by {}", proof.index, checkpoint.origin, names.join(", "));
    (Verdict::Holds, time, detail)
}

/// Reads bytes as an answer and as a key.
pub(crate) fn read_answers(data: &[u8]) {
    let _ = lines(data);
    if let Ok(text) = std::str::from_utf8(data) {
        let _ = WitnessKey::parse(text);
    }
}
