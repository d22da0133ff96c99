//! Oracles for hostile bytes, shared by the fuzz targets and the tests.

use crate::KeyName;
use crate::store::{own_name, retired_name};

/// File names: whatever a folder holds, a name taken from it is a valid one and leads back to the same file.
pub fn file_names(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(name) = KeyName::new(text) {
        let file = format!("{name}.pub.pem");
        assert_eq!(own_name(&file), Some(name), "a key's file is not found again");
        assert!(retired_name(&file).is_none(), "a key's file is taken for a retired one");
    }
    if let Some((name, stem)) = retired_name(text) {
        assert!(own_name(text).is_none(), "a retired key is taken for one that signs");
        assert!(stem.starts_with(name.as_str()));
        assert!(!name.as_str().contains(['/', '\\']));
    }
}

/// A file in the place of a key-encryption key: refused, or one whose epochs are in order.
pub fn kek_file(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if crate::kek::is_kek_file(text) {
        assert!(text.starts_with("custody-kek 1"));
    }
}

/// A trust policy: refused, or one that nobody's signatures do not meet.
pub fn policy(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(policy) = crate::Policy::parse(text) {
        assert!(!policy.unmet(&[]).is_empty(), "a policy is met without a signature");
        assert!(policy.unmet(&[]).iter().all(|unmet| unmet.found == 0 && unmet.wanted > 0));
    }
}

/// PKCS #12: reading ends.
pub fn pkcs12(data: &[u8]) {
    // The rounds that a file asks for are bounded, and so is this.
    if data.len() < 4096 {
        let _ = crate::pkcs12::open(data, "").is_ok();
        let _ = crate::pkcs12::open_encrypted_key(data, "").is_ok();
    }
}

/// PKCS #11 URIs: what is read names no PIN.
#[cfg(feature = "pkcs11")]
pub fn pkcs11_uri(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(uri) = crate::pkcs11::Uri::parse(text) {
        // RFC 7512 §2.3: `;` parts what stands before the `?`, `&` what stands behind; a value may hold `:` and `=`.
        let (path, query) = text.split_once('?').unwrap_or((text, ""));
        let path = path.strip_prefix("pkcs11:").expect("it begins with its scheme");
        let names = |part: &str| part.starts_with("pin-value=");
        assert!(!path.split(';').chain(query.split('&')).any(names), "a PIN in a URI is accepted");
        assert!(!text.contains(char::is_control) && uri.describe().len() <= 2 * text.len() + 32);
    }
}
