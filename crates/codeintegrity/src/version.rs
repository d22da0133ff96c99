use std::fmt;
use std::str::FromStr;

/// Four numbers of 16 bits, `major.minor.build.revision`, compared as one of 64 bits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Version(pub u64);

impl Version {
    /// `0.0.0.0`: what is stored where there is none.
    pub const ZERO: Self = Self(0);
    /// `65535.65535.65535.65535`: what a deny rule without versions means.
    pub const MAX: Self = Self(u64::MAX);
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let part = |shift: u32| (self.0 >> shift) & 0xFFFF;
        write!(f, "{}.{}.{}.{}", part(48), part(32), part(16), part(0))
    }
}

impl FromStr for Version {
    type Err = &'static str;

    /// One to four numbers; those that are missing are zero.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WRONG: &str = "not a version such as 10.0.0.1, four numbers up to 65535";
        let mut value = 0u64;
        for (place, part) in (0u32..).zip(text.split('.')) {
            if place == 4 || part.is_empty() || !part.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(WRONG);
            }
            let number: u16 = part.parse().map_err(|_| WRONG)?;
            value |= u64::from(number) << (48 - 16 * place);
        }
        Ok(Self(value))
    }
}
