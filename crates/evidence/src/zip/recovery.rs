//! What still stands in a ZIP whose directory cannot be found: a seal then says what is missing, and this says what a
//! tool such as `zip -FF` could bring back.

use super::local;
use crate::error::EvidenceError;
use crate::source::ReadAt;

const WINDOW: usize = 64 * 1024;

/// Adds to the reason why the directory is not there how many local headers are.
pub(super) fn without_directory(source: &dyn ReadAt, why: EvidenceError) -> EvidenceError {
    if !why.is_damage() {
        return why;
    }
    match count_headers(source) {
        Ok(headers) => EvidenceError::NoDirectory { headers, source: Box::new(why) },
        // Whoever cannot read cannot say more than before.
        Err(_) => why,
    }
}

fn count_headers(source: &dyn ReadAt) -> std::io::Result<u64> {
    let mut window = vec![0; WINDOW];
    let (mut kept, mut offset, mut found) = (0, 0u64, 0);
    loop {
        let count = match source.read_at(&mut window[kept..], offset) {
            Ok(0) => return Ok(found),
            Ok(count) => count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(e),
        };
        offset += count as u64;
        let filled = kept + count;
        found += memchr::memmem::find_iter(&window[..filled], local::SIGNATURE).count() as u64;
        // A signature may begin here and end in the next window; one that ended here is not counted twice.
        kept = filled.min(local::SIGNATURE.len() - 1);
        window.copy_within(filled - kept..filled, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_counted_across_windows() {
        for at in [0, WINDOW - 4, WINDOW - 3, WINDOW - 1, WINDOW, WINDOW + 1] {
            let mut bytes = vec![b'P'; 2 * WINDOW + 10];
            bytes[at..at + 4].copy_from_slice(local::SIGNATURE);
            assert_eq!(count_headers(&bytes.as_slice()).unwrap(), 1, "at {at}");
        }
    }
}
