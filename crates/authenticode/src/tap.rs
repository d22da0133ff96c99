//! An image that comes piece by piece, as an archive gives it: hashed on the way, without a second reading.
//!
//! Whoever reads does not know yet whether it is an image: the first bytes are kept until the headers are there. What
//! [`crate::Image::read`] refuses is none, and costs nothing from then on.

use crate::image::{FIRST, Image};
use crate::pass::{Found, Pass, Wanted};

/// An image in the making.
pub struct Tap {
    file_size: u64,
    wanted: Wanted,
    state: State,
}

enum State {
    /// Too few bytes to tell; how many are needed.
    Head(Vec<u8>, u64),
    Image(Box<(Image, Pass)>, u64),
    /// No image.
    Other,
}

/// An image that came to its end.
#[derive(Clone, Debug)]
pub struct Tapped {
    /// Its headers.
    pub image: Image,
    /// Its digests and page hashes. Those pages that cannot be hashed are not there.
    pub found: Found,
    /// Bytes that the digests cover, with what a signer fills up: the size without signatures.
    pub size: u64,
}

impl Tap {
    /// For a content of `file_size` bytes.
    #[must_use]
    pub fn new(file_size: u64, wanted: Wanted) -> Self {
        Self { file_size, wanted, state: State::Head(Vec::new(), FIRST.min(file_size)) }
    }

    /// Whether what came so far may be an image.
    #[must_use]
    pub fn is_open(&self) -> bool {
        !matches!(self.state, State::Other)
    }

    /// Takes the next bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.state {
            State::Other => {}
            State::Image(image, at) => {
                feed(&image.0, &mut image.1, *at, bytes);
                *at += bytes.len() as u64;
            }
            State::Head(head, needed) => {
                if head.is_empty() && bytes.first().is_some_and(|byte| *byte != b'M') {
                    self.state = State::Other;
                    return;
                }
                let missing = usize::try_from(*needed).unwrap_or(usize::MAX).saturating_sub(head.len());
                let (now, rest) = bytes.split_at(missing.min(bytes.len()));
                head.extend(now);
                if now.len() == missing {
                    self.look();
                    // Another round: more of the headers, or the image itself.
                    if !rest.is_empty() {
                        self.update(rest);
                    }
                }
            }
        }
    }

    /// Decides what the first bytes are, or how many more it takes to tell.
    fn look(&mut self) {
        let State::Head(head, needed) = &mut self.state else { return };
        let all = Image::headers_end(head).map(|end| end.min(self.file_size));
        let next = match all {
            Ok(end) if end > *needed && *needed == FIRST => {
                *needed = end;
                return;
            }
            Ok(_) => open(head, self.file_size, &self.wanted),
            Err(_) => None,
        };
        self.state = next.map_or(State::Other, |image| State::Image(Box::new(image), head.len() as u64));
    }

    /// What it was, once all bytes of the announced size came; `None` when it is no image.
    #[must_use]
    pub fn finish(self) -> Option<Tapped> {
        let State::Image(image, at) = self.state else { return None };
        let (image, mut pass) = *image;
        if at != self.file_size {
            return None;
        }
        let end = image.content_end();
        let size = end.next_multiple_of(8);
        let padding = size - end;
        pass.content(&[0; 8][..usize::try_from(padding).unwrap_or(0)]);
        Some(Tapped { image, found: pass.finish(padding), size })
    }
}

/// The image that begins with `head`, which is taken already.
fn open(head: &[u8], file_size: u64, wanted: &Wanted) -> Option<(Image, Pass)> {
    let image = Image::parse(head, file_size).ok()?;
    let unpaged = Wanted { pages: Vec::new(), ..wanted.clone() };
    let mut pass = Pass::new(&image, wanted).or_else(|_| Pass::new(&image, &unpaged)).ok()?;
    feed(&image, &mut pass, 0, head);
    Some((image, pass))
}

/// What stands before the certificate table.
fn feed(image: &Image, pass: &mut Pass, at: u64, bytes: &[u8]) {
    let left = usize::try_from(image.content_end().saturating_sub(at)).unwrap_or(usize::MAX);
    pass.observe(at, &bytes[..left.min(bytes.len())]);
}
