//! Electronic mail addresses around each `@`: the dot-atoms of RFC 5321 §4.1.2, without quoted local parts and
//! without address literals.

use super::{Hit, Kind};

pub(super) fn find(bytes: &[u8], hits: &mut Vec<Hit>) {
    let mut floor = 0;
    for at in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'@').map(|(at, _)| at) {
        let local = bytes[floor.min(at)..at].iter().rev().take_while(|byte| is_local(**byte)).count();
        if local == 0 {
            continue;
        }
        if let Some(length) = domain(&bytes[at + 1..]) {
            let end = at + 1 + length;
            hits.push(Hit { kind: Kind::Email, start: at - local, end });
            floor = end;
        }
    }
}

fn is_local(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"._%+-".contains(&byte)
}

/// How much of the text is a domain: labels and, behind a dot, two letters or more.
fn domain(bytes: &[u8]) -> Option<usize> {
    let mut best = None;
    let mut start = 0;
    loop {
        let rest = &bytes[start..];
        if start > 0 {
            let letters = rest.iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
            if letters >= 2 {
                best = Some(start + letters);
            }
        }
        let label = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'-').count();
        let sound = label > 0 && rest[0] != b'-' && rest[label - 1] != b'-';
        if !sound || rest.get(label) != Some(&b'.') {
            return best;
        }
        start += label + 1;
    }
}
