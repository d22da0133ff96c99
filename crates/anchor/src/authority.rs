//! The one trait of everybody who anchors.

use std::collections::BTreeMap;

use crate::error::AnchorError;
use crate::receipt::{Anchor, Evidence, Status};
use crate::subject::Subject;

/// Longest business id, in bytes: platforms take 64 to 256.
pub const MAX_BIZ_ID: usize = 128;
/// Most fields of metadata.
pub const MAX_METADATA: usize = 32;

/// What is asked of an authority.
#[derive(Clone, Debug)]
pub struct Order<'a> {
    /// What is to be anchored.
    pub subject: &'a Subject,
    /// The request's id: the same id and subject again are the same request.
    pub biz_id: &'a str,
    /// When it was asked for.
    pub requested: jiff::Timestamp,
    /// What the caller wants to stand beside the digest; it goes to whoever anchors, so nothing secret.
    pub metadata: &'a BTreeMap<String, String>,
}

impl Order<'_> {
    /// The anchor of this order, in a state.
    #[must_use]
    pub fn anchor(&self, authority: &str, status: Status, evidence: Evidence) -> Anchor {
        Anchor {
            authority: authority.to_owned(),
            biz_id: self.biz_id.to_owned(),
            requested: self.requested.to_string(),
            status,
            metadata: self.metadata.clone(),
            reason: None,
            evidence,
        }
    }

    /// Holds ids and metadata to what every platform takes.
    ///
    /// # Errors
    /// [`AnchorError::Request`] with the rule.
    pub fn check(&self) -> Result<(), AnchorError> {
        check_biz_id(self.biz_id)?;
        let long =
            |(name, value): (&String, &String)| name.is_empty() || name.len() > 64 || value.len() > 1024;
        if self.metadata.len() > MAX_METADATA || self.metadata.iter().any(long) {
            let why = "at most 32 fields, names of 1 to 64 bytes, values of at most 1024";
            return Err(AnchorError::request("metadata", why));
        }
        Ok(())
    }
}

/// An id is 1 to 128 printable ASCII characters without spaces and quotes: it stands in addresses and logs of others.
///
/// # Errors
/// [`AnchorError::Request`] when it is anything else.
pub fn check_biz_id(id: &str) -> Result<(), AnchorError> {
    let fits =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':' | b'/' | b'@' | b'+');
    if (1..=MAX_BIZ_ID).contains(&id.len()) && id.bytes().all(fits) {
        return Ok(());
    }
    Err(AnchorError::request("business id", "it is 1 to 128 letters, digits and any of `-_.:/@+`"))
}

/// Somebody who anchors: asked once, then asked how it stands until that is final.
pub trait Authority: Send + Sync {
    /// The kind of the evidence, as a receipt has it.
    fn kind(&self) -> &str;
    /// Who is asked.
    fn address(&self) -> &str;
    /// The evidence before there is any.
    fn nothing(&self) -> Evidence;
    /// Asks. The answer is final, or pending.
    ///
    /// # Errors
    /// When there is no answer that can be used; [`AnchorError::is_passing`] says whether to try again.
    fn submit(&self, order: &Order<'_>) -> Result<Anchor, AnchorError>;
    /// Asks how a pending request stands. Those who answer at once have nothing to add.
    ///
    /// # Errors
    /// As [`Authority::submit`].
    fn status(&self, anchor: &Anchor) -> Result<Anchor, AnchorError> {
        Ok(anchor.clone())
    }
}
