//! The container of an archive: digests of its blocks, so that damage outside every entry has a place.
//!
//! Whether an archive is the sealed one is decided by the subject's digests; the blocks only say *where* it is
//! not. They are SHA-256 alone for that reason.

use serde::{Deserialize, Serialize};

use crate::entry::digest_text::parse_hex;
use crate::error::SealError;

/// Smallest block: a page.
const MIN_BLOCK: u64 = 4096;
/// Most blocks that [`block_size_for`] allows: half a megabyte of statement.
const USUAL_BLOCKS: u64 = 8192;
/// Largest block that a seal may name.
const MAX_BLOCK: u64 = 1 << 40;
/// Most blocks of a seal that is read.
const MAX_BLOCKS: u64 = 1 << 20;

/// What an archive is. `tar.gz` and the others may have several compressed members, one after the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
pub enum Format {
    /// ZIP, APPNOTE.TXT.
    #[serde(rename = "zip")]
    Zip,
    /// POSIX ustar and pax, GNU, Unix V7.
    #[serde(rename = "tar")]
    Tar,
    /// tar in gzip, RFC 1952.
    #[serde(rename = "tar.gz")]
    TarGz,
    /// tar in xz.
    #[serde(rename = "tar.xz")]
    TarXz,
    /// tar in Zstandard, RFC 8878.
    #[serde(rename = "tar.zst")]
    TarZst,
    /// 7z, 7zFormat.txt of the LZMA SDK.
    #[serde(rename = "7z")]
    SevenZip,
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Zip => "zip",
            Self::Tar => "tar",
            Self::TarGz => "tar.gz",
            Self::TarXz => "tar.xz",
            Self::TarZst => "tar.zst",
            Self::SevenZip => "7z",
        })
    }
}

/// The bytes of an archive, as a row of blocks.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Container {
    /// What it is.
    pub format: Format,
    /// Bytes.
    pub size: u64,
    /// Bytes of each block but the last, a power of two.
    pub block_size: u64,
    /// SHA-256 of each block.
    #[serde(with = "blocks_text")]
    pub blocks: Vec<[u8; 32]>,
}

/// The block size for a container of `size` bytes: the smallest power of two, from a page up, that needs no more
/// than 8192 blocks.
#[must_use]
pub fn block_size_for(size: u64) -> u64 {
    let mut block = MIN_BLOCK;
    while size.div_ceil(block) > USUAL_BLOCKS {
        block *= 2;
    }
    block
}

impl Container {
    pub(crate) fn check(&self) -> Result<(), SealError> {
        if !self.block_size.is_power_of_two() || !(MIN_BLOCK..=MAX_BLOCK).contains(&self.block_size) {
            return Err(SealError::Malformed("the container's block size is not a power of two from 4096"));
        }
        let blocks = self.size.div_ceil(self.block_size);
        if blocks > MAX_BLOCKS || blocks != self.blocks.len() as u64 {
            return Err(SealError::Malformed("the container's blocks are not as many as its size needs"));
        }
        Ok(())
    }
}

mod blocks_text {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    pub(super) fn serialize<S: Serializer>(blocks: &[[u8; 32]], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(blocks.iter().map(hex::encode))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<[u8; 32]>, D::Error> {
        let texts = Vec::<String>::deserialize(from)?;
        texts.iter().map(|text| super::parse_hex(text).map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_grow_with_the_container() {
        assert_eq!(block_size_for(0), 4096);
        assert_eq!(block_size_for(4096 * 8192), 4096);
        assert_eq!(block_size_for(4096 * 8192 + 1), 8192);
        assert!(block_size_for(1 << 40).is_power_of_two());
    }
}
