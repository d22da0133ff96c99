//! Page hashes: one digest for each page of the image, so that the kernel can check a page when it is first used.
//!
//! The table is a list of file offset (32 bits, little-endian) and digest: the headers without the two fields that
//! signing changes, then every page of every section with bytes in the file, short ones filled up with zeros, and
//! last the end of the sections with a digest of zeros. A page is as large as the section alignment.

use pkix::{Digest, Hasher};

use crate::error::{AuthenticodeError, Result};
use crate::image::Image;

/// The loader's own limit is a page of 4 KiB or 8 KiB; more would only cost memory.
const MAX_PAGE: u32 = 1 << 20;

/// Page hashes in the making: pages are closed in the order of the file, and stand in the order of the sections.
pub(crate) struct Pages {
    digest: Digest,
    page: u64,
    /// Start, end and place in the table of what is hashed, in the order of the file.
    spans: Vec<(u64, u64, usize)>,
    next: usize,
    /// Of the page that was begun and not closed.
    hasher: Option<Hasher>,
    /// Room for the digests of the pages of one call.
    digests: Vec<[u8; 32]>,
    table: Vec<u8>,
}

fn unsuitable(why: &str) -> AuthenticodeError {
    AuthenticodeError::unsuitable("hash the pages", why)
}

impl Pages {
    pub(crate) fn new(image: &Image, digest: Digest) -> Result<Self> {
        let page = u64::from(image.section_alignment);
        if !image.section_alignment.is_power_of_two() || !(512..=MAX_PAGE).contains(&image.section_alignment)
        {
            return Err(unsuitable("the section alignment is not the size of a page"));
        }
        if u64::from(image.size_of_headers) > page
            || u64::from(image.size_of_headers) <= image.security_at + 8
        {
            return Err(unsuitable("the headers are not within one page"));
        }
        let entry = 4 + digest.size();
        let mut spans = vec![(0, u64::from(image.size_of_headers), 0)];
        let mut place = 1;
        let mut last = 0;
        for section in image.sections.iter().filter(|s| s.raw_size != 0 && s.raw_at != 0) {
            let range = section.file_range();
            if range.end > image.content_end() {
                return Err(unsuitable("a section reaches beyond the end of the file"));
            }
            let count = usize::try_from((range.end - range.start).div_ceil(page)).unwrap_or(usize::MAX);
            spans.push((range.start, range.end, place));
            place += count;
            last = range.end;
        }
        spans.sort_unstable();
        if spans.windows(2).any(|pair| pair[0].1 > pair[1].0) {
            return Err(unsuitable("two sections share bytes of the file"));
        }
        let mut table = vec![0; (place + 1) * entry];
        put(&mut table, place * entry, last);
        Ok(Self { digest, page, spans, next: 0, hasher: None, digests: Vec::new(), table })
    }

    /// Takes bytes of the file, in order; those that no span has are passed over. `whole` takes all of them.
    pub(crate) fn update(&mut self, mut at: u64, mut bytes: &[u8], mut whole: Option<&mut Hasher>) {
        while let Some(&(start, end, place)) = self.spans.get(self.next) {
            let skip = usize::try_from(start.saturating_sub(at)).unwrap_or(usize::MAX);
            if skip >= bytes.len() {
                break;
            }
            tell(&mut whole, &bytes[..skip]);
            (at, bytes) = (at + skip as u64, &bytes[skip..]);
            let index = place + usize::try_from((at - start) / self.page).unwrap_or(0);
            let mut taken = self.pages(index, at, end, bytes, &mut whole);
            if taken == 0 {
                taken = self.part(index, at, (start, end), bytes);
                tell(&mut whole, &bytes[..taken]);
            }
            (at, bytes) = (at + taken as u64, &bytes[taken..]);
            if at == end {
                self.next += 1;
            }
        }
        tell(&mut whole, bytes);
    }

    /// Takes the whole pages that `bytes` begins with, many at a time, and says how many bytes they are; none where a
    /// page was begun before, or under SHA-1.
    fn pages(
        &mut self,
        index: usize,
        at: u64,
        end: u64,
        bytes: &[u8],
        whole: &mut Option<&mut Hasher>,
    ) -> usize {
        // The headers' page is closed by `part` alone: what it counts and what it hashes differ by the fields left out.
        if self.hasher.is_some() || self.digest != Digest::Sha256 || index == 0 {
            return 0;
        }
        let page = usize::try_from(self.page).unwrap_or(usize::MAX);
        let room = usize::try_from(end - at).unwrap_or(usize::MAX).min(bytes.len());
        let count = room / page;
        self.digests.resize(count, [0; 32]);
        match whole {
            Some(hasher) => hasher.update_with_pages(&bytes[..count * page], page, &mut self.digests),
            None => gm::sha256_pages(&bytes[..count * page], page, &mut self.digests),
        }
        let entry = 4 + self.digest.size();
        for (number, digest) in self.digests.iter().enumerate() {
            let place = (index + number) * entry;
            put(&mut self.table, place, at + (number * page) as u64);
            self.table[place + 4..place + entry].copy_from_slice(digest);
        }
        count * page
    }

    /// Takes what `bytes` has of the page at `at`, and closes it when that is its end.
    fn part(&mut self, index: usize, at: u64, (start, end): (u64, u64), bytes: &[u8]) -> usize {
        let within = (at - start) % self.page;
        let room = usize::try_from((self.page - within).min(end - at)).unwrap_or(usize::MAX);
        let part = &bytes[..room.min(bytes.len())];
        self.hasher.get_or_insert_with(|| self.digest.hasher()).update(part);
        if part.len() == room {
            self.close(index, at - within, within + room as u64);
        }
        part.len()
    }

    /// Fills the page up with zeros. The two fields that signing changes are left out of the headers' page, and not
    /// replaced by anything: `length` counts them all the same.
    fn close(&mut self, index: usize, page_start: u64, length: u64) {
        const ZEROS: [u8; 4096] = [0; 4096];
        let Some(mut hasher) = self.hasher.take() else { return };
        let mut missing = self.page - length;
        while missing > 0 {
            let part = missing.min(4096);
            hasher.update(&ZEROS[..usize::try_from(part).unwrap_or(0)]);
            missing -= part;
        }
        let at = index * (4 + self.digest.size());
        put(&mut self.table, at, page_start);
        let digest = hasher.finish();
        self.table[at + 4..at + 4 + digest.len()].copy_from_slice(&digest);
    }

    pub(crate) fn finish(self) -> Vec<u8> {
        self.table
    }
}

fn tell(whole: &mut Option<&mut Hasher>, bytes: &[u8]) {
    if let Some(hasher) = whole {
        hasher.update(bytes);
    }
}

#[expect(clippy::cast_possible_truncation, reason = "files above 4 GiB are refused")]
fn put(table: &mut [u8], at: usize, offset: u64) {
    table[at..at + 4].copy_from_slice(&(offset as u32).to_le_bytes());
}
