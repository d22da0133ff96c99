//! What a partner portal says of certificates and submissions: the message that it sends, the answer that it gives, and
//! the header under which a message comes. `docs/formats/submission.md` has the forms.
//!
//! Texts of strangers end on terminals and in the ledger, so only short printable words are taken out of them.

use serde::{Deserialize, Serialize};

/// The message that is acted on.
const STATUS_UPDATED: &str = "certStatusUpdated";
/// Characters of a message's number, and of a word in it.
const MAX_ID: usize = 128;
const MAX_WORD: usize = 64;

/// What is wrong with a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Fault {
    /// It is not JSON with an `id` and an `eventName`.
    NoMessage,
    /// Its `id` is empty, long, or not printable.
    Id,
    /// It is about a certificate, and names none, or no status.
    Certificate,
}

impl Fault {
    /// What the sender is told.
    #[must_use]
    pub fn said(self) -> &'static str {
        match self {
            Self::NoMessage => "it is no message: `id` and `eventName` are texts",
            Self::Id => "its `id` is not up to 128 printable characters",
            Self::Certificate => "it names no certificate with a SHA-1 thumbprint and a status",
        }
    }
}

/// A message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Message {
    /// Its number: printable ASCII.
    pub id: String,
    /// What it says of a certificate; none in a message of a kind that nothing is done about.
    pub update: Option<StatusUpdate>,
}

/// `certStatusUpdated`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StatusUpdate {
    /// SHA-1 of the certificate, 40 capital hexadecimal digits.
    pub certificate_sha1: String,
    /// Its status: printable ASCII.
    pub status: String,
}

/// As it is written.
#[derive(Deserialize)]
struct Wire {
    id: String,
    #[serde(rename = "eventName")]
    event: String,
    #[serde(default)]
    certificate: Option<WireCertificate>,
}

#[derive(Deserialize)]
struct WireCertificate {
    thumbprint: String,
    status: String,
}

impl Message {
    /// Reads a message's body.
    ///
    /// # Errors
    /// With what is wrong, as the sender is told it.
    pub fn read(body: &[u8]) -> Result<Self, Fault> {
        let wire: Wire = serde_json::from_slice(body).map_err(|_| Fault::NoMessage)?;
        if !is_plain(&wire.id, MAX_ID) {
            return Err(Fault::Id);
        }
        if wire.event != STATUS_UPDATED {
            return Ok(Self { id: wire.id, update: None });
        }
        let update = wire.certificate.and_then(WireCertificate::update).ok_or(Fault::Certificate)?;
        Ok(Self { id: wire.id, update: Some(update) })
    }
}

impl WireCertificate {
    fn update(self) -> Option<StatusUpdate> {
        let digits = self.thumbprint.replace([':', ' '], "");
        let good = digits.len() == 40 && digits.bytes().all(|b| b.is_ascii_hexdigit());
        (good && is_plain(&self.status, MAX_WORD))
            .then(|| StatusUpdate { certificate_sha1: digits.to_uppercase(), status: self.status })
    }
}

fn is_plain(text: &str, most: usize) -> bool {
    (1..=most).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic())
}

/// `t=SECONDS,v1=HEX`: when a message was signed, and the code over its time and body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Sealed<'a> {
    /// The seconds as they are written: they are under the code.
    pub time: &'a str,
    /// The same as a number.
    pub seconds: i64,
    /// The code, which whoever has the secret compares.
    pub code: Vec<u8>,
}

impl<'a> Sealed<'a> {
    /// Reads the header; none when it has another form.
    #[must_use]
    pub fn read(header: &'a str) -> Option<Self> {
        let (time, code) = header.strip_prefix("t=")?.split_once(",v1=")?;
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_hexdigit()) && text.len() == 64;
        if !digits(code) || !time.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let pair = |at: usize| u8::from_str_radix(code.get(at..at + 2)?, 16).ok();
        let code = (0..code.len()).step_by(2).map(pair).collect::<Option<Vec<u8>>>()?;
        Some(Self { time, seconds: time.parse().ok()?, code })
    }
}

/// How a submission stands. The names are part of the interface.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, Debug)]
pub struct Standing {
    /// The step that it is in, as `scanning` or `finalizePostScan`.
    pub step: String,
    /// The state of that step: `notStarted`, `started`, `completed`, `failed`.
    pub state: String,
    /// Whether it was handed in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

impl Standing {
    /// Reads the three fields of the portal's answer; everything else is the portal's affair. None when they are not
    /// there.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn read(answer: &[u8]) -> Result<Option<Self>, serde_json::Error> {
        let document: serde_json::Value = serde_json::from_slice(answer)?;
        let word = |pointer: &str| {
            let text = document.pointer(pointer)?.as_str()?;
            let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
            (text.len() <= MAX_WORD && text.bytes().all(plain)).then(|| text.to_owned())
        };
        let (step, state) = (word("/workflowStatus/currentStep"), word("/workflowStatus/state"));
        Ok(step.zip(state).map(|(step, state)| Self { step, state, commit: word("/commitStatus") }))
    }

    /// Whether it came to a bad end.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        let words = [Some(&self.state), self.commit.as_ref()];
        words
            .into_iter()
            .flatten()
            .any(|word| ["failed", "commitFailed"].iter().any(|bad| word.eq_ignore_ascii_case(bad)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_words_are_read_from_an_answer() {
        let standing = |text: &str| Standing::read(text.as_bytes()).unwrap();
        let good = r#"{"commitStatus":"CommitComplete","workflowStatus":{"currentStep":"scanning","state":"started"}}"#;
        let read = standing(good).unwrap();
        assert_eq!(
            (read.step.as_str(), read.state.as_str(), read.is_failed()),
            ("scanning", "started", false)
        );
        assert!(standing(&good.replace("started", "failed")).unwrap().is_failed());
        for wrong in ["{}", "[]", &good.replace("scanning", "a\\u001b[2J"), &good.replace("\"started\"", "7")]
        {
            assert_eq!(standing(wrong), None, "{wrong}");
        }
        assert!(Standing::read(b"{").is_err());
    }

    #[test]
    fn a_message_names_a_certificate() {
        let body = r#"{"id":"7","eventName":"certStatusUpdated","certificate":{"thumbprint":"THUMB","status":"revoked"}}"#;
        let read = |thumb: &str| Message::read(body.replace("THUMB", thumb).as_bytes());
        let update = read(&"ab:".repeat(20)).unwrap().update.unwrap();
        assert_eq!((update.certificate_sha1, update.status), ("AB".repeat(20), "revoked".to_owned()));
        assert_eq!(read("ab"), Err(Fault::Certificate));
        assert_eq!(Message::read(body.replace("\"7\"", "\"\\u001b\"").as_bytes()), Err(Fault::Id));
        assert_eq!(Message::read(b"[]"), Err(Fault::NoMessage));
        let other = Message::read(body.replace("certStatusUpdated", "another").as_bytes()).unwrap();
        assert_eq!(other.update, None);
    }

    #[test]
    fn a_header_has_one_form() {
        let code = "0f".repeat(32);
        let header = format!("t=1750000000,v1={code}");
        let sealed = Sealed::read(&header).unwrap();
        assert_eq!((sealed.seconds, sealed.code), (1_750_000_000, vec![15; 32]));
        for wrong in ["", "t=1", "t=x,v1=00", "v1=00,t=1", "t=1750000000,v1=", &header.replace("t=", "t=+")] {
            assert_eq!(Sealed::read(wrong), None, "{wrong}");
        }
    }
}
