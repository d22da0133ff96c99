//! PEM (RFC 7468), or the same thing in DER.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::PkixError;

/// More blocks than this are not read from one file.
const MAX_BLOCKS: usize = 1000;

/// The blocks with this label; when the bytes are no PEM at all, they are taken for one block in DER.
///
/// # Errors
/// When a block is cut off or not base64, there are too many, or there is none.
pub fn blocks(bytes: &[u8], label: &str) -> Result<Vec<Vec<u8>>, PkixError> {
    // 0x30 begins a SEQUENCE, which every DER file here is, and is the digit 0 in text.
    if bytes.first() == Some(&0x30) && !bytes.starts_with(b"0-") && std::str::from_utf8(bytes).is_err() {
        return Ok(vec![bytes.to_vec()]);
    }
    let text = String::from_utf8_lossy(bytes);
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let mut out = Vec::new();
    let mut rest = &*text;
    while let Some(start) = rest.find(&begin) {
        let body = &rest[start + begin.len()..];
        let stop = body.find(&end).ok_or_else(|| bad("a block is cut off"))?;
        let digits: String = body[..stop].chars().filter(|c| !c.is_ascii_whitespace()).collect();
        out.push(STANDARD.decode(digits).map_err(|_| bad("a block is not base64"))?);
        rest = &body[stop + end.len()..];
        if out.len() > MAX_BLOCKS {
            return Err(bad("it holds more than 1000 blocks"));
        }
    }
    if out.is_empty() {
        return Err(bad(format!("there is no `{label}` in it")));
    }
    Ok(out)
}

/// One block, with Unix line ends.
#[must_use]
pub fn encode(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn bad(why: impl Into<String>) -> PkixError {
    PkixError::malformed("PEM", why)
}
