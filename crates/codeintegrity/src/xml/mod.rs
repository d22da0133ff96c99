//! The form that people edit: `urn:schemas-microsoft-com:sipolicy`.
//!
//! Unknown elements and attributes are refused: in a policy, what is not understood may be what forbids.

mod element;
mod read;
mod write;

pub use read::read;
pub use write::write;

/// The namespace of every element.
const NAMESPACE: &str = "urn:schemas-microsoft-com:sipolicy";
