//! The bytes of `vault/keys.vault`: a header that holds the wrapped key of the file, then sealed frames.
//!
//! ```text
//! header  "CUSTVLT1" | length u32 | epoch u64 | file id 16 | wrapped key: length u16, bytes | origin: length u16, bytes | crc32c u32
//! frame   length u32 | its complement u32 | nonce 12 | ciphertext | tag 16 | crc32c u32
//! ```
//!
//! Integers are little-endian. The checksum names damage without any key; the tag (SM4-GCM, bound to the file's id and
//! the frame's number) shows forgery to who holds the key. The complement keeps a flipped length from being taken for
//! the unfinished last frame that a crash leaves: that one may be dropped, since nothing in it was acknowledged.

use std::ops::Range;

use gm::Sm4Gcm;
use zeroize::Zeroizing;

/// What a vault begins with; the digit is the version of the format.
pub(crate) const MAGIC: &[u8; 8] = b"CUSTVLT1";
/// Plaintext of a frame; the rewriting of a vault fills frames up to this.
pub(crate) const MAX_FRAME: usize = 256 * 1024;
/// A header is never longer.
const MAX_HEADER: usize = 4096;
const NONCE: usize = 12;
const TAG: usize = 16;
const CRC: usize = 4;
/// What a disk writes whole or not at all.
const SECTOR: usize = 512;
const LENGTHS: usize = 8;
/// What a frame has beside its text.
pub(crate) const OVERHEAD: usize = LENGTHS + NONCE + TAG + CRC;

/// What stands before the frames.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Header {
    /// Epoch of the key-encryption key.
    pub(crate) epoch: u64,
    /// Drawn anew whenever the file is rewritten.
    pub(crate) file_id: [u8; 16],
    /// The key of the frames, closed under the epoch.
    pub(crate) wrapped: Vec<u8>,
    /// The log that the vault belongs to.
    pub(crate) origin: String,
}

/// A range of bytes that is not what was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct VaultDamage {
    /// The bytes of the file.
    pub bytes: Range<u64>,
    /// The frame, counted from 0; nothing when it is the header.
    pub frame: Option<u64>,
    /// What is wrong.
    pub why: &'static str,
}

impl std::fmt::Display for VaultDamage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.frame {
            Some(frame) => write!(f, "vault/keys.vault: record {frame}, ")?,
            None => write!(f, "vault/keys.vault: the header, ")?,
        }
        write!(f, "bytes {} to {}: {}", self.bytes.start, self.bytes.end, self.why)
    }
}

/// A vault's bytes, cut into their parts; nothing is opened yet.
pub(crate) struct Parts {
    pub(crate) header: Header,
    /// Whole frames, checksums tested.
    pub(crate) frames: Vec<Range<usize>>,
    /// Where the whole frames end. What follows was never finished.
    pub(crate) end: usize,
}

impl Header {
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::with_capacity(256);
        body.extend_from_slice(&self.epoch.to_le_bytes());
        body.extend_from_slice(&self.file_id);
        for part in [self.wrapped.as_slice(), self.origin.as_bytes()] {
            let length = u16::try_from(part.len()).unwrap_or(u16::MAX); // both are bounded where they are made
            body.extend_from_slice(&length.to_le_bytes());
            body.extend_from_slice(part);
        }
        let length = u32::try_from(body.len()).unwrap_or(u32::MAX); // as above
        let mut out = [MAGIC.as_slice(), &length.to_le_bytes(), &body].concat();
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        out
    }

    fn decode(body: &[u8]) -> Option<Self> {
        let (epoch, rest) = body.split_first_chunk::<8>()?;
        let (file_id, rest) = rest.split_first_chunk::<16>()?;
        let (wrapped, rest) = take_short(rest)?;
        let (origin, rest) = take_short(rest)?;
        let origin = std::str::from_utf8(origin).ok()?.to_owned();
        rest.is_empty().then(|| Self {
            epoch: u64::from_le_bytes(*epoch),
            file_id: *file_id,
            wrapped: wrapped.to_vec(),
            origin,
        })
    }
}

fn take_short(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<2>()?;
    rest.split_at_checked(usize::from(u16::from_le_bytes(*length)))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Cuts a vault into its parts.
///
/// # Errors
/// The first damage. An unfinished last frame is none.
pub(crate) fn parse(bytes: &[u8]) -> Result<Parts, VaultDamage> {
    let (header, start) = parse_header(bytes)?;
    let mut parts = Parts { header, frames: Vec::new(), end: start };
    while parts.end < bytes.len() {
        match next_frame(bytes, parts.end) {
            Ok(Some(end)) => {
                parts.frames.push(parts.end..end);
                parts.end = end;
            }
            Ok(None) => break,
            Err((end, why)) => {
                let frame = Some(parts.frames.len() as u64);
                return Err(VaultDamage { bytes: parts.end as u64..end as u64, frame, why });
            }
        }
    }
    Ok(parts)
}

fn parse_header(bytes: &[u8]) -> Result<(Header, usize), VaultDamage> {
    let damaged = |end: usize, why| VaultDamage { bytes: 0..end as u64, frame: None, why };
    let all = bytes.len().min(MAX_HEADER);
    if !bytes.starts_with(MAGIC) {
        return Err(damaged(all.min(MAGIC.len()), "it does not begin as a vault of a version known here"));
    }
    let length = u32_at(bytes, MAGIC.len()).and_then(|n| usize::try_from(n).ok());
    let Some(length) = length.filter(|n| *n <= MAX_HEADER) else {
        return Err(damaged(all, "its length cannot be"));
    };
    let body = MAGIC.len() + 4;
    let end = body + length + CRC;
    if bytes.len() < end {
        return Err(damaged(all, "it is cut off"));
    }
    if u32_at(bytes, end - CRC) != Some(crc32c::crc32c(&bytes[..end - CRC])) {
        return Err(damaged(end, "its checksum does not match"));
    }
    let header = Header::decode(&bytes[body..end - CRC]);
    Ok((header.ok_or_else(|| damaged(end, "its parts do not fit into it"))?, end))
}

/// The end of the frame at `at`; nothing when it was never finished.
fn next_frame(bytes: &[u8], at: usize) -> Result<Option<usize>, (usize, &'static str)> {
    let rest = &bytes[at..];
    let (Some(length), Some(complement)) = (u32_at(rest, 0), u32_at(rest, 4)) else { return Ok(None) };
    let known = usize::try_from(length).ok().filter(|n| *n <= MAX_FRAME && complement == !length);
    let Some(length) = known else {
        return if unfinished(rest, at) {
            Ok(None)
        } else {
            Err((bytes.len(), "its length is not what was written"))
        };
    };
    let whole = length + OVERHEAD;
    if rest.len() < whole {
        return Ok(None);
    }
    if u32_at(rest, whole - CRC) != Some(crc32c::crc32c(&rest[..whole - CRC])) {
        return if unfinished(rest, at) {
            Ok(None)
        } else {
            Err((at + whole, "its checksum does not match"))
        };
    }
    Ok(Some(at + whole))
}

/// Whether what stands behind the last whole frame is one that a crash cut short: a file that grew, and of whose new sectors
/// some were not written. Each frame is synced before the next, so it is one frame at most. Sealed bytes are zero
/// throughout by no chance that counts, and a damaged byte does not make them so.
fn unfinished(rest: &[u8], at: usize) -> bool {
    let (first, others) = rest.split_at(rest.len().min(SECTOR - at % SECTOR));
    let unwritten = |sector: &[u8]| sector.len() >= LENGTHS && sector.iter().all(|b| *b == 0);
    let nothing = rest.iter().all(|b| *b == 0);
    rest.len() <= MAX_FRAME + OVERHEAD
        && (nothing || unwritten(first) || others.chunks(SECTOR).any(unwritten))
}

fn context(file_id: &[u8; 16], number: u64) -> [u8; 24] {
    let mut bytes = [0; 24];
    bytes[..16].copy_from_slice(file_id);
    bytes[16..].copy_from_slice(&number.to_le_bytes());
    bytes
}

/// Appends a frame around `text`, which is at most [`MAX_FRAME`] long.
pub(crate) fn seal(
    cipher: &Sm4Gcm,
    file_id: &[u8; 16],
    number: u64,
    nonce: [u8; NONCE],
    text: &[u8],
    out: &mut Vec<u8>,
) {
    debug_assert!(text.len() <= MAX_FRAME, "the caller cuts longer texts");
    let start = out.len();
    let length = u32::try_from(text.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(&nonce);
    let body = out.len();
    out.extend_from_slice(text);
    let tag = cipher.encrypt_in_place(&nonce, &context(file_id, number), &mut out[body..]);
    out.extend_from_slice(&tag.unwrap_or_default()); // a quarter of a mebibyte is never too long for GCM
    let crc = crc32c::crc32c(&out[start..]);
    out.extend_from_slice(&crc.to_le_bytes());
}

/// The text of a whole frame; nothing when it was not sealed under this key at this place.
pub(crate) fn open(
    cipher: &Sm4Gcm,
    file_id: &[u8; 16],
    number: u64,
    frame: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, rest) = frame.get(LENGTHS..frame.len().checked_sub(CRC)?)?.split_first_chunk::<NONCE>()?;
    let (text, tag) = rest.split_last_chunk::<TAG>()?;
    let mut text = Zeroizing::new(text.to_vec());
    cipher.decrypt_in_place(nonce, &context(file_id, number), &mut text, tag).ok()?;
    Some(text)
}
