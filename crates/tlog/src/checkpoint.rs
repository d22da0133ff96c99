//! Checkpoints, c2sp.org/tlog-checkpoint: the text of the note that the log signs.

use std::fmt;

use crate::text::{encode, hash, number};
use crate::{Hash, TlogError};

/// A checkpoint longer than this is refused.
pub const MAX_CHECKPOINT: usize = 64 * 1024;
/// More extension lines than this are refused.
const MAX_EXTENSIONS: usize = 64;
/// First word of the extension line that carries the SM3 root.
const SM3: &str = "sm3 ";
const WHAT: &str = "checkpoint";

/// Size and roots of a log at a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Checkpoint {
    /// The log's identity.
    pub origin: String,
    /// Number of leaves.
    pub size: u64,
    /// Root of the SHA-256 tree.
    pub root: Hash,
    /// Root of the SM3 tree over the same leaves, from the extension line `sm3 <base64>`.
    pub sm3_root: Option<Hash>,
    /// Extension lines other than that of the SM3 root, without their newlines.
    pub extensions: Vec<String>,
}

impl Checkpoint {
    /// Reads the text of a note (without its signatures).
    ///
    /// # Errors
    /// [`TlogError::Malformed`] when a line is missing, empty or not in its one spelling.
    pub fn parse(text: &str) -> Result<Self, TlogError> {
        let bad = |why: &str| TlogError::malformed(WHAT, why);
        if text.len() > MAX_CHECKPOINT {
            return Err(bad("it is larger than 64 KiB"));
        }
        let body = text.strip_suffix('\n').ok_or_else(|| bad("the last line has no end"))?;
        let mut lines = body.split('\n');
        let (Some(origin), Some(size), Some(root)) = (lines.next(), lines.next(), lines.next()) else {
            return Err(bad("it has fewer than three lines"));
        };
        if origin.is_empty() {
            return Err(bad("the origin is empty"));
        }
        let mut checkpoint = Self {
            origin: origin.to_owned(),
            size: number(WHAT, size)?,
            root: hash(WHAT, root)?,
            sm3_root: None,
            extensions: Vec::new(),
        };
        for (count, line) in lines.enumerate() {
            if line.is_empty() || count >= MAX_EXTENSIONS {
                return Err(bad("an extension line is empty, or there are more than 64"));
            }
            match line.strip_prefix(SM3) {
                // Only the first extension line may carry the root, so that each checkpoint has one spelling.
                Some(root) if count == 0 => checkpoint.sm3_root = Some(hash(WHAT, root)?),
                Some(_) => return Err(bad("the SM3 root is not on the first extension line")),
                None => checkpoint.extensions.push(line.to_owned()),
            }
        }
        Ok(checkpoint)
    }
}

/// The text of the note, with its final newline.
impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}", self.origin, self.size, encode(&self.root))?;
        if let Some(root) = &self.sm3_root {
            writeln!(f, "{SM3}{}", encode(root))?;
        }
        self.extensions.iter().try_for_each(|line| writeln!(f, "{line}"))
    }
}
