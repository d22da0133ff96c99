//! Oracles for `fuzz/`: hostile bytes may be refused, and nothing else.

use crate::{Executable, maps, modules};

/// A table of mappings: what is accepted is in order.
pub fn mappings(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    if let Ok(found) = maps::parse(text) {
        assert!(found.windows(2).all(|pair| pair[0].end <= pair[1].start), "mappings are in order");
    }
}

/// A step table, asked at its own bytes.
pub fn steps(data: &[u8]) {
    let Some((&at, table)) = data.split_first() else { return };
    let _ = modules::step_value(table, u64::from(at));
}

/// An executable: symbols, segments and debugging data.
pub fn executable(data: &[u8]) {
    let Ok(executable) = Executable::parse(data) else { return };
    let _ = (executable.build_id(), executable.segments(), executable.symbols().count());
    let _ = executable.layouts(&["runtime.g"]);
}

#[cfg(test)]
mod tests {
    use fuzz_replay::Target;

    #[test]
    fn seeds_are_replayed() {
        let targets: &[Target] = &[
            ("goproc_mappings", super::mappings),
            ("goproc_steps", super::steps),
            ("goproc_executable", super::executable),
        ];
        fuzz_replay::corpus(targets);
        fuzz_replay::every_byte(targets);
    }
}
