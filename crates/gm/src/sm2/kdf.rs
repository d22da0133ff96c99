//! The key derivation function of GB/T 32918.4 §5.4.3: SM3(Z || counter) for counters from one.

use zeroize::{Zeroize as _, Zeroizing};

use super::error::Sm2Error;
use crate::sm3;

/// Digests made at once: one for each lane of the widest implementation.
const LANES: usize = 16;

/// Lengths that [`apply`] can cover: not zero, for no key would be left, and within the counter.
pub(super) fn check_length(length: usize) -> Result<(), Sm2Error> {
    let within = u64::try_from(length).is_ok_and(|length| length < 32 * u64::from(u32::MAX));
    if length > 0 && within { Ok(()) } else { Err(Sm2Error::Length) }
}

/// XORs the derived key onto `data`; false when the key is all zeroes, which the standard refuses.
pub(super) fn apply(z: &[u8], data: &mut [u8]) -> bool {
    let mut any = 0;
    let mut keys = Zeroizing::new([[0u8; 32]; LANES]);
    for (chunk, first) in data.chunks_mut(32 * LANES).zip((1u32..).step_by(LANES)) {
        let mut counters = [[0u8; 4]; LANES];
        for (counter, number) in counters.iter_mut().zip(first..) {
            *counter = number.to_be_bytes();
        }
        let used = chunk.len().div_ceil(32);
        sm3::digest_prefixed(z, &counters[..used], &mut keys[..used]);
        for (byte, key) in chunk.iter_mut().zip(keys.as_flattened()) {
            *byte ^= key;
            any |= key;
        }
    }
    any != 0
}

/// The derived key itself.
pub(super) fn derive(z: &[u8], key: &mut [u8]) {
    key.zeroize();
    apply(z, key);
}
