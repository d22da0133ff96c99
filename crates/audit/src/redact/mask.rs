//! The shapes of masked and truncated values. Those of mobile numbers, identity cards and payment cards are fixed.

use std::net::IpAddr;

use super::detect::{self, Kind};

/// What stands for what is not shown.
const HIDDEN: &str = "****";

/// How much of a value that has no fixed shape is kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Keep {
    /// Characters at the front.
    pub(crate) first: usize,
    /// Characters at the back.
    pub(crate) last: usize,
}

/// A value of a kind, masked: `138****1234`, `110101****00001234`, `**** **** **** 5678`, `a****@example.com`; an
/// address becomes its network.
pub(crate) fn of_kind(kind: Kind, value: &str) -> String {
    let plain: String = value.chars().filter(|c| !matches!(c, ' ' | '-')).collect();
    // ASCII by the matchers' own rule; a value from a path may be anything, and then nothing of it is shown.
    match kind {
        Kind::Mobile if is_digits(&plain, 11) => format!("{}{HIDDEN}{}", &plain[..3], &plain[7..]),
        Kind::Idcard if detect::is_identity_card(&plain) => {
            format!("{}{HIDDEN}{}", &plain[..6], &plain[10..])
        }
        Kind::Bankcard if (13..=19).any(|length| is_digits(&plain, length)) => {
            format!("{HIDDEN} {HIDDEN} {HIDDEN} {}", &plain[plain.len() - 4..])
        }
        Kind::Email => match (value.chars().next(), value.rsplit_once('@')) {
            (Some(first), Some((local, domain))) if !local.is_empty() => format!("{first}{HIDDEN}@{domain}"),
            _ => HIDDEN.to_owned(),
        },
        Kind::Ip => address(value),
        _ => HIDDEN.to_owned(),
    }
}

fn is_digits(text: &str, length: usize) -> bool {
    text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The network of an address; nothing of what is none.
pub(crate) fn address(value: &str) -> String {
    match value.parse::<IpAddr>() {
        Ok(address) => detect::truncated_address(address).to_string(),
        Err(_) => HIDDEN.to_owned(),
    }
}

/// A value without a fixed shape, masked. At least half of it is hidden, and all of what is short.
pub(crate) fn generic(value: &str, keep: Keep) -> String {
    let length = value.chars().count();
    if (keep.first + keep.last) * 2 > length {
        return HIDDEN.to_owned();
    }
    let front: String = value.chars().take(keep.first).collect();
    let back: String = value.chars().skip(length - keep.last).collect();
    format!("{front}{HIDDEN}{back}")
}

/// The first characters of a value.
pub(crate) fn truncated(value: &str, length: usize) -> String {
    value.chars().take(length).collect()
}

/// A value as it names a data subject: without the separators that people put into numbers.
pub(crate) fn normal(kind: Option<Kind>, value: &str) -> String {
    match kind {
        Some(Kind::Mobile | Kind::Idcard | Kind::Bankcard) => {
            value.chars().filter(|c| !matches!(c, ' ' | '-')).map(|c| c.to_ascii_uppercase()).collect()
        }
        Some(Kind::Email) => value.to_ascii_lowercase(),
        _ => value.trim().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The shapes of the table in the document that promised them.
    #[test]
    fn the_shapes_are_exact() {
        for (kind, value, shape) in [
            (Kind::Mobile, "13856781234", "138****1234"),
            (Kind::Mobile, "138 5678-1234", "138****1234"),
            (Kind::Idcard, "11010519491231002X", "110105****1231002X"),
            (Kind::Bankcard, "6222020200112345678", "**** **** **** 5678"),
            (Kind::Bankcard, "4111 1111 1111 1111", "**** **** **** 1111"),
            (Kind::Email, "wang@example.cn", "w****@example.cn"),
            (Kind::Ip, "192.168.3.5", "192.168.3.0"),
            (Kind::Ip, "2001:db8:1:2::3", "2001:db8:1::"),
            (Kind::Ip, "::ffff:10.1.2.3", "10.1.2.0"),
            (Kind::Mobile, "021-5555", "****"),
        ] {
            assert_eq!(of_kind(kind, value), shape, "{value}");
        }
    }

    #[test]
    fn what_is_short_is_hidden_whole() {
        let keep = Keep { first: 1, last: 1 };
        assert_eq!(generic("王小明", keep), "****");
        assert_eq!(generic("欧阳小明", keep), "欧****明");
        assert_eq!(generic("abcdef", keep), "a****f");
        assert_eq!(generic("", Keep::default()), "****");
        assert_eq!(truncated("北京市海淀区", 3), "北京市");
    }
}
