//! The file of a patch: `docs/formats/patch.md`.
//!
//! A line that names the form, the length of a JSON head, the head, and the bytes to be placed, compressed. Nothing in
//! it is trusted because it can be read: whoever applies it checks its signature first, over the whole file.

use std::collections::BTreeMap;
use std::io::Read as _;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The first line of the file.
pub(crate) const FORM: &[u8] = b"custody-patch-v1\n";
/// A larger file is refused.
pub(crate) const MAX_FILE: usize = 512 << 20;
const MAX_HEAD: usize = 64 << 20;
const MAX_BYTES: u64 = 1 << 30;

/// A patch.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Patch {
    /// What it is.
    pub head: Head,
    /// What is placed: the pieces of [`Head::pieces`], one after the other.
    pub bytes: Vec<u8>,
    /// Where words of the pieces are addresses, ascending, if the program may run at any address.
    pub addresses: Vec<u64>,
}

/// What a patch is and does.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Of the toolchain, `go1.27.3`.
    pub release: String,
    /// Build id of the build that runs, hexadecimal.
    pub old_build: String,
    /// Build id of the build that the new code is of, hexadecimal.
    pub new_build: String,
    /// SHA-256 of the file of the build that runs, hexadecimal.
    pub old_file: String,
    /// SHA-256 of the file of the build that the new code is of, hexadecimal.
    pub new_file: String,
    /// The code that must be found in the process.
    pub text: Text,
    /// Build ids of the new builds of the patches that the process must carry, the lowest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub below: Vec<String>,
    /// May the program run at any address? Then all addresses here are those of its file, and the process adds one number
    /// to them all.
    pub slides: bool,
    /// Where the runtime of the old build keeps its variables and fields.
    pub runtime: BTreeMap<String, u64>,
    /// How many words of the pieces are addresses.
    pub addresses: u64,
    /// Functions that differ.
    pub functions: Vec<FunctionChange>,
    /// Functions that only the new build has.
    pub added: Vec<String>,
    /// Variables that only the new build has, or that it does not share.
    pub fresh: Vec<String>,
    /// The old build's variables that the new code uses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub relies: Vec<Relied>,
    /// The words that lead callers to new code.
    pub switches: Vec<Switch>,
    /// What is mapped.
    pub regions: Vec<Region>,
    /// What is written.
    pub pieces: Vec<Piece>,
    /// Interface tables that the old build does not have.
    pub tables: Vec<Table>,
    /// Methods of old types that only the new build kept.
    pub methods: Vec<MethodRecord>,
    /// Where the new image begins.
    pub image: u64,
    /// Where the new `moduledata` lies.
    pub module: u64,
    /// Where the record of the patch lies.
    pub control: u64,
}

/// A range of code and its digest.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Text {
    /// First address.
    pub address: u64,
    /// In bytes.
    pub size: u64,
    /// SHA-256, hexadecimal.
    pub sha256: String,
}

/// One function that differs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FunctionChange {
    /// With its package.
    pub name: String,
    /// What differs first.
    pub why: String,
    /// Why calls that find the old function stay with it, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<String>,
    /// First address and size of the old code.
    pub old: (u64, u64),
    /// First address and size of the new code.
    pub new: (u64, u64),
    /// Where the old source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub old_source: Option<Source>,
    /// Where the new source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_source: Option<Source>,
}

/// A variable of the old build that new code uses.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Relied {
    /// With its package.
    pub name: String,
    /// Its first address.
    pub address: u64,
    /// In bytes.
    pub size: u64,
}

/// Lines of a source file, as the function table has them.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// Its path, as it was compiled.
    pub file: String,
    /// The first line of the function's own code.
    pub first: u32,
    /// The last.
    pub last: u32,
}

/// One aligned word at the entry of an old function.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Switch {
    /// Its address, the function's entry.
    pub entry: u64,
    /// What stands there.
    pub before: u64,
    /// What is written: a jump to a stub that asks the patch's flag.
    pub after: u64,
    /// How many bytes the jump takes: nobody may stand between the first and the last of them.
    pub length: u64,
}

/// An interface table that the old build does not have. The process may have made one of its own for the pair: then that
/// one is used.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The interface and the type, for people.
    pub name: String,
    /// Where the new build's own table lies.
    pub address: u64,
    /// The word that new code reads the table's address from.
    pub cell: u64,
    /// Words of the placed data that hold the table's address.
    pub words: Vec<u64>,
}

/// A method of an old type that the linker dropped from the old build: three offsets in the type's descriptor, of the
/// method's type, of its code for interfaces, and of its code for direct calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodRecord {
    /// Where the three stand.
    pub at: u64,
    /// What stands there.
    pub before: [u32; 3],
    /// What is written.
    pub after: [u32; 3],
}

/// One mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Region {
    /// First address, a multiple of the page size.
    pub address: u64,
    /// In bytes, a multiple of the page size.
    pub size: u64,
    /// What the process may do with it.
    pub access: Access,
}

/// What a process may do with a mapping. There is none that may be written and executed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Access {
    /// Read.
    Read,
    /// Read and execute.
    Execute,
    /// Read and write.
    Write,
}

/// Where a run of the bytes goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Piece {
    /// First address.
    pub address: u64,
    /// In bytes.
    pub length: u64,
}

impl Patch {
    /// The file's bytes.
    ///
    /// # Errors
    /// When it cannot be written: a head beyond the limit.
    pub fn encode(&self) -> Result<Vec<u8>> {
        let failed = |e: &dyn std::fmt::Display| Error::not_patch(format!("it cannot be written: {e}"));
        let head = serde_json::to_vec(&self.head).map_err(|e| failed(&e))?;
        let length = u32::try_from(head.len()).ok().filter(|l| *l as usize <= MAX_HEAD);
        let length = length.ok_or_else(|| failed(&"its head is too large"))?;
        let mut file = FORM.to_vec();
        file.extend_from_slice(&length.to_le_bytes());
        file.extend_from_slice(&head);
        let mut frame = self.bytes.clone();
        let lowest = self.head.lowest();
        for address in &self.addresses {
            let offset = u32::try_from(address.wrapping_sub(lowest)).map_err(|e| failed(&e))?;
            frame.extend_from_slice(&offset.to_le_bytes());
        }
        file.extend_from_slice(&zstd::bulk::compress(&frame, 3).map_err(|e| failed(&e))?);
        Ok(file)
    }

    /// Reads a file, and checks that what it says of itself fits together.
    ///
    /// # Errors
    /// [`Error::NotPatch`].
    pub fn decode(file: &[u8]) -> Result<Self> {
        if file.len() > MAX_FILE {
            return Err(Error::not_patch("it is larger than 512 MiB"));
        }
        let rest =
            file.strip_prefix(FORM).ok_or_else(|| Error::not_patch("it does not begin with its form"))?;
        let (length, rest) =
            rest.split_first_chunk::<4>().ok_or_else(|| Error::not_patch("it is cut short"))?;
        let length = u32::from_le_bytes(*length) as usize;
        let head = rest.get(..length).filter(|_| length <= MAX_HEAD);
        let head = head.ok_or_else(|| Error::not_patch("its head is cut short"))?;
        let head: Head = serde_json::from_slice(head)
            .map_err(|e| Error::not_patch(format!("its head cannot be read: {e}")))?;
        let placed = head.pieces.iter().try_fold(0_u64, |sum, piece| sum.checked_add(piece.length));
        let listed = head.addresses.checked_mul(4);
        let total = placed.zip(listed).and_then(|(placed, listed)| placed.checked_add(listed));
        let total =
            total.filter(|t| *t <= MAX_BYTES).ok_or_else(|| Error::not_patch("it places more than 1 GiB"))?;
        let mut bytes = Vec::new();
        let mut reader =
            zstd::Decoder::new(&rest[length..]).map_err(|e| Error::not_patch(e.to_string()))?.take(total + 1);
        reader
            .read_to_end(&mut bytes)
            .map_err(|e| Error::not_patch(format!("its bytes cannot be read: {e}")))?;
        if bytes.len() as u64 != total {
            return Err(Error::not_patch("it does not hold the bytes that it places"));
        }
        head.check()?;
        let list =
            bytes.split_off(usize::try_from(placed.unwrap_or(total)).unwrap_or(usize::MAX).min(bytes.len()));
        let lowest = head.lowest();
        let offsets = list.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        let addresses: Vec<u64> = offsets.map(|offset| lowest.saturating_add(u64::from(offset))).collect();
        if !addresses.is_sorted_by(|a, b| a < b) || (!head.slides && !addresses.is_empty()) {
            return Err(Error::not_patch("its list of addresses is not in order"));
        }
        if !addresses.iter().all(|at| head.holds(*at)) {
            return Err(Error::not_patch("an address lies in no piece"));
        }
        Ok(Self { head, bytes, addresses })
    }

    /// The same patch for a process whose program runs `bias` bytes from where it was linked.
    #[must_use]
    pub fn slid(&self, bias: u64) -> Self {
        let mut patch = self.clone();
        if bias == 0 {
            return patch;
        }
        let mut at = 0_usize;
        let mut addresses = self.addresses.iter().peekable();
        for piece in &self.head.pieces {
            let length = usize::try_from(piece.length).unwrap_or(usize::MAX);
            // Pieces and addresses both ascend.
            while let Some(address) = addresses.next_if(|a| **a < piece.address.saturating_add(piece.length))
            {
                let from = at + usize::try_from(address.wrapping_sub(piece.address)).unwrap_or(usize::MAX);
                if let Some(word) = patch.bytes.get_mut(from..from.saturating_add(8))
                    && let Ok(value) = <[u8; 8]>::try_from(&*word)
                {
                    word.copy_from_slice(&u64::from_le_bytes(value).wrapping_add(bias).to_le_bytes());
                }
            }
            at = at.saturating_add(length);
        }
        patch.addresses.iter_mut().for_each(|a| *a = a.wrapping_add(bias));
        patch.head.slide(bias);
        patch
    }

    /// Every piece with its bytes.
    pub fn pieces(&self) -> impl Iterator<Item = (u64, &[u8])> {
        let mut at = 0;
        self.head.pieces.iter().map(move |piece| {
            let from = at;
            at += usize::try_from(piece.length).unwrap_or(usize::MAX);
            (piece.address, &self.bytes[from..at])
        })
    }
}

impl Head {
    /// The address behind the last that is mapped.
    pub(crate) fn highest(&self) -> u64 {
        self.regions.iter().map(|r| r.address.saturating_add(r.size)).max().unwrap_or(0)
    }

    fn lowest(&self) -> u64 {
        self.regions.iter().map(|r| r.address).min().unwrap_or(0)
    }

    /// Does a whole word at `address` lie in a piece? Pieces ascend.
    fn holds(&self, address: u64) -> bool {
        let next = self.pieces.partition_point(|p| p.address <= address);
        let piece = next.checked_sub(1).and_then(|at| self.pieces.get(at));
        piece.is_some_and(|p| address.saturating_add(8) <= p.address.saturating_add(p.length))
    }

    fn slide(&mut self, bias: u64) {
        let places =
            [&mut self.text.address, &mut self.image, &mut self.module, &mut self.control].into_iter();
        let places = places.chain(self.functions.iter_mut().flat_map(|f| [&mut f.old.0, &mut f.new.0]));
        let places = places.chain(self.switches.iter_mut().map(|s| &mut s.entry));
        let places = places.chain(self.regions.iter_mut().map(|r| &mut r.address));
        let places = places.chain(self.pieces.iter_mut().map(|p| &mut p.address));
        let places = places.chain(self.methods.iter_mut().map(|m| &mut m.at));
        let places = places.chain(self.relies.iter_mut().map(|r| &mut r.address));
        let tables = self.tables.iter_mut();
        let tables = tables.flat_map(|t| [&mut t.address, &mut t.cell].into_iter().chain(t.words.iter_mut()));
        places.chain(tables).for_each(|place| *place = place.wrapping_add(bias));
    }

    /// Pieces lie in regions, regions do not overlap, switches lie in the old code.
    fn check(&self) -> Result<()> {
        let mut regions = self.regions.clone();
        regions.sort_by_key(|r| r.address);
        let page = |r: &Region| r.address.is_multiple_of(4096) && r.size.is_multiple_of(4096) && r.size > 0;
        let end = |r: &Region| r.address.checked_add(r.size);
        if !regions.iter().all(|r| page(r) && end(r).is_some()) {
            return Err(Error::not_patch("a region is not made of pages"));
        }
        if !regions.windows(2).all(|pair| end(&pair[0]).is_some_and(|e| e <= pair[1].address)) {
            return Err(Error::not_patch("its regions overlap"));
        }
        let lies = |address: u64, length: u64| {
            regions.iter().any(|r| {
                r.address <= address
                    && address.checked_add(length).is_some_and(|e| end(r).is_some_and(|last| e <= last))
            })
        };
        if !self.pieces.iter().all(|p| lies(p.address, p.length))
            || !lies(self.control, 4096)
            || !lies(self.module, 8)
        {
            return Err(Error::not_patch("a piece lies in no region"));
        }
        let words = |t: &Table| t.words.iter().chain([&t.cell]).all(|word| lies(*word, 8));
        if !self.tables.iter().all(|t| lies(t.address, 32) && words(t)) {
            return Err(Error::not_patch("an interface table lies in no region"));
        }
        if !self.pieces.is_sorted_by(|a, b| a.address.saturating_add(a.length) <= b.address) {
            return Err(Error::not_patch("its pieces are not in order"));
        }
        let text = self.text.address..self.text.address.saturating_add(self.text.size).saturating_sub(8);
        // A patch upon another also switches functions that the other has placed, below its own image.
        let lowest = self.lowest();
        let switched = |entry: u64| {
            text.contains(&entry) || (!self.below.is_empty() && text.start < entry && entry < lowest)
        };
        if !self
            .switches
            .iter()
            .all(|s| s.entry.is_multiple_of(8) && switched(s.entry) && (5..=8).contains(&s.length))
        {
            return Err(Error::not_patch("a switch is no aligned word of the old code"));
        }
        Ok(())
    }
}
