//! Runs the fuzz targets: libFuzzer over one instrumented program that holds them all (`fuzz/src/every.rs`).
//!
//! Needs the toolchain that builds `custody` and a C++ compiler (libFuzzer is C++), nothing else: neither nightly nor
//! `cargo fuzz`, which works as well. What libFuzzer finds on its way goes to `fuzz/corpus-live`, which git ignores:
//! `fuzz/corpus` holds the few seeds that the tests replay.

mod build;
mod outcome;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use build::Kind;
use outcome::Outcome;

/// One input that takes longer is a finding.
const SECONDS_PER_INPUT: u32 = 10;

/// What is done with a target.
enum Act {
    /// New inputs for so many seconds.
    Search(u32),
    /// One file, as a finding is repeated.
    Repeat(PathBuf),
}

/// `[TARGET [SECONDS | FILE]]`: one target or `all`, 60 seconds each; or one input. A finding does not keep the others
/// from running.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    let all = targets()?;
    let chosen = match rest.first().map(String::as_str) {
        Some(one) if one != "all" => {
            ensure!(all.iter().any(|t| t == one), "no fuzz target `{one}`; there are: {}", all.join(" "));
            vec![one.to_owned()]
        }
        _ => all,
    };
    let act = act(rest.get(1))?;
    let mut failed = 0;
    for kind in [Kind::Plain, Kind::Address] {
        let these: Vec<_> = chosen.iter().filter(|target| Kind::of(target) == kind).collect();
        if these.is_empty() {
            continue;
        }
        let program = build::every(kind, &these)?;
        for target in these {
            failed += usize::from(!one(&program, kind, target, &act)?);
        }
    }
    ensure!(failed == 0, "{failed} of {} fuzz targets have findings", chosen.len());
    Ok(())
}

fn act(given: Option<&String>) -> Result<Act> {
    let Some(given) = given else { return Ok(Act::Search(60)) };
    if Path::new(given).is_file() {
        return Ok(Act::Repeat(given.into()));
    }
    let seconds = given.parse().ok().filter(|seconds| *seconds > 0);
    let what = || format!("`{given}` is neither a number of seconds above 0 nor a file");
    seconds.map(Act::Search).with_context(what)
}

/// One target; whether it ended without a finding.
fn one(program: &Path, kind: Kind, target: &str, act: &Act) -> Result<bool> {
    let (live, seeds) = (format!("fuzz/corpus-live/{target}"), format!("fuzz/corpus/{target}"));
    let found = format!("fuzz/artifacts/{target}/");
    for folder in [&live, &found] {
        fs::create_dir_all(folder).with_context(|| format!("cannot make {folder}"))?;
    }
    let mut command = Command::new(program);
    command.env("CUSTODY_FUZZ_TARGET", target).env("RUST_BACKTRACE", "1");
    // What a test leaves behind at its end is no leak of a service.
    command.env("ASAN_OPTIONS", "detect_leaks=0");
    command.args([format!("-timeout={SECONDS_PER_INPUT}"), format!("-rss_limit_mb={}", kind.memory_mib())]);
    command.arg(format!("-artifact_prefix={found}"));
    let seconds = match act {
        Act::Repeat(file) => return Ok(command.arg(file).status()?.success()),
        Act::Search(seconds) => seconds,
    };
    // libFuzzer writes into the first folder and only reads the others.
    command.args([format!("-max_total_time={seconds}"), "-print_final_stats=1".to_owned(), live, seeds]);
    let log = format!("{found}log");
    let out = fs::File::create(&log).with_context(|| format!("cannot write {log}"))?;
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(out);
    let status = command.status().with_context(|| format!("cannot start {}", program.display()))?;
    let words = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
    let outcome = Outcome::read(&words);
    println!("{target:28} {outcome}{}", if status.success() { "" } else { "  FINDING" });
    if !status.success() {
        let input = outcome.input.as_deref().unwrap_or("(no input was kept)");
        eprintln!("{}", outcome.reason);
        eprintln!("xtask: all of it in {log}; again with: cargo xtask fuzz {target} {input}");
    }
    Ok(status.success())
}

fn targets() -> Result<Vec<String>> {
    let mut targets = Vec::new();
    for entry in fs::read_dir("fuzz/fuzz_targets")? {
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
        for of in oracles.iter().filter_map(|name| name.split_once('_')).map(|(of, _)| of) {
            let dependency = format!("\n{of} = {{ path = \"../crates/{of}\", optional = true }}\n");
            let both = manifest.contains(&dependency) && manifest.contains(&format!("\n    \"{of}\",\n"));
            assert!(
                both,
                "fuzz/Cargo.toml does not name {of} as an optional dependency and a default feature"
            );
        }
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
