//! A policy in any of its forms, told apart by how it begins.

use std::path::Path;

use codeintegrity::{CONTENT_TYPE, MAX_POLICY, Policy, PolicyError, read_binary, read_xml};
use pkix::cms::SignedData;
use pkix::{Oid, der};

use crate::cmd::pe::credential::read_up_to;
use crate::failure::Failure;

/// The content type of signed policies.
pub(in crate::cmd::pe) const SIGNED_POLICY: Oid = Oid::new(&[1, 3, 6, 1, 4, 1, 311, 79, 1]);

/// The form that a file has.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::cmd::pe) enum Form {
    Xml,
    Binary,
    Signed,
}

impl Form {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Xml => "xml",
            Self::Binary => "binary",
            Self::Signed => "signed",
        }
    }
}

/// A policy that was read.
pub(in crate::cmd::pe) struct Loaded {
    pub(in crate::cmd::pe) policy: Policy,
    pub(in crate::cmd::pe) form: Form,
    /// The file as it is.
    pub(in crate::cmd::pe) bytes: Vec<u8>,
}

/// Reads a policy: XML, `.cip`, or `.p7b`, whose signature is not judged here.
pub(in crate::cmd::pe) fn read(path: &Path) -> Result<Loaded, Failure> {
    debug_assert_eq!(SIGNED_POLICY.to_string(), CONTENT_TYPE);
    // A signed policy is its compiled form, and certificates.
    let bytes = read_up_to(path, 2 * MAX_POLICY as u64)?.to_vec();
    let refused = |error: PolicyError| {
        Failure::input(anyhow::Error::from(error).context(format!("cannot use `{}`", path.display())))
    };
    let (policy, form) = match bytes.as_slice() {
        [0x30, ..] => (read_binary(&content(&bytes, path)?).map_err(refused)?, Form::Signed),
        [0xEF, 0xBB, 0xBF, ..] | [b'<', ..] => {
            let text = std::str::from_utf8(&bytes).map_err(|e| {
                Failure::input(anyhow::Error::from(e).context(format!("`{}` is not UTF-8", path.display())))
            })?;
            (read_xml(text).map_err(refused)?, Form::Xml)
        }
        _ => (read_binary(&bytes).map_err(refused)?, Form::Binary),
    };
    Ok(Loaded { policy, form, bytes })
}

/// The compiled policy inside a signed one.
fn content(bytes: &[u8], path: &Path) -> Result<Vec<u8>, Failure> {
    let signed = SignedData::read(bytes).map_err(|e| super::super::unusable(e, path))?;
    match signed.content {
        Some(content) if signed.content_type == SIGNED_POLICY && content.tag == der::tag::OCTET_STRING => {
            Ok(content.body.to_vec())
        }
        _ => {
            let what =
                format!("`{}` signs {}, and no code-integrity policy", path.display(), signed.content_type);
            Err(Failure::input(anyhow::anyhow!(what)))
        }
    }
}
