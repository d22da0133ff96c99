//! The bytes of a segment of the index (docs/formats/index.md).
//!
//! A head with tables that say where to look, then pages of postings; each carries a CRC-32C of its own, so that a
//! search reads the head and the pages it needs and knows that they are whole.

use super::{BLOCK, SEGMENT};

/// First bytes of a file; the last is the version.
pub(crate) const MAGIC: &[u8; 16] = b"custody-index\0\0\x01";
/// Magic, first index, entries, postings, actions' bytes.
pub(crate) const FIXED: usize = 16 + 8 + 4 + 4 + 4;
/// Bytes of a page, its checksum included.
pub(crate) const PAGE: usize = 4096;
/// Bytes of a posting: a key and an offset.
const POSTING: usize = 6;
/// Postings of a page.
pub(crate) const PER_PAGE: usize = (PAGE - 4) / POSTING;
/// Codes of actions beyond so many bytes are not listed: then any action can be there.
const MAX_ACTIONS: usize = 256 * 1024;
/// An event has at most 64 fields of an object and of a subject, an id, a trace and a severity.
const MAX_KEYS: u64 = 64 + 64 + 3;

/// A key and the offset of an entry that has it.
pub(crate) type Posting = (u32, u16);

/// What the head of a segment says.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Head {
    /// Index of the first entry.
    pub(crate) first: u64,
    /// Entries that are indexed, from the first.
    pub(crate) count: u32,
    /// Postings in the pages.
    pub(crate) postings: u32,
    /// Least and greatest stamp of each block; greatest below least where a block has no event.
    pub(crate) times: Vec<(u64, u64)>,
    /// Every action that is there, or nothing when there are too many to list.
    pub(crate) actions: Option<Vec<String>>,
    /// First key of each page.
    pub(crate) fences: Vec<u32>,
    /// Bytes of the head, its checksum included: where the pages begin.
    pub(crate) length: usize,
}

fn length(blocks: usize, actions: usize, pages: usize) -> usize {
    FIXED + blocks * 16 + actions + pages * 4 + 4
}

fn listed(actions: &[String]) -> Vec<u8> {
    actions.iter().flat_map(|action| action.bytes().chain([b'\n'])).collect()
}

/// A whole segment: `postings` sorted, without doubles.
pub(crate) fn encode(
    first: u64,
    count: u32,
    times: &[(u64, u64)],
    actions: &[String],
    postings: &[Posting],
) -> Vec<u8> {
    let actions = listed(actions);
    // One byte that no list begins with says that there are too many.
    let actions = if actions.len() > MAX_ACTIONS { b"*".to_vec() } else { actions };
    let mut out = Vec::with_capacity(FIXED + postings.len() * POSTING + 64 * 1024);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&first.to_be_bytes());
    out.extend_from_slice(&count.to_be_bytes());
    out.extend_from_slice(&u32::try_from(postings.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend_from_slice(&u32::try_from(actions.len()).unwrap_or(u32::MAX).to_be_bytes());
    for (least, greatest) in times {
        out.extend_from_slice(&least.to_be_bytes());
        out.extend_from_slice(&greatest.to_be_bytes());
    }
    out.extend_from_slice(&actions);
    for page in postings.chunks(PER_PAGE) {
        out.extend_from_slice(&page[0].0.to_be_bytes());
    }
    let sum = crc32c::crc32c(&out);
    out.extend_from_slice(&sum.to_be_bytes());
    for page in postings.chunks(PER_PAGE) {
        let start = out.len();
        for (key, offset) in page {
            out.extend_from_slice(&key.to_be_bytes());
            out.extend_from_slice(&offset.to_be_bytes());
        }
        out.resize(start + PAGE - 4, 0);
        let sum = crc32c::crc32c(&out[start..]);
        out.extend_from_slice(&sum.to_be_bytes());
    }
    out
}

/// The bytes of the head, from the fixed part; nothing when that is none.
pub(crate) fn head_length(fixed: &[u8]) -> Option<usize> {
    let fields = Fixed::read(fixed)?;
    Some(length(fields.blocks(), fields.actions, fields.pages()))
}

struct Fixed {
    first: u64,
    count: u32,
    postings: u32,
    actions: usize,
}

impl Fixed {
    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (first, rest) = rest.split_first_chunk()?;
        let (count, rest) = rest.split_first_chunk()?;
        let (postings, rest) = rest.split_first_chunk()?;
        let (actions, _) = rest.split_first_chunk()?;
        let fixed = Self {
            first: u64::from_be_bytes(*first),
            count: u32::from_be_bytes(*count),
            postings: u32::from_be_bytes(*postings),
            actions: usize::try_from(u32::from_be_bytes(*actions)).ok()?,
        };
        let (count, postings) = (u64::from(fixed.count), u64::from(fixed.postings));
        let sane = fixed.first.is_multiple_of(SEGMENT)
            && fixed.first.checked_add(SEGMENT).is_some()
            && (1..=SEGMENT).contains(&count)
            && postings <= count * MAX_KEYS
            && fixed.actions <= MAX_ACTIONS;
        sane.then_some(fixed)
    }

    fn blocks(&self) -> usize {
        usize::try_from(self.count).unwrap_or(usize::MAX).div_ceil(BLOCK)
    }

    fn pages(&self) -> usize {
        usize::try_from(self.postings).unwrap_or(usize::MAX).div_ceil(PER_PAGE)
    }
}

/// Reads a head; nothing when the bytes are not whole, or not one.
pub(crate) fn decode(bytes: &[u8]) -> Option<Head> {
    let fixed = Fixed::read(bytes)?;
    let length = length(fixed.blocks(), fixed.actions, fixed.pages());
    let (body, sum) = bytes.get(..length)?.split_last_chunk::<4>()?;
    if crc32c::crc32c(body) != u32::from_be_bytes(*sum) {
        return None;
    }
    let (times, rest) = body[FIXED..].split_at_checked(fixed.blocks() * 16)?;
    let (actions, fences) = rest.split_at_checked(fixed.actions)?;
    let times = times.as_chunks::<16>().0.iter().map(|pair| {
        let (least, greatest) = pair.split_at(8);
        let read = |bytes: &[u8]| bytes.iter().fold(0u64, |n, byte| n << 8 | u64::from(*byte));
        (read(least), read(greatest))
    });
    let actions = match actions {
        b"*" => None,
        listed => {
            let text = std::str::from_utf8(listed).ok()?;
            Some(text.split_terminator('\n').map(str::to_owned).collect())
        }
    };
    let fences: Vec<u32> = fences.as_chunks().0.iter().map(|key| u32::from_be_bytes(*key)).collect();
    if !fences.is_sorted() {
        return None;
    }
    Some(Head {
        first: fixed.first,
        count: fixed.count,
        postings: fixed.postings,
        times: times.collect(),
        actions,
        fences,
        length,
    })
}

/// The postings of a page of which `used` are in use; nothing when it is not whole.
pub(crate) fn decode_page(page: &[u8; PAGE], used: usize) -> Option<impl Iterator<Item = Posting>> {
    let (body, sum) = page.split_last_chunk::<4>()?;
    let whole = crc32c::crc32c(body) == u32::from_be_bytes(*sum) && used <= PER_PAGE;
    let postings = body.as_chunks::<POSTING>().0.get(..used)?.iter();
    whole.then(|| {
        postings
            .map(|[a, b, c, d, e, f]| (u32::from_be_bytes([*a, *b, *c, *d]), u16::from_be_bytes([*e, *f])))
    })
}
