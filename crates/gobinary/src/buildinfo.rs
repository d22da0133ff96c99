//! The build information that the Go linker embeds: `\xff Go buildinf:` and what follows (debug/buildinfo).
//!
//! Since Go 1.18 two length-prefixed strings follow a 32-byte header; before, the header held two pointers to Go
//! string headers. The text format is that of runtime/debug `BuildInfo.String`.

use crate::bytes::{self, Layout, uvarint};
use crate::facts::{GoInfo, Module};
use crate::image::Image;

const MAGIC: &[u8] = b"\xff Go buildinf:";
const ALIGNMENT: usize = 16;
const HEADER: usize = 32;
/// `flags` bit 1: strings follow inline; bit 0: big-endian, for the pointer form.
const INLINE: u8 = 2;
const BIG_ENDIAN: u8 = 1;
/// Longest version and module text that is read.
const TEXT: usize = 16 << 20;
/// Both ends of the module text are framed by 16 bytes that mark it in memory.
const FRAME: usize = 16;

/// Finds and reads the build information. A program may carry the magic as data of its own (the go command does),
/// so a candidate counts only when it decodes to a Go version.
pub(crate) fn read(image: &Image<'_>) -> Option<GoInfo> {
    let (version, text) = find(image)?;
    let mut info = parse_text(unframe(&text));
    info.version = version;
    Some(info)
}

fn find(image: &Image<'_>) -> Option<(String, Vec<u8>)> {
    let section = image.section(".go.buildinfo").and_then(|s| image.from(s.address));
    let mut regions: Vec<_> = image.regions.iter().collect();
    regions.sort_by_key(|r| (!r.writable, r.executable)); // the linker puts it at the start of the data
    let regions = regions.into_iter().map(|r| image.content(r));
    section.into_iter().chain(regions).find_map(|part| scan(image, part))
}

fn scan(image: &Image<'_>, part: &[u8]) -> Option<(String, Vec<u8>)> {
    let starts = (0..part.len()).step_by(ALIGNMENT);
    let mut candidates = starts.filter(|&at| part[at] == 0xff && part[at..].starts_with(MAGIC));
    candidates.find_map(|at| decode(image, &part[at..]).filter(|(version, _)| plausible(version)))
}

/// The build id that the linker frames and puts at the start of the code, where there are no notes
/// (cmd/internal/buildid).
pub(crate) fn build_id(head: &[u8]) -> Option<String> {
    const FRAME: &[u8] = b"\xff Go build ID: \"";
    const END: &[u8] = b"\"\n \xff";
    let start = memchr::memmem::find(head, FRAME)? + FRAME.len();
    let length = memchr::memmem::find(&head[start..], END)?;
    Some(String::from_utf8_lossy(&head[start..start + length]).into_owned())
}

/// `go1.26.8 X:foo` → 26; development versions have none.
pub(crate) fn minor_release(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

fn plausible(version: &str) -> bool {
    version.starts_with("go") || version.starts_with("devel")
}

fn decode(image: &Image<'_>, blob: &[u8]) -> Option<(String, Vec<u8>)> {
    let header = blob.get(..HEADER)?;
    let (pointer, flags) = (usize::from(header[14]), header[15]);
    let (version, text) = if flags & INLINE != 0 {
        let (version, rest) = counted(&blob[HEADER..])?;
        (version, counted(rest)?.0)
    } else if matches!(pointer, 4 | 8) {
        let layout = Layout { big_endian: flags & BIG_ENDIAN != 0, pointer };
        let string = |at| go_string(image, layout, layout.word(header, at)?);
        (string(16)?, string(16 + pointer).unwrap_or_default())
    } else {
        return None;
    };
    Some((String::from_utf8_lossy(version).into_owned(), text.to_vec()))
}

fn counted(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = uvarint(bytes)?;
    let length = bytes::index(length).filter(|&l| l <= TEXT)?;
    rest.split_at_checked(length)
}

/// The bytes of the Go string whose header (pointer, length) stands at `address`.
fn go_string<'a>(image: &Image<'a>, layout: Layout, address: u64) -> Option<&'a [u8]> {
    let header = image.read(address, 2 * layout.pointer)?;
    let length = bytes::index(layout.word(header, layout.pointer)?).filter(|&l| l <= TEXT)?;
    image.read(layout.word(header, 0)?, length)
}

/// The framed text ends in a line feed before its closing frame; anything else is no module text.
fn unframe(framed: &[u8]) -> &[u8] {
    let end = framed.len().saturating_sub(FRAME);
    match framed.get(FRAME..end) {
        Some(text) if text.last() == Some(&b'\n') => text,
        _ => &[],
    }
}

fn parse_text(text: &[u8]) -> GoInfo {
    let mut info = GoInfo::default();
    let mut last = Last::None;
    for line in String::from_utf8_lossy(text).lines() {
        let Some((key, value)) = line.split_once('\t') else { continue };
        match key {
            "path" => info.package = Some(value.to_owned()),
            "mod" => {
                info.main = Some(module(value));
                last = Last::Main;
            }
            "dep" => {
                info.modules.push(module(value));
                last = Last::Dependency;
            }
            "=>" => {
                let replaced = match last {
                    Last::Main => info.main.as_mut(),
                    Last::Dependency => info.modules.last_mut(),
                    Last::None => None,
                };
                if let Some(replaced) = replaced {
                    replaced.replace = Some(Box::new(module(value)));
                }
            }
            "build" => {
                if let Some((name, value)) = setting(value) {
                    info.settings.insert(name, value);
                }
            }
            _ => {}
        }
    }
    info
}

/// Which module a `=>` line speaks of.
#[derive(Clone, Copy)]
enum Last {
    None,
    Main,
    Dependency,
}

fn module(line: &str) -> Module {
    let mut fields = line.split('\t').map(str::to_owned);
    let mut next = || fields.next().unwrap_or_default();
    Module { path: next(), version: next(), sum: next(), replace: None }
}

/// `name=value`, each side bare or quoted as Go quotes strings.
fn setting(line: &str) -> Option<(String, String)> {
    let (name, rest) = match line.starts_with('"') || line.starts_with('`') {
        true => unquote_prefix(line)?,
        false => {
            let end = line.find('=')?;
            (line[..end].to_owned(), &line[end..])
        }
    };
    let value = rest.strip_prefix('=')?;
    let value = match value.starts_with('"') || value.starts_with('`') {
        true => unquote_prefix(value)?.0,
        false => value.to_owned(),
    };
    Some((name, value))
}

/// The Go string literal at the start of `text` (strconv.Quote writes these), and what follows it.
fn unquote_prefix(text: &str) -> Option<(String, &str)> {
    if let Some(raw) = text.strip_prefix('`') {
        return raw.split_once('`').map(|(inner, rest)| (inner.to_owned(), rest));
    }
    let mut value = Vec::new();
    let mut rest = text.strip_prefix('"')?;
    loop {
        let c = rest.chars().next()?;
        rest = &rest[c.len_utf8()..];
        match c {
            '"' => return Some((String::from_utf8_lossy(&value).into_owned(), rest)),
            '\\' => rest = escape(rest, &mut value)?,
            _ => value.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Appends what the escape after a backslash stands for; gives what follows it.
fn escape<'t>(text: &'t str, value: &mut Vec<u8>) -> Option<&'t str> {
    let letter = text.chars().next()?;
    let rest = &text[letter.len_utf8()..];
    let digits = match letter {
        'x' => 2,
        'u' => 4,
        'U' => 8,
        _ => 0,
    };
    if digits > 0 {
        let number = u32::from_str_radix(rest.get(..digits)?, 16).ok()?;
        match (letter, u8::try_from(number)) {
            ('x', Ok(byte)) => value.push(byte),
            _ => value.extend_from_slice(char::from_u32(number)?.encode_utf8(&mut [0; 4]).as_bytes()),
        }
        return Some(&rest[digits..]);
    }
    value.push(match letter {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '"' | '\'' => u8::try_from(letter).ok()?,
        _ => return None,
    });
    Some(rest)
}
