//! RFC 8785 (JSON Canonicalization Scheme) for what events are made of: strings, and maps of strings.

use std::borrow::Cow;

use crate::scan::plain_length;

/// Appends the canonical form of a string (RFC 8785 §3.2.2.2): the two-character escapes where JSON has one,
/// `\u00xx` in lower case for other controls, everything else as it is.
pub fn canonical_string(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    out.reserve(rest.len() + 2);
    out.push(b'"');
    loop {
        let (plain, special) = rest.split_at(plain_length(rest));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = special.split_first() else { break };
        escape(byte, out);
        rest = behind;
    }
    out.push(b'"');
}

fn escape(byte: u8, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let short = match byte {
        0x08 => b'b',
        b'\t' => b't',
        b'\n' => b'n',
        0x0c => b'f',
        b'\r' => b'r',
        b'"' | b'\\' => byte,
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(DIGITS[usize::from(byte >> 4)]);
            out.push(DIGITS[usize::from(byte & 0x0f)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Appends the canonical form of a map of strings, whose entries may come in any order.
pub fn canonical_strings<'a>(entries: &[(Cow<'a, str>, Cow<'a, str>)], out: &mut Vec<u8>) {
    let ordered = |pair: &[(Cow<'a, str>, Cow<'a, str>)]| utf16_order(&pair[0].0, &pair[1].0).is_lt();
    if entries.windows(2).all(ordered) {
        write_entries(entries.iter(), out);
    } else {
        let mut sorted: Vec<_> = entries.iter().collect();
        sorted.sort_by(|a, b| utf16_order(&a.0, &b.0));
        write_entries(sorted.into_iter(), out);
    }
}

/// As [`canonical_strings`], of entries that are ordered already.
pub(crate) fn canonical_ordered(entries: &[(Cow<'_, str>, Cow<'_, str>)], out: &mut Vec<u8>) {
    debug_assert!(entries.windows(2).all(|pair| utf16_order(&pair[0].0, &pair[1].0).is_lt()), "{entries:?}");
    write_entries(entries.iter(), out);
}

fn write_entries<'e, 'a: 'e>(
    entries: impl Iterator<Item = &'e (Cow<'a, str>, Cow<'a, str>)>,
    out: &mut Vec<u8>,
) {
    out.push(b'{');
    for (position, (key, value)) in entries.enumerate() {
        if position > 0 {
            out.push(b',');
        }
        canonical_string(key, out);
        out.push(b':');
        canonical_string(value, out);
    }
    out.push(b'}');
}

/// Keys are ordered by their UTF-16 code units (RFC 8785 §3.2.3), which is not byte order beyond U+FFFF.
pub(crate) fn utf16_order(a: &str, b: &str) -> std::cmp::Ordering {
    if a.is_ascii() && b.is_ascii() { a.cmp(b) } else { a.encode_utf16().cmp(b.encode_utf16()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn string(text: &str) -> String {
        let mut out = Vec::new();
        canonical_string(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// The string of RFC 8785 §3.2.2: euro, `$`, U+000F, LF, `A'B"\\"`, backslash twice, `"`, `/`.
    #[test]
    fn rfc_8785_string_vector() {
        let input: String =
            serde_json::from_str(r#""\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/""#).unwrap();
        assert_eq!(string(&input), r#""€$\u000f\nA'B\"\\\\\"/""#);
    }

    #[test]
    fn every_control_character_is_escaped_and_read_back() {
        for code in 0u8..0x80 {
            let text = String::from(char::from(code));
            let written = string(&text);
            assert!(written.bytes().all(|b| b >= 0x20), "{code:#x}");
            assert_eq!(serde_json::from_str::<String>(&written).unwrap(), text);
        }
        assert_eq!(string("\u{8}\u{c}\u{1f}\u{7f}"), "\"\\b\\f\\u001f\u{7f}\"");
    }

    /// The key-sorting example of RFC 8785 §3.2.3.
    #[test]
    fn rfc_8785_sorting_vector() {
        let entries: Vec<_> = [
            ("\u{20ac}", "Euro Sign"),
            ("\r", "Carriage Return"),
            ("\u{fb33}", "Hebrew Letter Dalet With Dagesh"),
            ("1", "One"),
            ("\u{1f600}", "Emoji: Grinning Face"),
            ("\u{80}", "Control"),
            ("\u{f6}", "Latin Small Letter O With Diaeresis"),
        ]
        .map(|(k, v)| (Cow::Borrowed(k), Cow::Borrowed(v)))
        .to_vec();
        let mut out = Vec::new();
        canonical_strings(&entries, &mut out);
        let values = [
            "Carriage Return",
            "One",
            "Control",
            "Latin Small Letter O With Diaeresis",
            "Euro Sign",
            "Emoji: Grinning Face",
            "Hebrew Letter Dalet With Dagesh",
        ];
        let text = String::from_utf8(out).unwrap();
        let places: Vec<_> = values.iter().map(|v| text.find(v).unwrap()).collect();
        assert!(places.is_sorted(), "{text}");
    }
}
