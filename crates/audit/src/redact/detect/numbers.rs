//! Numbers: groups of digits that single spaces or hyphens join, and what such groups can be.

use super::{Hit, Kind, Kinds, before, parts};

/// ISO/IEC 7812-1: at most nineteen digits; issuers use at least thirteen.
const CARD: std::ops::RangeInclusive<usize> = 13..=19;
const MOBILE: usize = 11;
const IDCARD: usize = 18;

/// The digits of a number, and the place behind each.
struct Digits {
    values: [u8; 20],
    ends: [usize; 20],
    count: usize,
    /// Bit n: a separator stands behind digit n.
    separated: u32,
}

/// Tries every place where a number can begin, from the left.
pub(super) fn find(bytes: &[u8], wanted: Kinds, hits: &mut Vec<Hit>) {
    let mut at = 0;
    while let Some(offset) = bytes.get(at..).and_then(|rest| rest.iter().position(u8::is_ascii_digit)) {
        let start = at + offset;
        if !parts(before(bytes, start)) {
            at = end_of_group(bytes, start);
            continue;
        }
        match at_start(bytes, start, wanted) {
            Some(hit) => {
                at = hit.end;
                hits.push(hit);
            }
            None => at = end_of_group(bytes, start),
        }
    }
}

fn end_of_group(bytes: &[u8], start: usize) -> usize {
    start + bytes[start..].iter().take_while(|byte| byte.is_ascii_digit()).count()
}

/// What a number that begins here is: an identity card, else a mobile number, else a payment card.
fn at_start(bytes: &[u8], start: usize, wanted: Kinds) -> Option<Hit> {
    let digits = Digits::read(bytes, start);
    if wanted.has(Kind::Idcard)
        && let Some(end) = identity_card(bytes, &digits)
    {
        return Some(Hit { kind: Kind::Idcard, start, end });
    }
    if wanted.has(Kind::Mobile)
        && let Some((start, end)) = mobile(bytes, start, &digits)
    {
        return Some(Hit { kind: Kind::Mobile, start, end });
    }
    let end = wanted.has(Kind::Bankcard).then(|| card(bytes, &digits))??;
    Some(Hit { kind: Kind::Bankcard, start, end })
}

impl Digits {
    fn read(bytes: &[u8], start: usize) -> Self {
        let mut digits = Self { values: [0; 20], ends: [0; 20], count: 0, separated: 0 };
        let mut at = start;
        while digits.count < 20 {
            let Some(value) = bytes.get(at).map(|b| b.wrapping_sub(b'0')).filter(|v| *v < 10) else { break };
            digits.values[digits.count] = value;
            digits.ends[digits.count] = at + 1;
            at += 1;
            let separator = bytes.get(at).is_some_and(|b| matches!(b, b' ' | b'-'));
            if separator && bytes.get(at + 1).is_some_and(u8::is_ascii_digit) {
                digits.separated |= 1 << digits.count;
                at += 1;
            }
            digits.count += 1;
        }
        digits
    }

    /// Whether a number of so many digits can end there.
    fn ends(&self, bytes: &[u8], count: usize) -> Option<usize> {
        let end = *self.ends.get(count.checked_sub(1)?).filter(|_| count <= self.count)?;
        parts(bytes.get(end)).then_some(end)
    }

    /// Whether separators stand nowhere but behind these digits, within the first `count`.
    fn grouped(&self, from: usize, count: usize, allowed: u32) -> bool {
        // A separator behind the last digit is outside.
        let inside = ((1u32 << (from + count - 1)) - 1) & !((1u32 << from) - 1);
        self.separated & inside & !(allowed << from) == 0
    }
}

/// Seventeen digits and a check character, in one piece or as 6-8-4.
fn identity_card(bytes: &[u8], digits: &Digits) -> Option<usize> {
    if digits.count < IDCARD - 1 || !digits.grouped(0, IDCARD, 1 << 5 | 1 << 13) {
        return None;
    }
    let (last, end) = match digits.ends(bytes, IDCARD) {
        Some(end) => (digits.values[IDCARD - 1], end),
        None => {
            let at = digits.ends[IDCARD - 2];
            let cross = bytes.get(at).is_some_and(|b| matches!(b, b'X' | b'x'));
            (cross && parts(bytes.get(at + 1))).then_some((10, at + 1))?
        }
    };
    identity(digits.values.first_chunk::<17>()?, last).then_some(end)
}

/// GB 11643-1999: region, date of birth, sequence, and the check character of ISO 7064 MOD 11-2.
fn identity(body: &[u8; 17], check: u8) -> bool {
    const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
    let sum: u32 = body.iter().zip(WEIGHTS).map(|(digit, weight)| u32::from(*digit) * weight).sum();
    let number = |range: std::ops::Range<usize>| body[range].iter().fold(0, |n, d| n * 10 + u32::from(*d));
    let province = number(0..2);
    let (year, month, day) = (number(6..10), number(10..12), number(12..14));
    (12 - sum % 11) % 11 == u32::from(check)
        && matches!(province, 11..=15 | 21..=23 | 31..=37 | 41..=46 | 50..=54 | 61..=65 | 71 | 81..=83)
        && (1800..3000).contains(&year)
        && (1..=12).contains(&month)
        && (1..=days(year, month)).contains(&day)
}

fn days(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether the whole text is an identity card's number.
pub(crate) fn is_identity_card(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = Digits::read(bytes, 0);
    identity_card(bytes, &digits) == Some(bytes.len())
}

/// Eleven digits, in one piece or as 3-4-4, perhaps behind `86` or `0086` without a separator.
fn mobile(bytes: &[u8], start: usize, digits: &Digits) -> Option<(usize, usize)> {
    for (prefix, code) in [(0, &[][..]), (2, &[8, 6]), (4, &[0, 0, 8, 6])] {
        let end = digits.ends(bytes, prefix + MOBILE);
        let national = digits.values.get(prefix..prefix + 2)?;
        let grouped = digits.grouped(prefix, MOBILE, 1 << 2 | 1 << 6) && digits.grouped(0, prefix + 1, 0);
        if let Some(end) = end
            && digits.values[..prefix] == *code
            && national[0] == 1
            && national[1] >= 3
            && grouped
        {
            return Some((start + prefix, end));
        }
    }
    None
}

/// The longest payment card number that begins here.
fn card(bytes: &[u8], digits: &Digits) -> Option<usize> {
    if !matches!(digits.values[0], 2..=6 | 9) {
        return None; // the major industry identifiers of banks, and of national assignment
    }
    CARD.rev().find_map(|count| digits.ends(bytes, count).filter(|_| luhn(&digits.values[..count])))
}

/// ISO/IEC 7812-1 Annex B.
fn luhn(digits: &[u8]) -> bool {
    let double = |digit: u8| if digit < 5 { 2 * digit } else { 2 * digit - 9 };
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, digit)| u32::from(if place % 2 == 1 { double(*digit) } else { *digit }))
        .sum();
    sum.is_multiple_of(10)
}
