//! Key-encryption keys on a token: AES-256 in GCM, made there and never extractable.
//!
//! A wrapped key is twelve bytes of initial vector, the ciphertext and sixteen bytes of tag. The vector is random: a
//! key wraps some thousands of others, far from the 2^32 that NIST SP 800-38D §8.3 allows.

use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use cryptoki::mechanism::aead::GcmParams;
use cryptoki::object::{Attribute, ObjectClass, ObjectHandle};
use zeroize::Zeroizing;

use super::{Token, Uri, failed};
use crate::KeystoreError;

const IV: u32 = 12;
const TAG_BITS: u64 = 128;

/// A key on a token that wraps other keys.
pub struct WrappingKey {
    token: Arc<Token>,
    key: ObjectHandle,
}

impl WrappingKey {
    /// Finds the secret key that `uri` names.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn open(token: Arc<Token>, uri: &Uri) -> Result<Self, KeystoreError> {
        let key = token.object(&token.session(), ObjectClass::SECRET_KEY, uri)?;
        Ok(Self { token, key })
    }

    /// Makes one under the label of `uri`.
    ///
    /// # Errors
    /// [`KeystoreError::Exists`] when the label is taken; when the token cannot make such a key.
    pub fn generate(token: Arc<Token>, uri: &Uri) -> Result<Self, KeystoreError> {
        let label = uri
            .object
            .clone()
            .ok_or_else(|| KeystoreError::Uri { why: "a new key needs `object`".into() })?;
        match token.object(&token.session(), ObjectClass::SECRET_KEY, uri) {
            Err(KeystoreError::NotFound { .. }) => {}
            Err(other @ KeystoreError::Token { .. }) => return Err(other),
            _ => return Err(KeystoreError::Exists { what: format!("a key `{label}` on the token") }),
        }
        let mut template = vec![
            Attribute::Label(label.into_bytes()),
            Attribute::Token(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Encrypt(true),
            Attribute::Decrypt(true),
            Attribute::ValueLen(32.into()),
        ];
        template.extend(uri.id.clone().map(Attribute::Id));
        let made = token.session().generate_key(&Mechanism::AesKeyGen, &template);
        let key = made.map_err(failed("make a wrapping key"))?;
        Ok(Self { token, key })
    }

    /// Wraps `secret`, bound to `context`.
    ///
    /// # Errors
    /// When the token refuses.
    pub fn wrap(&self, secret: &[u8], context: &[u8]) -> Result<Vec<u8>, KeystoreError> {
        let session = self.token.session();
        let iv = session.generate_random_vec(IV).map_err(failed("draw an initial vector"))?;
        let mut vector = iv.clone();
        let parameters =
            GcmParams::new(&mut vector, context, TAG_BITS.into()).map_err(failed("wrap a key"))?;
        let sealed = session.encrypt(&Mechanism::AesGcm(parameters), self.key, secret);
        Ok([iv, sealed.map_err(failed("wrap a key"))?].concat())
    }

    /// Unwraps what [`WrappingKey::wrap`] made under the same context.
    ///
    /// # Errors
    /// When it is something else, or the token refuses.
    pub fn unwrap(&self, wrapped: &[u8], context: &[u8]) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
        let Some((iv, sealed)) = wrapped.split_at_checked(IV as usize) else {
            return Err(KeystoreError::Uri { why: "a wrapped key is longer".into() });
        };
        let mut vector = iv.to_vec();
        let parameters =
            GcmParams::new(&mut vector, context, TAG_BITS.into()).map_err(failed("unwrap a key"))?;
        let opened = self.token.session().decrypt(&Mechanism::AesGcm(parameters), self.key, sealed);
        opened.map(Zeroizing::new).map_err(failed("unwrap a key"))
    }
}
