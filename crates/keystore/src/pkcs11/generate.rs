//! Making a key on a token, so that it is nowhere else.

use std::sync::Arc;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use pkix::{der, oid};

use super::{Token, TokenSigner, Uri, failed};
use crate::KeystoreError;

/// The kind of a new key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum NewKey {
    /// RSA of so many bits.
    Rsa(u32),
    /// ECDSA on P-256.
    P256,
    /// ECDSA on P-384.
    P384,
}

impl TokenSigner {
    /// Makes a key pair under the label and id of `uri` (a random id when it names none), sensitive and never
    /// extractable, and reads back from the token that it is.
    ///
    /// # Errors
    /// [`KeystoreError::Exists`] when the label is taken; when the token cannot make such a key, or made one that
    /// could leave it.
    pub fn generate(token: Arc<Token>, uri: &Uri, kind: NewKey) -> Result<Self, KeystoreError> {
        let label = uri
            .object
            .clone()
            .ok_or_else(|| KeystoreError::Uri { why: "a new key needs `object`".into() })?;
        let taken = Uri { object: Some(label.clone()), ..Uri::default() };
        match Self::open(Arc::clone(&token), &taken) {
            Err(KeystoreError::NotFound { .. }) => {}
            Ok(_) | Err(KeystoreError::Uri { .. }) => {
                return Err(KeystoreError::Exists { what: format!("a key `{label}` on the token") });
            }
            Err(other) => return Err(other),
        }
        let id = match &uri.id {
            Some(id) => id.clone(),
            None => token.session().generate_random_vec(16).map_err(failed("draw a random id"))?,
        };
        let named = [Attribute::Label(label.into_bytes()), Attribute::Id(id.clone()), Attribute::Token(true)];
        let (mechanism, size) = mechanism(kind);
        let mut public = named.to_vec();
        public.extend([Attribute::Verify(true), Attribute::Private(false)]);
        public.extend(size);
        let mut private = named.to_vec();
        private.extend([
            Attribute::Sign(true),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
        ]);
        token
            .session()
            .generate_key_pair(&mechanism, &public, &private)
            .map_err(failed("make a key pair"))?;
        let signer = Self::open(token, &Uri { id: Some(id), ..Uri::default() })?;
        match signer.facts().stays() {
            true => Ok(signer),
            false => Err(KeystoreError::Extractable { key: uri.describe() }),
        }
    }
}

fn mechanism(kind: NewKey) -> (Mechanism<'static>, Vec<Attribute>) {
    match kind {
        NewKey::Rsa(bits) => (
            Mechanism::RsaPkcsKeyPairGen,
            vec![Attribute::ModulusBits(u64::from(bits).into()), Attribute::PublicExponent(vec![1, 0, 1])],
        ),
        NewKey::P256 => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(der::oid(oid::P256))]),
        NewKey::P384 => (Mechanism::EccKeyPairGen, vec![Attribute::EcParams(der::oid(oid::P384))]),
    }
}
