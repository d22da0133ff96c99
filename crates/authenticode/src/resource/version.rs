//! `VS_VERSIONINFO`: what Windows shows of a file under "Details" (Win32, "VS_VERSIONINFO structure").
//!
//! Blocks in blocks, each with its length, the length of its value, whether that is text, and a name; every block and
//! every value begins at a multiple of four.

use crate::error::{AuthenticodeError, Result};

/// `dwSignature` of the fixed part.
const SIGNATURE: u32 = 0xfeef_04bd;
/// `VOS_NT_WINDOWS32`.
const WINDOWS: u32 = 0x0004_0004;
/// UTF-16, as the code page of a string table is called.
const UTF_16: u16 = 0x04b0;
/// Blocks deeper than this are of something else: there are four levels.
const MAX_DEPTH: usize = 8;

/// What a version resource says.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct VersionInfo {
    /// Of the file: four numbers.
    pub file: [u16; 4],
    /// Of the product that it belongs to.
    pub product: [u16; 4],
    /// `VFT_…`: 1 is a program, 2 a library, 3 a driver.
    pub file_type: u32,
    /// `VS_FF_…` flags: debug, pre-release, private, special.
    pub flags: u32,
    /// The language of the texts.
    pub language: u16,
    /// Names such as `ProductName` and their texts, in their order.
    pub strings: Vec<(String, String)>,
}

fn bad(why: impl Into<String>) -> AuthenticodeError {
    AuthenticodeError::malformed("version resource", why)
}

impl VersionInfo {
    /// The resource.
    ///
    /// # Errors
    /// When the texts do not fit into its 64 KiB.
    pub fn to_bytes(&self) -> Result<Vec<u8>> {
        let table: Vec<Vec<u8>> = self
            .strings
            .iter()
            .map(|(name, text)| {
                let units: Vec<u16> = text.encode_utf16().chain([0]).collect();
                let value: Vec<u8> = units.iter().flat_map(|unit| unit.to_le_bytes()).collect();
                block(name, true, &value, units.len(), &[])
            })
            .collect::<Result<_>>()?;
        let language = format!("{:04X}{UTF_16:04X}", self.language);
        let strings = block("StringFileInfo", true, &[], 0, &[block(&language, true, &[], 0, &table)?])?;
        let translation = [self.language.to_le_bytes(), UTF_16.to_le_bytes()].concat();
        let translation = block("Translation", false, &translation, 4, &[])?;
        let variables = block("VarFileInfo", true, &[], 0, &[translation])?;
        block("VS_VERSION_INFO", false, &self.fixed(), 52, &[strings, variables])
    }

    /// `VS_FIXEDFILEINFO`.
    fn fixed(&self) -> Vec<u8> {
        let high = |v: [u16; 4]| u32::from(v[0]) << 16 | u32::from(v[1]);
        let low = |v: [u16; 4]| u32::from(v[2]) << 16 | u32::from(v[3]);
        let fields = [
            SIGNATURE,
            0x0001_0000, // dwStrucVersion
            high(self.file),
            low(self.file),
            high(self.product),
            low(self.product),
            0x3f, // dwFileFlagsMask: all that there are
            self.flags,
            WINDOWS,
            self.file_type,
            0, // dwFileSubtype: of drivers and fonts
            0, // dwFileDate, which nobody sets
            0,
        ];
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    /// Reads a version resource; of several string tables the first.
    ///
    /// # Errors
    /// When it is none.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let root = Block::read(bytes, 0)?;
        if root.name != "VS_VERSION_INFO" {
            return Err(bad("it does not begin as one"));
        }
        let mut out = Self::default();
        let field = |at: usize| {
            let bytes = root.value.get(at * 4..at * 4 + 4).ok_or_else(|| bad("its fixed part is cut off"))?;
            Ok::<_, AuthenticodeError>(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
        };
        if !root.value.is_empty() {
            if field(0)? != SIGNATURE {
                return Err(bad("its fixed part has another signature"));
            }
            out.file = quad(field(2)?, field(3)?);
            out.product = quad(field(4)?, field(5)?);
            (out.flags, out.file_type) = (field(7)? & field(6)?, field(9)?);
        }
        for child in root.children()? {
            if child.name != "StringFileInfo" {
                continue;
            }
            if let Some(table) = child.children()?.first() {
                out.language = u16::from_str_radix(table.name.get(..4).unwrap_or_default(), 16).unwrap_or(0);
                out.strings = table.children()?.into_iter().map(|s| (s.name.clone(), s.text())).collect();
                break;
            }
        }
        Ok(out)
    }
}

fn quad(high: u32, low: u32) -> [u16; 4] {
    let (high, low) = (high.to_le_bytes(), low.to_le_bytes());
    let part = |a, b| u16::from_le_bytes([a, b]);
    [part(high[2], high[3]), part(high[0], high[1]), part(low[2], low[3]), part(low[0], low[1])]
}

/// One block; `count` is the length of the value, in characters where it is text.
fn block(name: &str, text: bool, value: &[u8], count: usize, children: &[Vec<u8>]) -> Result<Vec<u8>> {
    let too_long = || AuthenticodeError::unsuitable("write the version", "its texts are longer than 64 KiB");
    let mut out = vec![0, 0];
    out.extend(u16::try_from(count).map_err(|_| too_long())?.to_le_bytes());
    out.extend(u16::from(text).to_le_bytes());
    out.extend(name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes));
    out.resize(out.len().next_multiple_of(4), 0);
    out.extend(value);
    for child in children {
        out.resize(out.len().next_multiple_of(4), 0);
        out.extend(child);
    }
    let length = u16::try_from(out.len()).map_err(|_| too_long())?;
    out[..2].copy_from_slice(&length.to_le_bytes());
    Ok(out)
}

/// A block that was read.
struct Block<'a> {
    name: String,
    value: &'a [u8],
    rest: &'a [u8],
    length: usize,
    depth: usize,
}

impl<'a> Block<'a> {
    fn read(bytes: &'a [u8], depth: usize) -> Result<Self> {
        if depth > MAX_DEPTH {
            return Err(bad("it has more than eight levels"));
        }
        let head = bytes.first_chunk::<6>().ok_or_else(|| bad("a block is cut off"))?;
        let length = usize::from(u16::from_le_bytes([head[0], head[1]]));
        let whole = bytes.get(..length).filter(|_| length >= 6).ok_or_else(|| bad("a block is cut off"))?;
        let text = u16::from_le_bytes([head[4], head[5]]) == 1;
        let units: Vec<u16> = whole[6..]
            .chunks_exact(2)
            .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
            .take_while(|unit| *unit != 0)
            .collect();
        let at = (6 + 2 * (units.len() + 1)).next_multiple_of(4).min(length);
        let count = usize::from(u16::from_le_bytes([head[2], head[3]]));
        // Some compilers count bytes of text where characters are meant: what is there at most is taken.
        let size = if text { count * 2 } else { count };
        let value = &whole[at..(at + size).min(length)];
        let rest = &whole[(at + value.len()).next_multiple_of(4).min(length)..];
        Ok(Self { name: String::from_utf16_lossy(&units), value, rest, length, depth })
    }

    fn children(&self) -> Result<Vec<Block<'a>>> {
        let mut out = Vec::new();
        let mut rest = self.rest;
        while rest.len() >= 6 && rest[..2] != [0, 0] {
            let block = Block::read(rest, self.depth + 1)?;
            rest = rest.get(block.length.next_multiple_of(4)..).unwrap_or_default();
            out.push(block);
        }
        Ok(out)
    }

    fn text(&self) -> String {
        let units: Vec<u16> =
            self.value.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]])).collect();
        let text = String::from_utf16_lossy(&units);
        let text = text.trim_end_matches('\0');
        text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
    }
}
