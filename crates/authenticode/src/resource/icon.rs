//! `.ico` files, and the two kinds of resources that they become: a group, and each of its pictures.

use super::{GROUP_ICON, ICON, Key, Name, Resources};
use crate::error::{AuthenticodeError, Result};

/// A larger file is not read; the largest picture that Windows shows has 256 pixels each way.
pub const MAX_ICO: usize = 16 << 20;
/// More sizes than anyone draws.
const MAX_PICTURES: usize = 256;
/// The signature of a PNG file, and where its header's fields are (PNG, third edition, §5.2 and §11.2.1).
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// One picture.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Picture {
    /// Width and height in pixels; 0 is 256.
    pub size: (u8, u8),
    /// Colours in its palette, where it has one of less than 256.
    pub colors: u8,
    /// Bits a pixel.
    pub bits: u16,
    /// A PNG file, or a bitmap without its file header.
    pub data: Vec<u8>,
}

/// An icon in all its sizes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Icon {
    /// In the order of the file.
    pub pictures: Vec<Picture>,
}

fn bad(why: impl Into<String>) -> AuthenticodeError {
    AuthenticodeError::malformed("icon", why)
}

impl Icon {
    /// Reads an `.ico` file.
    ///
    /// # Errors
    /// When it is none, or a picture in it is neither PNG nor a bitmap.
    pub fn read(bytes: &[u8]) -> Result<Self> {
        let field = |at: usize| bytes.get(at..at + 2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
        let (Some(0), Some(1), Some(count @ 1..)) = (field(0), field(2), field(4)) else {
            return Err(bad("it does not begin as an .ico file"));
        };
        if bytes.len() > MAX_ICO || usize::from(count) > MAX_PICTURES {
            return Err(bad("it is larger than 16 MiB, or has more than 256 pictures"));
        }
        let pictures = (0..usize::from(count)).map(|index| picture(bytes, 6 + 16 * index));
        Ok(Self { pictures: pictures.collect::<Result<_>>()? })
    }

    /// Makes it the icon of an image: the group with the lowest number is the one that Windows shows, so its pictures
    /// take its place, and whatever groups were there before are gone.
    pub fn put(self, resources: &mut Resources<'_>, language: u16) {
        resources.remove(&ICON, |_| true);
        resources.remove(&GROUP_ICON, |_| true);
        let count = u16::try_from(self.pictures.len()).unwrap_or(u16::MAX);
        // GRPICONDIR: as in the file, but the last field is the number of a resource.
        let mut group = [0u16.to_le_bytes(), 1u16.to_le_bytes(), count.to_le_bytes()].concat();
        for (picture, number) in self.pictures.into_iter().zip(1u16..) {
            group.extend([picture.size.0, picture.size.1, picture.colors, 0]);
            group.extend(1u16.to_le_bytes());
            group.extend(picture.bits.to_le_bytes());
            group.extend(u32::try_from(picture.data.len()).unwrap_or(u32::MAX).to_le_bytes());
            group.extend(number.to_le_bytes());
            let key = Key { kind: ICON, name: Name::Id(u32::from(number)), language: u32::from(language) };
            resources.set(key, picture.data);
        }
        resources.set(Key::new(GROUP_ICON, 1, language), group);
    }
}

fn picture(bytes: &[u8], at: usize) -> Result<Picture> {
    let entry = bytes.get(at..at + 16).ok_or_else(|| bad("its list of pictures is cut off"))?;
    let number =
        |at: usize| u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]]) as usize;
    let (length, start) = (number(8), number(12));
    let data = start.checked_add(length).and_then(|end| bytes.get(start..end));
    let data = data.filter(|data| !data.is_empty()).ok_or_else(|| bad("a picture points beyond its end"))?;
    // What the list says of the depth is often zero; the picture knows better.
    let bits = bits(data)?;
    Ok(Picture { size: (entry[0], entry[1]), colors: entry[2], bits, data: data.to_vec() })
}

/// Bits a pixel, from the picture itself.
fn bits(data: &[u8]) -> Result<u16> {
    let short = |at: usize| data.get(at..at + 2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    if data.starts_with(PNG) {
        let (depth, color) = match data.get(24..26) {
            Some(&[depth, color]) => (u16::from(depth), color),
            _ => return Err(bad("a PNG in it is cut off")),
        };
        let channels = match color {
            0 | 3 => 1,
            2 => 3,
            4 => 2,
            6 => 4,
            _ => return Err(bad("a PNG in it has no known colours")),
        };
        return depth.checked_mul(channels).ok_or_else(|| bad("a PNG in it has no known depth"));
    }
    // BITMAPINFOHEADER is 40 bytes long and says so; its depth is at 14.
    match (short(0), short(2), short(14)) {
        (Some(40), Some(0), Some(bits)) if data.len() >= 40 => Ok(bits),
        _ => Err(bad("a picture in it is neither PNG nor a bitmap")),
    }
}
