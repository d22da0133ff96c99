//! Key exchange, GB/T 32918.3 §6: two parties with certified keys and fresh ones agree on a secret that nobody else
//! can compute, with optional proofs that both have it.

use zeroize::{Zeroize as _, Zeroizing};

use super::error::Sm2Error;
use super::kdf;
use super::keys::{PrivateKey, PublicKey};
use super::multiply;
use super::scalar::Scalar;
use crate::Sm3;

/// Which side one is: the standard hashes the initiator's values first.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Role {
    /// The user A of the standard, who sends first.
    Initiator,
    /// The user B.
    Responder,
}

/// What one side brings: its own keys and id, and the peer's public ones.
pub struct Exchange<'a> {
    /// Which side this is.
    pub role: Role,
    /// The own certified key.
    pub own: &'a PrivateKey,
    /// The own key of this exchange alone: new, random, and never used again.
    pub own_ephemeral: &'a PrivateKey,
    /// The own user id.
    pub own_id: &'a [u8],
    /// The peer's certified key.
    pub peer: &'a PublicKey,
    /// The peer's key of this exchange.
    pub peer_ephemeral: &'a PublicKey,
    /// The peer's user id.
    pub peer_id: &'a [u8],
}

/// The optional proofs that the other side has come to the same key. Compare them in constant time.
#[derive(Clone)]
pub struct Confirmation {
    /// `S_B`, which the responder sends and the initiator checks.
    pub responder: [u8; 32],
    /// `S_A`, which the initiator sends and the responder checks.
    pub initiator: [u8; 32],
}

impl Exchange<'_> {
    /// Fills `key` with the agreed key.
    ///
    /// # Errors
    /// [`Sm2Error::NoAgreement`], [`Sm2Error::IdTooLong`], and [`Sm2Error::Length`] when `key` is empty.
    pub fn agree(&self, key: &mut [u8]) -> Result<Confirmation, Sm2Error> {
        kdf::check_length(key.len())?;
        let (own_z, peer_z) = (self.own.public_key().z(self.own_id)?, self.peer.z(self.peer_id)?);
        let own_ephemeral = self.own_ephemeral.public_key();
        let shared = self.shared()?;
        let (za, zb, first, second) = match self.role {
            Role::Initiator => (own_z, peer_z, own_ephemeral, self.peer_ephemeral),
            Role::Responder => (peer_z, own_z, self.peer_ephemeral, own_ephemeral),
        };
        let mut seed = Zeroizing::new([0; 128]);
        seed[..64].copy_from_slice(shared.as_slice());
        seed[64..96].copy_from_slice(&za);
        seed[96..].copy_from_slice(&zb);
        kdf::derive(seed.as_slice(), key);
        let mut inner = Sm3::new();
        for part in [&shared[..32], &za, &zb, first.coordinates(), second.coordinates()] {
            inner.update(part);
        }
        let inner = inner.finalize();
        let proof = |prefix| {
            let mut outer = Sm3::new();
            for part in [&[prefix][..], &shared[32..], &inner] {
                outer.update(part);
            }
            outer.finalize()
        };
        Ok(Confirmation { responder: proof(2), initiator: proof(3) })
    }

    /// The coordinates of U = t * (P + x2 * R), steps A5 to A7 and B3 to B6; the cofactor is 1.
    fn shared(&self) -> Result<Zeroizing<[u8; 64]>, Sm2Error> {
        let mut t = self.own.d.add(&half(self.own_ephemeral.public_key()).mul(&self.own_ephemeral.d));
        let theirs = multiply::multiply(&half(self.peer_ephemeral), &self.peer_ephemeral.point)
            .add(&self.peer.point.to_jacobian())
            .to_affine();
        let point = theirs.and_then(|theirs| multiply::multiply(&t, &theirs).to_affine());
        t.zeroize();
        let mut point = point.ok_or(Sm2Error::NoAgreement)?;
        let mut coordinates = Zeroizing::new([0; 64]);
        coordinates[..32].copy_from_slice(&point.x.to_bytes());
        coordinates[32..].copy_from_slice(&point.y.to_bytes());
        point.zeroize();
        Ok(coordinates)
    }
}

/// 2^127 + (x mod 2^127): step A4.
fn half(key: &PublicKey) -> Scalar {
    let x = key.point.x.to_integer();
    Scalar::reduced(&[x[0], x[1] | 1 << 63, 0, 0])
}
