//! Private and public keys, and how they are written: SEC 1 points, `SubjectPublicKeyInfo` (RFC 5480) and PKCS #8
//! (RFC 5958) around an `ECPrivateKey` (RFC 5915), with the curve's object identifier 1.2.156.10197.1.301.

use alloc::vec::Vec;

use zeroize::{Zeroize as _, ZeroizeOnDrop, Zeroizing};

use super::base;
use super::der::{self, Reader};
use super::error::Sm2Error;
use super::field::Fe;
use super::multiply;
use super::point::Affine;
use super::scalar::Scalar;
use crate::Sm3;
use crate::secrets::published;

/// The user id that signatures take where nobody agreed on another (GB/T 35276 §10).
pub const DEFAULT_ID: &[u8] = b"1234567812345678";

/// `AlgorithmIdentifier` { id-ecPublicKey, curve of SM2 }.
const ALGORITHM: [u8; 21] = [
    0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, // 1.2.840.10045.2.1
    0x06, 0x08, 0x2a, 0x81, 0x1c, 0xcf, 0x55, 0x01, 0x82, 0x2d, // 1.2.156.10197.1.301
];

/// A point of the curve, and its bytes.
#[derive(Clone, Copy)]
pub struct PublicKey {
    pub(super) point: Affine,
    /// x and y, big-endian: what Z and the point's encoding are made of.
    coordinates: [u8; 64],
}

impl PublicKey {
    pub(super) fn of(point: Affine) -> Self {
        let mut coordinates = [0; 64];
        coordinates[..32].copy_from_slice(&point.x.to_bytes());
        coordinates[32..].copy_from_slice(&point.y.to_bytes());
        Self { point, coordinates }
    }

    /// Reads a point as SEC 1 §2.3.4 and GB/T 32918.1 §4.2.10 write it: 65 bytes after `04`, or 33 after `02` or `03`.
    ///
    /// # Errors
    /// [`Sm2Error::Malformed`] for other lengths and first bytes, [`Sm2Error::NotOnCurve`].
    pub fn from_sec1(bytes: &[u8]) -> Result<Self, Sm2Error> {
        let coordinate = |bytes: &[u8]| bytes.try_into().ok().and_then(Fe::from_bytes);
        let point = match (bytes.first(), bytes.len()) {
            (Some(4), 65) => {
                let (x, y) = (coordinate(&bytes[1..33]), coordinate(&bytes[33..]));
                x.zip(y).and_then(|(x, y)| Affine::new(x, y))
            }
            (Some(sign @ (2 | 3)), 33) => {
                coordinate(&bytes[1..]).and_then(|x| Affine::decompress(x, *sign == 3))
            }
            _ => {
                return Err(Sm2Error::malformed(
                    "point",
                    "it is neither 65 bytes after 04 nor 33 after 02 or 03",
                ));
            }
        };
        point.map(Self::of).ok_or(Sm2Error::NotOnCurve)
    }

    /// The uncompressed point: `04`, x, y.
    #[must_use]
    pub fn to_sec1(&self) -> [u8; 65] {
        let mut bytes = [4; 65];
        bytes[1..].copy_from_slice(&self.coordinates);
        bytes
    }

    /// The compressed point: `02` or `03`, x.
    #[must_use]
    pub fn to_sec1_compressed(&self) -> [u8; 33] {
        let mut bytes = [2 | self.coordinates[63] & 1; 33];
        bytes[1..].copy_from_slice(&self.coordinates[..32]);
        bytes
    }

    /// x and y, 32 bytes each.
    #[must_use]
    pub const fn coordinates(&self) -> &[u8; 64] {
        &self.coordinates
    }

    /// Reads `SubjectPublicKeyInfo` in DER.
    ///
    /// # Errors
    /// [`Sm2Error::Malformed`] when it is not one of an SM2 key, [`Sm2Error::NotOnCurve`].
    pub fn from_spki_der(bytes: &[u8]) -> Result<Self, Sm2Error> {
        let mut outer = Reader::new(bytes, "SM2 public key");
        let mut info = outer.sequence()?;
        outer.end()?;
        read_algorithm(&mut info, "SM2 public key")?;
        let point = info.bit_string()?;
        info.end()?;
        Self::from_sec1(point)
    }

    /// `SubjectPublicKeyInfo` in DER, 91 bytes.
    #[must_use]
    pub fn to_spki_der(&self) -> Vec<u8> {
        let bits = der::element(der::BIT_STRING, &[&[0], &self.to_sec1()]);
        der::element(der::SEQUENCE, &[&ALGORITHM, &bits])
    }

    /// Z of GB/T 32918.2 §5.5: what binds a signature to the signer's id and key.
    ///
    /// # Errors
    /// [`Sm2Error::IdTooLong`].
    pub fn z(&self, id: &[u8]) -> Result<[u8; 32], Sm2Error> {
        let bits = id.len().checked_mul(8).and_then(|bits| u16::try_from(bits).ok());
        let mut hasher = Sm3::new();
        hasher.update(&bits.ok_or(Sm2Error::IdTooLong)?.to_be_bytes());
        hasher.update(id);
        hasher.update(&super::CURVE);
        hasher.update(&self.coordinates);
        Ok(hasher.finalize())
    }

    /// A hasher that has taken Z: give it the message, and its digest is the `e` that is signed.
    ///
    /// # Errors
    /// [`Sm2Error::IdTooLong`].
    pub fn hasher(&self, id: &[u8]) -> Result<Sm3, Sm2Error> {
        let mut hasher = Sm3::new();
        hasher.update(&self.z(id)?);
        Ok(hasher)
    }
}

impl PartialEq for PublicKey {
    fn eq(&self, other: &Self) -> bool {
        self.coordinates == other.coordinates
    }
}

impl Eq for PublicKey {}

impl core::fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("PublicKey(")?;
        self.to_sec1_compressed().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        f.write_str(")")
    }
}

/// A private key with its public half. Wiped when dropped, and it has no `Debug` that shows it.
#[derive(Clone)]
pub struct PrivateKey {
    pub(super) d: Scalar,
    /// (1 + d)^-1, which every signature needs (GB/T 32918.2 §6.1, step A6).
    pub(super) inverse: Scalar,
    public: PublicKey,
}

impl PrivateKey {
    /// The key of 32 big-endian bytes. Random bytes are a key with all but a chance of 2^-32: draw again then.
    ///
    /// # Errors
    /// [`Sm2Error::PrivateKeyRange`] when they are not from 1 to n - 2.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, Sm2Error> {
        let d = Scalar::from_bytes(bytes).ok_or(Sm2Error::PrivateKeyRange)?;
        let next = d.add(&Scalar::ONE);
        if published(d.is_zero() | next.is_zero()) {
            return Err(Sm2Error::PrivateKeyRange);
        }
        let point = base::multiply(&d).to_affine().ok_or(Sm2Error::PrivateKeyRange)?;
        Ok(Self { d, inverse: next.invert(), public: PublicKey::of(published(point)) })
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Zeroizing<[u8; 32]> {
        Zeroizing::new(self.d.to_bytes())
    }

    /// The public half.
    #[must_use]
    pub const fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Reads PKCS #8 in DER, versions 1 and 2.
    ///
    /// # Errors
    /// [`Sm2Error::Malformed`] when it is not one of an SM2 key, [`Sm2Error::PrivateKeyRange`], and
    /// [`Sm2Error::KeyMismatch`] when a public half is in it that is not this key's.
    pub fn from_pkcs8_der(bytes: &[u8]) -> Result<Self, Sm2Error> {
        const WHAT: &str = "SM2 private key";
        let mut outer = Reader::new(bytes, WHAT);
        let mut info = outer.sequence()?;
        outer.end()?;
        let version = info.version(&[0, 1])?;
        read_algorithm(&mut info, WHAT)?;
        let key = Self::from_ec_private_key(info.element(der::OCTET_STRING)?)?;
        info.optional(der::CONTEXT_0)?; // attributes, which say nothing about the key
        if version == 1 {
            // [1] IMPLICIT BIT STRING: the constructed bit is not set.
            match info.optional(der::CONTEXT_1 & !0x20)? {
                Some([0, point @ ..]) => key.refuse_other(point)?,
                Some(_) => return Err(Sm2Error::malformed(WHAT, "a bit string is not of whole bytes")),
                None => {}
            }
        }
        info.end()?;
        Ok(key)
    }

    /// Reads `ECPrivateKey` in DER (RFC 5915 §3), as `openssl ecparam -genkey` writes it. Standing alone, it must name the
    /// curve.
    ///
    /// # Errors
    /// As [`PrivateKey::from_pkcs8_der`].
    pub fn from_sec1_der(bytes: &[u8]) -> Result<Self, Sm2Error> {
        match Self::is_sec1_der(bytes) {
            true => Self::from_ec_private_key(bytes),
            false => Err(Sm2Error::malformed("SM2 private key", "it does not name the curve of SM2")),
        }
    }

    /// Whether this is an `ECPrivateKey` that names the curve of SM2, sound or not.
    #[must_use]
    pub fn is_sec1_der(bytes: &[u8]) -> bool {
        let curve = || {
            let mut info = Reader::new(bytes, "").sequence()?;
            info.version(&[1])?;
            info.element(der::OCTET_STRING)?;
            info.optional(der::CONTEXT_0)
        };
        curve().is_ok_and(|curve| curve == Some(&ALGORITHM[11..]))
    }

    fn from_ec_private_key(bytes: &[u8]) -> Result<Self, Sm2Error> {
        const WHAT: &str = "SM2 private key";
        let mut outer = Reader::new(bytes, WHAT);
        let mut info = outer.sequence()?;
        outer.end()?;
        info.version(&[1])?;
        let secret = info.element(der::OCTET_STRING)?;
        let secret = secret.try_into().map_err(|_| Sm2Error::malformed(WHAT, "it is not of 32 bytes"))?;
        let key = Self::from_bytes(secret)?;
        if info.optional(der::CONTEXT_0)?.is_some_and(|curve| curve != &ALGORITHM[11..]) {
            return Err(Sm2Error::malformed(WHAT, "it is of another curve"));
        }
        if let Some(public) = info.optional(der::CONTEXT_1)? {
            let mut public = Reader::new(public, WHAT);
            key.refuse_other(public.bit_string()?)?;
            public.end()?;
        }
        info.end()?;
        Ok(key)
    }

    fn refuse_other(&self, point: &[u8]) -> Result<(), Sm2Error> {
        if PublicKey::from_sec1(point)? == self.public { Ok(()) } else { Err(Sm2Error::KeyMismatch) }
    }

    /// PKCS #8 in DER, version 1, with the public half inside as OpenSSL writes it.
    #[must_use]
    pub fn to_pkcs8_der(&self) -> Zeroizing<Vec<u8>> {
        let secret = Zeroizing::new(der::element(der::OCTET_STRING, &[self.to_bytes().as_slice()]));
        let bits = der::element(der::BIT_STRING, &[&[0], &self.public.to_sec1()]);
        let public = der::element(der::CONTEXT_1, &[&bits]);
        let key = Zeroizing::new(der::element(der::SEQUENCE, &[&[der::INTEGER, 1, 1], &secret, &public]));
        let octets = Zeroizing::new(der::element(der::OCTET_STRING, &[&key]));
        Zeroizing::new(der::element(der::SEQUENCE, &[&[der::INTEGER, 1, 0], &ALGORITHM, &octets]))
    }

    /// The x coordinate of d * peer: plain Diffie-Hellman, as TLS 1.3 uses the curve (RFC 8998 §3.2, RFC 8446
    /// §7.4.2). It authenticates nobody; see [`super::exchange`] for the agreement of GB/T 32918.3.
    #[must_use]
    pub fn diffie_hellman(&self, peer: &PublicKey) -> Zeroizing<[u8; 32]> {
        // d is from 1 to n - 2 and the peer's point of order n, so that the product is never infinity.
        let mut shared = multiply::multiply(&self.d, &peer.point).to_affine_finite();
        let x = Zeroizing::new(shared.x.to_bytes());
        shared.zeroize();
        x
    }
}

impl Drop for PrivateKey {
    fn drop(&mut self) {
        self.d.zeroize();
        self.inverse.zeroize();
    }
}

impl ZeroizeOnDrop for PrivateKey {}

impl core::fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("PrivateKey").field("public", &self.public).finish_non_exhaustive()
    }
}

fn read_algorithm(info: &mut Reader<'_>, what: &'static str) -> Result<(), Sm2Error> {
    if info.element(der::SEQUENCE)? == &ALGORITHM[2..] {
        Ok(())
    } else {
        Err(Sm2Error::malformed(what, "it is of another algorithm or curve"))
    }
}
