//! Oracles for fuzzing, shared with the tests that replay them.

use crate::Address;

/// Where to listen: what is read is written, under its name, as the same address.
pub fn address(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let Ok(address) = text.parse::<Address>() else { return };
    let again = format!("{}={address}", address.name).parse::<Address>();
    assert!(again.is_ok_and(|again| again == address), "an address changes when it is written and read");
}

/// Lines of `/proc`, in which a service writes its own name and its own paths: never a panic.
pub fn process_lines(data: &[u8]) {
    #[cfg(target_os = "linux")]
    crate::sys::read_lines(data);
    #[cfg(not(target_os = "linux"))]
    let _ = data;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds() {
        for (name, target) in
            [("address", address as fn(&[u8])), ("process_lines", process_lines as fn(&[u8]))]
        {
            let dir = format!("{}/../../fuzz/corpus/supervise_{name}", env!("CARGO_MANIFEST_DIR"));
            for seed in std::fs::read_dir(dir).unwrap() {
                let bytes = std::fs::read(seed.unwrap().path()).unwrap();
                target(&bytes);
                for at in 0..bytes.len() {
                    let mut changed = bytes.clone();
                    changed[at] ^= 0x11;
                    target(&changed);
                    target(&bytes[..at]);
                }
            }
        }
    }
}
