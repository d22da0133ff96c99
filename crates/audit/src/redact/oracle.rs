//! The detectors once more, naively: regular expressions tried at every place. For the fuzzer and the tests.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::ops::Range;

use regex::Regex;

use super::detect::{self, Hit, Kind, Kinds};

/// Panics when the detectors and the expressions disagree.
pub(crate) fn check(text: &str) {
    let numbers =
        [Kind::Mobile, Kind::Idcard, Kind::Bankcard].into_iter().fold(Kinds::default(), Kinds::with);
    assert_eq!(found(text, numbers), self::numbers(text), "numbers in {text:?}");
    assert_eq!(found(text, Kinds::default().with(Kind::Email)), emails(text), "addresses in {text:?}");
    assert_eq!(found(text, Kinds::default().with(Kind::Ip)), addresses(text), "IP addresses in {text:?}");
}

fn found(text: &str, kinds: Kinds) -> Vec<(Kind, Range<usize>)> {
    let mut hits: Vec<Hit> = Vec::new();
    detect::find(text, kinds, &mut hits);
    hits.into_iter().map(|hit| (hit.kind, hit.start..hit.end)).collect()
}

fn regex(pattern: &str) -> Regex {
    match Regex::new(pattern) {
        Ok(regex) => regex,
        Err(error) => unreachable!("{error}"),
    }
}

fn apart(text: &str, range: &Range<usize>) -> bool {
    let alone = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_alphanumeric());
    let bytes = text.as_bytes();
    alone(range.start.checked_sub(1).and_then(|at| bytes.get(at))) && alone(bytes.get(range.end))
}

fn numbers(text: &str) -> Vec<(Kind, Range<usize>)> {
    let idcard = regex("^(?-u)([0-9]{6})[ -]?([0-9]{8})[ -]?([0-9]{3}[0-9Xx])");
    let mobile = regex("^(?-u)(?:0086|86)?(1[3-9][0-9][ -]?[0-9]{4}[ -]?[0-9]{4})");
    let cards: Vec<Regex> =
        (13..=19).rev().map(|n| regex(&format!("^(?-u)[234569](?:[ -]?[0-9]){{{}}}", n - 1))).collect();
    let digits = |text: &str| -> String { text.chars().filter(|c| !matches!(c, ' ' | '-')).collect() };
    let mut hits = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let rest = if text.is_char_boundary(at) { &text[at..] } else { "" };
        let whole = |found: Range<usize>| apart(text, &(at..at + found.end));
        let card = |regex: &Regex| {
            let found = regex.find(rest).filter(|found| whole(found.range()))?;
            luhn(&digits(found.as_str())).then_some((Kind::Bankcard, at..at + found.end()))
        };
        let hit = (idcard.find(rest).filter(|found| whole(found.range())))
            .filter(|found| identity(&digits(found.as_str())))
            .map(|found| (Kind::Idcard, at..at + found.end()))
            .or_else(|| {
                let found = mobile.captures(rest)?;
                let number = found.get(1)?;
                whole(number.range()).then_some((Kind::Mobile, at + number.start()..at + number.end()))
            })
            .or_else(|| cards.iter().find_map(card));
        match hit {
            Some(hit) => {
                at = hit.1.end;
                hits.push(hit);
            }
            None => at += 1,
        }
    }
    hits
}

/// GB 11643-1999 by its other definition: the weighted sum with the check character's own weight of one is 1 modulo 11.
fn identity(text: &str) -> bool {
    let value = |c: char| c.to_digit(10).unwrap_or(10);
    let sum: u32 = text.chars().rev().zip(0u32..).map(|(c, place)| value(c) * 2u32.pow(place)).sum();
    let date = is_date(&text[6..14]);
    let provinces = [11..=15, 21..=23, 31..=37, 41..=46, 50..=54, 61..=65, 71..=71, 81..=83];
    let province: u32 = text[..2].parse().unwrap_or(0);
    sum % 11 == 1 && date && provinces.iter().any(|range| range.contains(&province))
}

/// A date that the event's own clock can write.
fn is_date(digits: &str) -> bool {
    let text = format!("{}-{}-{}T00:00:00Z", &digits[..4], &digits[4..6], &digits[6..]);
    event::Timestamp::parse(&text).is_ok() && ("1800".."3000").contains(&&digits[..4])
}

fn luhn(digits: &str) -> bool {
    const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let value = |c: char| c.to_digit(10).unwrap_or(0);
    let sum: u32 = digits
        .chars()
        .rev()
        .enumerate()
        .map(|(place, c)| if place % 2 == 0 { value(c) } else { DOUBLED[value(c) as usize] })
        .sum();
    sum.is_multiple_of(10)
}

fn emails(text: &str) -> Vec<(Kind, Range<usize>)> {
    let email = regex("(?-u)[A-Za-z0-9._%+-]+@(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\\.)+[A-Za-z]{2,}");
    email.find_iter(text).map(|found| (Kind::Email, found.range())).collect()
}

fn addresses(text: &str) -> Vec<(Kind, Range<usize>)> {
    let mut hits = Vec::new();
    for run in regex("(?-u)[0-9A-Fa-f:.]+").find_iter(text).filter(|run| apart(text, &run.range())) {
        let trimmed = run.as_str().trim_start_matches('.');
        let start = run.end() - trimmed.len();
        let trimmed = trimmed.trim_end_matches('.');
        let tried = [trimmed, trimmed.strip_suffix(':').unwrap_or(trimmed)];
        let long = tried
            .iter()
            .find(|tried| run.as_str().matches(':').count() >= 2 && tried.parse::<Ipv6Addr>().is_ok());
        hits.extend(long.map(|long| (Kind::Ip, start..start + long.len())));
    }
    for piece in regex("(?-u)[0-9.]+").find_iter(text) {
        let trimmed = piece.as_str().trim_start_matches('.');
        let start = piece.end() - trimmed.len();
        let trimmed = trimmed.trim_end_matches('.');
        let range = start..start + trimmed.len();
        let outside = hits.iter().all(|(_, long)| range.end <= long.start || range.start >= long.end);
        if outside && apart(text, &range) && trimmed.parse::<Ipv4Addr>().is_ok() {
            hits.push((Kind::Ip, range));
        }
    }
    hits.sort_by_key(|(_, range)| range.start);
    hits
}
