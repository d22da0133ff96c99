//! Oracles over outside bytes, shared by the fuzz targets and the tests that replay their corpora.

use crate::{Comparison, EntryProof, Exclude, Observation, Seal};

/// A statement that is read is written again to one that reads the same, and holds against itself; an envelope
/// that nobody trusted signed is never opened.
///
/// # Panics
/// When one of these does not hold.
pub fn statement(data: &[u8]) {
    assert!(Seal::open(data, &[]).is_err(), "an envelope was opened without a trusted signature");
    let Ok(seal) = Seal::from_statement(data) else { return };
    let again = seal.to_statement().expect("what was read is within the limits");
    assert_eq!(Seal::from_statement(&again).expect("what was written is read"), seal);
    let found = Observation::of(&seal);
    let comparison = Comparison::of(&seal, &found);
    assert!(comparison.holds(), "a seal does not hold against itself: {comparison:?}");
}

/// A proof that is read is written again to one that reads the same, and nobody's signature never holds.
///
/// # Panics
/// When one of these does not hold.
pub fn proof(data: &[u8]) {
    let Ok(proof) = EntryProof::parse(data) else { return };
    assert!(proof.verify(&[]).is_err(), "a proof held without a trusted signature");
    let again = proof.to_json().expect("what was read is within the limits");
    if again.len() <= crate::MAX_PROOF {
        assert_eq!(EntryProof::parse(&again).expect("what was written is read"), proof);
    }
}

/// A head that is read is written again to one that reads the same.
///
/// # Panics
/// When it does not.
pub fn head(data: &[u8]) {
    let Ok(head) = crate::head::Head::from_statement(data) else { return };
    let again = head.to_statement().expect("what was read is within the limits");
    assert_eq!(crate::head::Head::from_statement(&again).expect("what was written is read"), head);
}

/// A pattern, a zero byte and a path: the matcher says what the plain definition says.
///
/// # Panics
/// When the two differ.
pub fn exclusion(data: &[u8]) {
    // The plain definition takes exponential time.
    let Some((pattern, path)) = std::str::from_utf8(data).ok().and_then(|text| text.split_once('\0')) else {
        return;
    };
    let Ok(exclude) = Exclude::new(vec![pattern.to_owned()]) else { return };
    let found = exclude.matches(path);
    if path.len() <= 16 && pattern.matches('*').count() <= 4 {
        let text = if pattern.contains('/') { path } else { path.rsplit('/').next().unwrap_or(path) };
        assert_eq!(found, plainly_matches(pattern, text), "`{pattern}` on `{text}`");
    }
}

/// By trying every length for every star.
fn plainly_matches(pattern: &str, text: &str) -> bool {
    let (crossing, rest) = match (pattern.strip_prefix("**"), pattern.strip_prefix('*')) {
        (Some(rest), _) => (true, rest),
        (None, Some(rest)) => (false, rest),
        (None, None) => return one_and_the_rest(pattern, text),
    };
    let ends = text.char_indices().map(|(at, _)| at).chain([text.len()]);
    ends.take_while(|end| crossing || !text[..*end].contains('/'))
        .any(|end| plainly_matches(rest, &text[end..]))
}

fn one_and_the_rest(pattern: &str, text: &str) -> bool {
    let (mut wanted, mut given) = (pattern.chars(), text.chars());
    match (wanted.next(), given.next()) {
        (None, None) => true,
        (Some(w), Some(g)) if w == g || (w == '?' && g != '/') => {
            plainly_matches(wanted.as_str(), given.as_str())
        }
        _ => false,
    }
}
