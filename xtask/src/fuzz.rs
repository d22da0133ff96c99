//! Runs the fuzz targets under a nightly toolchain and `cargo fuzz`, both of which must be installed.
//!
//! What libFuzzer finds on its way goes to `fuzz/corpus-live`, which git ignores: `fuzz/corpus` holds the few seeds
//! that the tests replay.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};

use crate::step::step;

/// Twice what the hungriest decoder may ask for (xz, 128 MiB), times the overhead of the address sanitizer.
const MEMORY_MIB: u32 = 2048;
/// One input that takes longer is a finding.
const SECONDS_PER_INPUT: u32 = 10;

/// `[TARGET [SECONDS]]`: one target or all of them, 60 seconds each. A finding does not keep the others from running.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    let seconds = rest.get(1).map_or("60", String::as_str);
    seconds.parse::<u32>().with_context(|| format!("`{seconds}` is not a number of seconds"))?;
    let all = targets()?;
    let chosen = match rest.first() {
        Some(one) => {
            ensure!(all.contains(one), "no fuzz target `{one}`; there are: {}", all.join(" "));
            vec![one.clone()]
        }
        None => all,
    };
    installed()?;
    let failed: Vec<_> = chosen.iter().filter_map(|t| one(t, seconds).err().map(|e| (t, e))).collect();
    for (target, error) in &failed {
        eprintln!("xtask: {target}: {error:#}");
    }
    ensure!(failed.is_empty(), "{} of {} fuzz targets failed", failed.len(), chosen.len());
    Ok(())
}

fn one(target: &str, seconds: &str) -> Result<()> {
    let (live, seeds) = (format!("fuzz/corpus-live/{target}"), format!("fuzz/corpus/{target}"));
    std::fs::create_dir_all(&live).with_context(|| format!("cannot make {live}"))?;
    let mut command = cargo_fuzz();
    // libFuzzer writes into the first folder and only reads the others.
    command.args(["run", "--fuzz-dir", "fuzz", target, &live, &seeds, "--"]);
    command.arg(format!("-max_total_time={seconds}"));
    command.args([format!("-rss_limit_mb={MEMORY_MIB}"), format!("-timeout={SECONDS_PER_INPUT}")]);
    step(&format!("fuzz {target}"), &mut command)
}

fn cargo_fuzz() -> Command {
    // Not `$CARGO`: only rustup's own `cargo` understands `+nightly`.
    let mut command = Command::new("cargo");
    command.args(["+nightly", "fuzz"]);
    command
}

fn installed() -> Result<()> {
    let found = cargo_fuzz().arg("--version").output();
    if !found.is_ok_and(|output| output.status.success()) {
        bail!("fuzzing needs `rustup toolchain install nightly` and `cargo install cargo-fuzz`");
    }
    Ok(())
}

fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in std::fs::read_dir("fuzz/fuzz_targets")? {
        let name = entry?.file_name();
        targets.extend(name.to_str().and_then(|name| name.strip_suffix(".rs")).map(str::to_owned));
    }
    ensure!(!targets.is_empty(), "no fuzz targets");
    targets.sort();
    Ok(targets)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use crate::rig::repository;
    use crate::soak::files_below;

    /// `<crate>_<function>` of every oracle.
    fn oracles() -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        for entry in fs::read_dir(repository().join("crates")).unwrap() {
            let folder = entry.unwrap().path();
            let Ok(source) = fs::read_to_string(folder.join("src/fuzzing.rs")) else { continue };
            let name = folder.file_name().unwrap().to_str().unwrap().to_owned();
            let oracle =
                |line: &str| line.strip_prefix("pub fn ")?.strip_suffix("(data: &[u8]) {").map(str::to_owned);
            let further = |line: &str| -> Vec<String> {
                let list = line.strip_prefix("pub use ").and_then(|rest| rest.strip_suffix("};"));
                let names = list.and_then(|list| list.split_once('{')).map_or("", |(_, names)| names);
                names.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
            };
            let oracles = source.lines().filter_map(oracle).chain(source.lines().flat_map(further));
            found.extend(oracles.map(|oracle| format!("{name}_{oracle}")));
        }
        found
    }

    /// The text of a crate's tests and sources.
    fn sources(of: &str) -> String {
        let folder = repository().join("crates").join(of);
        let mut text = String::new();
        for source in
            ["src", "tests"].iter().flat_map(|part| files_below(&folder.join(part)).unwrap_or_default())
        {
            text.extend(fs::read_to_string(source));
        }
        text
    }

    #[test]
    fn every_oracle_has_a_target_seeds_and_a_replay() {
        let oracles = oracles();
        assert!(oracles.len() >= 20, "{oracles:?}");
        let manifest = fs::read_to_string(repository().join("fuzz/Cargo.toml")).unwrap();
        let bins: BTreeSet<String> = manifest
            .lines()
            .filter_map(|line| {
                line.strip_prefix("path = \"fuzz_targets/")?.strip_suffix(".rs\"").map(str::to_owned)
            })
            .collect();
        assert_eq!(bins, oracles);
        for name in &oracles {
            let (of, oracle) = name.split_once('_').unwrap();
            assert!(
                sources(of).contains(&format!("\"{name}\"")),
                "no test of {of} replays the seeds of {name}"
            );
            let glue = fs::read_to_string(repository().join(format!("fuzz/fuzz_targets/{name}.rs"))).unwrap();
            assert!(glue.contains(&format!("{of}::fuzzing::{oracle}(data)")), "{name}");
            let seeds = fs::read_dir(repository().join("fuzz/corpus").join(name)).unwrap();
            let sizes: Vec<u64> = seeds.map(|seed| seed.unwrap().metadata().unwrap().len()).collect();
            assert!(!sizes.is_empty() && sizes.iter().sum::<u64>() < 64 << 10, "{name}: {sizes:?}");
        }
    }
}
