//! Side-by-side benchmarks against peers, printed as ratios.
//!
//! Each entry runs ours and the peer's in turn (A B A B …) in one call, because the speed of a machine drifts, and
//! quotes medians. `--sample` runs everything once, small, to show that the harness still works; its figures mean
//! nothing. How to repeat the published table: docs/benchmarks.md.

mod append;
mod evidence;
mod foreign;
mod gm;
mod inspect;
mod measure;
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod patch;
mod pe;
#[cfg(target_os = "linux")]
mod probe;
#[cfg(target_os = "linux")]
mod redact;
#[cfg(target_os = "linux")]
mod ring;
mod seal;
mod sm2;
#[cfg(target_os = "linux")]
mod verify;

use anyhow::Result;

use measure::Row;

/// What the flags ask for.
#[derive(Clone, Copy)]
struct Plan {
    /// Counted rounds of each side.
    rounds: usize,
    /// One small pass, for tests.
    sample: bool,
}

/// Measures and gives the rows of one subject.
type Entry = fn(Plan) -> Result<Vec<Row>>;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [flag, folder] = arguments.as_slice()
        && flag == evidence::READ_ALL
    {
        return evidence::read_all(folder.as_ref());
    }
    let sample = arguments.iter().any(|a| a == "--sample");
    let json = arguments.iter().any(|a| a == "--json");
    let names: Vec<&String> = arguments.iter().filter(|a| !a.starts_with("--")).collect();
    let plan = Plan { rounds: if sample { 1 } else { 5 }, sample };
    let entries: &[(&str, Entry)] = &[
        ("seal", seal::run),
        ("evidence", evidence::run),
        ("gm", gm::run),
        ("sm2", sm2::run),
        ("append", append::run),
        ("inspect", inspect::run),
        ("pe", pe::run),
        #[cfg(all(target_os = "linux", target_arch = "x86_64"))]
        ("patch", patch::run),
        #[cfg(target_os = "linux")]
        ("probe", probe::run),
        #[cfg(target_os = "linux")]
        ("redact", redact::run),
        #[cfg(target_os = "linux")]
        ("verify", verify::run),
        #[cfg(target_os = "linux")]
        ("ring", ring::ring),
        #[cfg(target_os = "linux")]
        ("sdk", ring::sdk),
    ];
    if !json {
        println!("{}", Row::heading());
    }
    for &(name, run) in entries {
        if !names.is_empty() && !names.iter().any(|n| *n == name) {
            continue;
        }
        for row in run(plan)? {
            println!("{}", if json { serde_json::to_string(&row)? } else { row.markdown() });
        }
    }
    Ok(())
}
