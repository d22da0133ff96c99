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
    use fuzz_replay::Target;

    #[test]
    fn seeds() {
        let targets: &[Target] =
            &[("supervise_address", super::address), ("supervise_process_lines", super::process_lines)];
        fuzz_replay::corpus(targets);
        fuzz_replay::every_byte(targets);
    }
}
