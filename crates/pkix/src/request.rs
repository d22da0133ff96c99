//! Certificate requests (PKCS #10, RFC 2986) for code signing.

use crate::der::{self, bits, explicit, octets, sequence, set_of, small, tag, value};
use crate::error::PkixError;
use crate::oid::{self, Oid};

/// Attributes that a subject may be given with, and the string type of each: a country is two letters of
/// `PrintableString` (RFC 5280 §4.1.2.4, appendix A).
const NAMES: &[(&str, Oid, u8)] = &[
    ("CN", Oid::new(&[2, 5, 4, 3]), tag::UTF8_STRING),
    ("serialNumber", Oid::new(&[2, 5, 4, 5]), tag::PRINTABLE_STRING),
    ("C", Oid::new(&[2, 5, 4, 6]), tag::PRINTABLE_STRING),
    ("L", Oid::new(&[2, 5, 4, 7]), tag::UTF8_STRING),
    ("ST", Oid::new(&[2, 5, 4, 8]), tag::UTF8_STRING),
    ("O", Oid::new(&[2, 5, 4, 10]), tag::UTF8_STRING),
    ("OU", Oid::new(&[2, 5, 4, 11]), tag::UTF8_STRING),
    ("emailAddress", Oid::new(&[1, 2, 840, 113549, 1, 9, 1]), tag::IA5_STRING),
];

/// A request that waits for its signature.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    info: Vec<u8>,
}

impl Request {
    /// A request for a certificate of the key `spki` that may sign code.
    #[must_use]
    pub fn new(subject: &[u8], spki: &[u8]) -> Self {
        let extension =
            |oid, critical: &[u8], inner: &[u8]| sequence(&[&der::oid(oid), critical, &octets(inner)]);
        // digitalSignature, the highest of eight bits with seven unused.
        let usage = extension(oid::KEY_USAGE, &[tag::BOOLEAN, 1, 0xff], &[tag::BIT_STRING, 2, 7, 0x80]);
        let purpose = extension(oid::EXTENDED_KEY_USAGE, &[], &sequence(&[&der::oid(oid::KP_CODE_SIGNING)]));
        let extensions = sequence(&[&usage, &purpose]);
        let attribute = sequence(&[&der::oid(oid::EXTENSION_REQUEST), &set_of(&[extensions])]);
        Self { info: sequence(&[&small(0), subject, spki, &explicit(0, &attribute)]) }
    }

    /// What the key must sign.
    #[must_use]
    pub fn to_be_signed(&self) -> &[u8] {
        &self.info
    }

    /// The request, DER. `algorithm` is the whole `AlgorithmIdentifier` of the signature.
    #[must_use]
    pub fn finish(&self, algorithm: &[u8], signature: &[u8]) -> Vec<u8> {
        sequence(&[&self.info, algorithm, &bits(signature)])
    }
}

/// The encoding of a name written as `CN=Example Ltd,O=Example Ltd,C=DE`: the first attribute is the last of the
/// encoding (RFC 4514 §2.1); `\,` is a comma.
///
/// # Errors
/// When an attribute is not known, empty, or given twice.
pub fn name(text: &str) -> Result<Vec<u8>, PkixError> {
    let bad = |why: String| PkixError::malformed("subject", why);
    let mut sets = Vec::new();
    for part in split(text) {
        let (key, content) =
            part.split_once('=').ok_or_else(|| bad(format!("`{part}` is not NAME=VALUE")))?;
        let known = NAMES.iter().find(|(name, ..)| name.eq_ignore_ascii_case(key.trim()));
        let (name, oid, kind) = known.ok_or_else(|| bad(format!("`{key}` is not known")))?;
        let content = content.trim();
        if content.is_empty() || content.len() > 256 {
            return Err(bad(format!("{name} is empty or longer than 256 bytes")));
        }
        if *kind != tag::UTF8_STRING && !content.is_ascii() {
            return Err(bad(format!("{name} is ASCII only")));
        }
        sets.push(set_of(&[sequence(&[&der::oid(*oid), &value(*kind, content.as_bytes())])]));
    }
    sets.reverse();
    Ok(value(tag::SEQUENCE, &sets.concat()))
}

fn split(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (c, parts.last_mut()) {
            ('\\', Some(last)) => last.extend(characters.next()),
            (',', _) => parts.push(String::new()),
            (c, Some(last)) => last.push(c),
            _ => {}
        }
    }
    parts
}
