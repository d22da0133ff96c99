//! Decryption of what a password protects: PBES2 (RFC 8018 §6.2) and the schemes of PKCS #12 (RFC 7292 appendix C).

use aws_lc_rs::cipher::{
    AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use des::TdesEde3;
use des::cipher::{Block, BlockCipherDecrypt, KeyInit};
use pkix::der::{Reader, tag};
use pkix::{AlgorithmId, Digest, Oid};
use rc2::Rc2;
use zeroize::Zeroizing;

use super::kdf::{self, Purpose};
use crate::KeystoreError;

const PBES2: Oid = Oid::new(&[1, 2, 840, 113549, 1, 5, 13]);
const PBKDF2: Oid = Oid::new(&[1, 2, 840, 113549, 1, 5, 12]);
const HMAC_SHA1: Oid = Oid::new(&[1, 2, 840, 113549, 2, 7]);
const HMAC_SHA256: Oid = Oid::new(&[1, 2, 840, 113549, 2, 9]);
const HMAC_SHA384: Oid = Oid::new(&[1, 2, 840, 113549, 2, 10]);
const HMAC_SHA512: Oid = Oid::new(&[1, 2, 840, 113549, 2, 11]);
const AES128_CBC: Oid = Oid::new(&[2, 16, 840, 1, 101, 3, 4, 1, 2]);
const AES192_CBC: Oid = Oid::new(&[2, 16, 840, 1, 101, 3, 4, 1, 22]);
const AES256_CBC: Oid = Oid::new(&[2, 16, 840, 1, 101, 3, 4, 1, 42]);
const DES_EDE3_CBC: Oid = Oid::new(&[1, 2, 840, 113549, 3, 7]);
const PBE_SHA_3DES: Oid = Oid::new(&[1, 2, 840, 113549, 1, 12, 1, 3]);
const PBE_SHA_RC2_40: Oid = Oid::new(&[1, 2, 840, 113549, 1, 12, 1, 6]);

fn bad(why: impl std::fmt::Display) -> KeystoreError {
    KeystoreError::Pkcs12 { why: why.to_string() }
}

/// A padding that is none: the password was another, or the bytes were changed.
fn wrong() -> KeystoreError {
    KeystoreError::Password { what: "encrypted key" }
}

pub(super) fn decrypt(
    algorithm: &AlgorithmId,
    password: &str,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let mut parameters = Reader::new(&algorithm.parameters).sequence().map_err(bad)?;
    match algorithm.oid {
        PBES2 => pbes2(parameters, password, ciphertext),
        PBE_SHA_3DES | PBE_SHA_RC2_40 => {
            let (salt, rounds) = (parameters.octets().map_err(bad)?, parameters.small().map_err(bad)?);
            let derive = |purpose, length| kdf::pkcs12(Digest::Sha1, purpose, password, salt, rounds, length);
            let iv = derive(Purpose::Iv, 8)?;
            match algorithm.oid {
                PBE_SHA_3DES => {
                    let cipher = TdesEde3::new_from_slice(&derive(Purpose::Key, 24)?).map_err(bad)?;
                    cbc(&cipher, &iv, ciphertext)
                }
                _ => {
                    let cipher = Rc2::new_with_eff_key_len(&derive(Purpose::Key, 5)?, 40);
                    cbc(&cipher, &iv, ciphertext)
                }
            }
        }
        other => Err(bad(format!("encryption {other} is not supported"))),
    }
}

fn pbes2(
    mut parameters: Reader<'_>,
    password: &str,
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let derivation = AlgorithmId::read(&mut parameters).map_err(bad)?;
    let encryption = AlgorithmId::read(&mut parameters).map_err(bad)?;
    if derivation.oid != PBKDF2 {
        return Err(bad(format!("key derivation {} is not supported", derivation.oid)));
    }
    let mut inner = Reader::new(&derivation.parameters).sequence().map_err(bad)?;
    let salt = inner.octets().map_err(bad)?;
    let rounds = inner.small().map_err(bad)?;
    inner.optional(tag::INTEGER).map_err(bad)?; // the length follows from the cipher
    let digest = match inner.is_empty() {
        true => Digest::Sha1,
        false => match AlgorithmId::read(&mut inner).map_err(bad)?.oid {
            HMAC_SHA1 => Digest::Sha1,
            HMAC_SHA256 => Digest::Sha256,
            HMAC_SHA384 => Digest::Sha384,
            HMAC_SHA512 => Digest::Sha512,
            other => return Err(bad(format!("PBKDF2 under {other} is not supported"))),
        },
    };
    let iv = Reader::new(&encryption.parameters).octets().map_err(bad)?;
    let key = |length| kdf::pbkdf2(digest, password, salt, rounds, length);
    match encryption.oid {
        AES128_CBC => aes(UnboundCipherKey::new(&AES_128, &key(16)?), iv, ciphertext),
        AES192_CBC => aes(UnboundCipherKey::new(&AES_192, &key(24)?), iv, ciphertext),
        AES256_CBC => aes(UnboundCipherKey::new(&AES_256, &key(32)?), iv, ciphertext),
        DES_EDE3_CBC => cbc(&TdesEde3::new_from_slice(&key(24)?).map_err(bad)?, iv, ciphertext),
        other => Err(bad(format!("cipher {other} is not supported"))),
    }
}

fn aes(
    key: Result<UnboundCipherKey, aws_lc_rs::error::Unspecified>,
    iv: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let iv: FixedLength<16> =
        iv.try_into().map_err(|_| bad("an initial vector that is not 16 bytes long"))?;
    let key = key.and_then(PaddedBlockDecryptingKey::cbc_pkcs7).map_err(bad)?;
    let mut buffer = Zeroizing::new(ciphertext.to_vec());
    let length = key.decrypt(&mut buffer, DecryptionContext::Iv128(iv)).map_err(|_| wrong())?.len();
    buffer.truncate(length);
    Ok(buffer)
}

/// CBC with the padding of PKCS #7, for the ciphers of eight-byte blocks that AWS-LC leaves out.
fn cbc<C: BlockCipherDecrypt>(
    cipher: &C,
    iv: &[u8],
    ciphertext: &[u8],
) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    if iv.len() != 8 || ciphertext.is_empty() || !ciphertext.len().is_multiple_of(8) {
        return Err(bad("its ciphertext is not made of blocks"));
    }
    let mut out = Zeroizing::new(Vec::with_capacity(ciphertext.len()));
    let mut previous = iv;
    for chunk in ciphertext.chunks_exact(8) {
        let mut block =
            Block::<C>::try_from(chunk).map_err(|_| bad("its blocks are not eight bytes long"))?;
        cipher.decrypt_block(&mut block);
        out.extend(block.iter().zip(previous).map(|(a, b)| a ^ b));
        previous = chunk;
    }
    let padding = usize::from(out.last().copied().unwrap_or(0));
    let fits =
        (1..=8).contains(&padding) && out[out.len() - padding..].iter().all(|b| usize::from(*b) == padding);
    if !fits {
        return Err(wrong());
    }
    let length = out.len() - padding;
    out.truncate(length);
    Ok(out)
}
