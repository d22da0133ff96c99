//! Distinguished names (RFC 5280 §4.1.2.4), compared by their bytes and shown as RFC 4514 writes them.

use std::fmt;

use crate::der::{Reader, Value, tag};
use crate::error::PkixError;
use crate::oid::Oid;

/// More attributes than this are no name that anyone gave.
const MAX_ATTRIBUTES: usize = 64;

/// Short names of RFC 4514 §3 and of the attributes that certification authorities add.
const SHORT: &[(Oid, &str)] = &[
    (Oid::new(&[2, 5, 4, 3]), "CN"),
    (Oid::new(&[2, 5, 4, 5]), "serialNumber"),
    (Oid::new(&[2, 5, 4, 6]), "C"),
    (Oid::new(&[2, 5, 4, 7]), "L"),
    (Oid::new(&[2, 5, 4, 8]), "ST"),
    (Oid::new(&[2, 5, 4, 9]), "street"),
    (Oid::new(&[2, 5, 4, 10]), "O"),
    (Oid::new(&[2, 5, 4, 11]), "OU"),
    (Oid::new(&[2, 5, 4, 15]), "businessCategory"),
    (Oid::new(&[0, 9, 2342, 19200300, 100, 1, 25]), "DC"),
    (Oid::new(&[1, 2, 840, 113549, 1, 9, 1]), "emailAddress"),
    (Oid::new(&[1, 3, 6, 1, 4, 1, 311, 60, 2, 1, 3]), "jurisdictionC"),
];

/// A name. Two names are the same when their encodings are: certification authorities copy the subject of the issuer
/// octet by octet, and a looser comparison (RFC 5280 §7.1) only makes room for confusion.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Name {
    raw: Vec<u8>,
    attributes: Vec<(Oid, String)>,
}

impl Name {
    /// Reads one `Name`.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(reader: &mut Reader<'_>) -> Result<Self, PkixError> {
        let value = reader.expect(tag::SEQUENCE).map_err(|e| e.of("name"))?;
        let mut attributes = Vec::new();
        let mut sets = value.reader();
        while !sets.is_empty() {
            let mut set = sets.expect(tag::SET).map_err(|e| e.of("name"))?.reader();
            while !set.is_empty() {
                let mut pair = set.sequence().map_err(|e| e.of("name"))?;
                let kind = pair.oid()?;
                attributes.push((kind, text(pair.any()?)));
                pair.end()?;
                if attributes.len() > MAX_ATTRIBUTES {
                    return Err(PkixError::malformed("name", "it has more than 64 attributes"));
                }
            }
        }
        Ok(Self { raw: value.raw.to_vec(), attributes })
    }

    /// The encoding.
    #[must_use]
    pub fn as_der(&self) -> &[u8] {
        &self.raw
    }

    /// The common name, where there is one; the last attribute otherwise.
    #[must_use]
    pub fn short(&self) -> &str {
        let common = self.attributes.iter().rev().find(|(kind, _)| *kind == SHORT[0].0);
        common.or(self.attributes.last()).map_or("", |(_, text)| text)
    }
}

impl fmt::Display for Name {
    /// The last attribute first (RFC 4514 §2.1).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (kind, text)) in self.attributes.iter().rev().enumerate() {
            f.write_str(if at == 0 { "" } else { "," })?;
            match SHORT.iter().find(|(known, _)| known == kind) {
                Some((_, short)) => write!(f, "{short}=")?,
                None => write!(f, "{kind}=")?,
            }
            for c in text.chars() {
                match c {
                    ',' | '+' | '"' | '\\' | '<' | '>' | ';' | '=' => write!(f, "\\{c}")?,
                    c => write!(f, "{c}")?,
                }
            }
        }
        Ok(())
    }
}

/// The text of a `DirectoryString`; hexadecimal for other types, and nothing that would move a terminal's cursor.
pub(crate) fn text(value: Value<'_>) -> String {
    let decoded = match value.tag {
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING => {
            String::from_utf8_lossy(value.body).into_owned()
        }
        // In practice Latin-1, whatever T.61 says.
        tag::TELETEX_STRING => value.body.iter().map(|byte| char::from(*byte)).collect(),
        tag::BMP_STRING => {
            let units = value.body.chunks_exact(2).map(|pair| u16::from_be_bytes([pair[0], pair[1]]));
            char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
        }
        _ => value.raw.iter().take(64).map(|byte| format!("{byte:02x}")).collect(),
    };
    decoded.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
