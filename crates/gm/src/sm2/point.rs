//! Points of the curve y^2 = x^3 - 3x + b of GB/T 32918.5, in Jacobian coordinates (GB/T 32918.1 §A.1.2.3): (X, Y, Z)
//! stands for (X / Z^2, Y / Z^3), and Z = 0 for the point at infinity. Formulas: `dbl-1998-cmo-2`,
//! `madd` and `add-1998-cmo-2` of the Explicit-Formulas Database.

use super::field::{Fe, hex32};
use super::limbs;
use crate::secrets::published;

/// b of GB/T 32918.5 §A.1, and below the base point G.
pub(super) const B: [u8; 32] = hex32(b"28E9FA9E9D9F5E344D5A9E4BCF6509A7F39789F515AB8F92DDBCBD414D940E93");
pub(super) const G_X: [u8; 32] = hex32(b"32C4AE2C1F1981195F9904466A39C9948FE30BBFF2660BE1715A4589334C74C7");
pub(super) const G_Y: [u8; 32] = hex32(b"BC3736A2F4F6779C59BDCEE36B692153D0A9877CC62A474002DF32E52139F0A0");

const B_FE: Fe = Fe::from_integer(&limbs::from_bytes(&B));

pub(super) const G: Affine =
    Affine { x: Fe::from_integer(&limbs::from_bytes(&G_X)), y: Fe::from_integer(&limbs::from_bytes(&G_Y)) };

/// A point other than infinity.
#[derive(Clone, Copy)]
pub(super) struct Affine {
    pub(super) x: Fe,
    pub(super) y: Fe,
}

impl Affine {
    /// The point with these coordinates, if it lies on the curve. The cofactor is 1, so it is then of order n.
    pub(super) fn new(x: Fe, y: Fe) -> Option<Self> {
        (y.square().mask_if_same(&right_side(&x)) != 0).then_some(Self { x, y })
    }

    /// The point with this x whose y is odd or even.
    pub(super) fn decompress(x: Fe, odd: bool) -> Option<Self> {
        let y = right_side(&x).square_root()?;
        let y = if (y.parity() == 1) == odd { y } else { y.neg() };
        // No point has y = 0, for the order is odd; so one of the two roots has the wanted parity.
        Some(Self { x, y })
    }

    pub(super) const fn to_jacobian(self) -> Jacobian {
        Jacobian { x: self.x, y: self.y, z: Fe::ONE }
    }

    /// The opposite point where `mask` is all ones.
    pub(super) fn negated_if(&self, mask: u64) -> Self {
        Self { x: self.x, y: Fe::select(mask, &self.y.neg(), &self.y) }
    }
}

/// x^3 - 3x + b.
fn right_side(x: &Fe) -> Fe {
    let triple = x.double().add(x);
    x.square().mul(x).sub(&triple).add(&B_FE)
}

#[derive(Clone, Copy)]
pub(super) struct Jacobian {
    pub(super) x: Fe,
    pub(super) y: Fe,
    pub(super) z: Fe,
}

impl zeroize::DefaultIsZeroes for Jacobian {}

impl Default for Jacobian {
    fn default() -> Self {
        Self::INFINITY
    }
}

impl zeroize::DefaultIsZeroes for Affine {}

impl Default for Affine {
    fn default() -> Self {
        Self { x: Fe::ZERO, y: Fe::ZERO }
    }
}

impl Jacobian {
    pub(super) const INFINITY: Self = Self { x: Fe::ONE, y: Fe::ONE, z: Fe::ZERO };

    pub(super) const fn select(mask: u64, a: &Self, b: &Self) -> Self {
        Self {
            x: Fe::select(mask, &a.x, &b.x),
            y: Fe::select(mask, &a.y, &b.y),
            z: Fe::select(mask, &a.z, &b.z),
        }
    }

    pub(super) fn negated_if(&self, mask: u64) -> Self {
        Self { x: self.x, y: Fe::select(mask, &self.y.neg(), &self.y), z: self.z }
    }

    /// Twice the point; infinity for infinity. With M = 3(X + Z^2)(X - Z^2) and S = 4XY^2: X' = M^2 - 2S,
    /// Y' = M(S - X') - 8Y^4, Z' = 2YZ.
    pub(super) fn double(&self) -> Self {
        // Products that do not wait for each other stand side by side.
        let zz = self.z.square();
        let four_yy = self.y.double().square();
        let third = self.x.add(&zz).mul(&self.x.sub(&zz));
        let s = four_yy.mul(&self.x);
        let m = third.double().add(&third);
        let yz = self.y.mul(&self.z);
        let mm = m.square();
        let eight_yyyy = four_yy.square().half();
        let x = mm.sub(&s.double());
        let y = m.mul(&s.sub(&x)).sub(&eight_yyyy);
        Self { x, y, z: yz.double() }
    }

    /// The sum with a point that is neither this one nor its opposite. Infinity on the left is handled; the right
    /// cannot be infinity.
    #[inline]
    pub(super) fn add_affine(&self, other: &Affine) -> Self {
        let zz = self.z.square();
        let yz = other.y.mul(&self.z);
        let u = other.x.mul(&zz);
        let s = yz.mul(&zz);
        let (h, r) = (u.sub(&self.x), s.sub(&self.y));
        let hh = h.square();
        let rr = r.square();
        let z = self.z.mul(&h);
        let hhh = h.mul(&hh);
        let v = self.x.mul(&hh);
        let x = rr.sub(&hhh).sub(&v.double());
        let y = r.mul(&v.sub(&x)).sub(&self.y.mul(&hhh));
        let sum = Self { x, y, z };
        Self::select(self.z.mask_if_zero(), &other.to_jacobian(), &sum)
    }

    /// The sum of any two points, in constant time: a doubling is computed beside the addition.
    pub(super) fn add(&self, other: &Self) -> Self {
        let (sum, same) = self.add_distinct(other);
        let sum = Self::select(same, &self.double(), &sum);
        let sum = Self::select(self.z.mask_if_zero(), other, &sum);
        Self::select(other.z.mask_if_zero(), self, &sum)
    }

    /// The sum of any two public points.
    #[inline]
    pub(super) fn add_vartime(&self, other: &Self) -> Self {
        if self.z.mask_if_zero() != 0 {
            return *other;
        }
        if other.z.mask_if_zero() != 0 {
            return *self;
        }
        let (sum, same) = self.add_distinct(other);
        if same == 0 { sum } else { self.double() }
    }

    /// The sum of any two public points, the second not infinity.
    #[inline]
    pub(super) fn add_affine_vartime(&self, other: &Affine) -> Self {
        let sum = self.add_affine(other);
        // Z is zero when the x are the same, and the points are then the same or opposite.
        if sum.z.mask_if_zero() == 0 { sum } else { self.add_vartime(&other.to_jacobian()) }
    }

    /// The sum of two points that are not infinity, and all ones when they are the same point, in which case the sum
    /// is not theirs. Opposite points give infinity.
    #[inline]
    fn add_distinct(&self, other: &Self) -> (Self, u64) {
        let (z1z1, z2z2) = (self.z.square(), other.z.square());
        let (u1, u2) = (self.x.mul(&z2z2), other.x.mul(&z1z1));
        let s1 = self.y.mul(&other.z).mul(&z2z2);
        let s2 = other.y.mul(&self.z).mul(&z1z1);
        let (h, r) = (u2.sub(&u1), s2.sub(&s1));
        let hh = h.square();
        let hhh = h.mul(&hh);
        let v = u1.mul(&hh);
        let x = r.square().sub(&hhh).sub(&v.double());
        let y = r.mul(&v.sub(&x)).sub(&s1.mul(&hhh));
        let z = self.z.mul(&other.z).mul(&h);
        (Self { x, y, z }, h.mask_if_zero() & r.mask_if_zero())
    }

    /// The affine point, unless this is infinity. Whether it is shows.
    pub(super) fn to_affine(self) -> Option<Affine> {
        if published(self.z.mask_if_zero()) != 0 {
            return None;
        }
        Some(self.to_affine_finite())
    }

    /// The affine point; (0, 0) for infinity.
    pub(super) fn to_affine_finite(self) -> Affine {
        let inverse = self.z.invert();
        let squared = inverse.square();
        Affine { x: self.x.mul(&squared), y: self.y.mul(&squared).mul(&inverse) }
    }

    /// Whether x of the affine point is the integer `x` modulo p, without dividing.
    pub(super) fn has_x(&self, x: &Fe) -> bool {
        self.z.mask_if_zero() == 0 && x.mul(&self.z.square()).mask_if_same(&self.x) != 0
    }
}
