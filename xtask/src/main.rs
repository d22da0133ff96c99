//! The one entry point: what CI and a laptop run. `make` only forwards to it.
#![forbid(unsafe_code)]

mod demo;
mod docs;
mod floors;
mod fuzz;
mod lint;
mod rig;
mod sigstore;
mod soak;
mod step;
mod test;

use anyhow::{Result, bail};

const HELP: &str = "\
cargo xtask COMMAND

  demo        build `custody` and run the demonstration on a real Go service
  test        lint, every test, the Go example, one pass of the demonstration
  lint        formatting, clippy, floors, licences, unused crates, generated documents
  docs        write the command reference, man pages and completions (--check: compare only)
  soak [P…]   the long versions of the crash, kill and timing tests, of all packages or those named
  peers       tests against other people's programs, with everything they need fetched
  rig         fetch what the tests against other people's programs need
  bench       side-by-side benchmarks, as ratios (arguments are passed on)
  fuzz [T [S]] run fuzz target T (all of them without) for S seconds each (default 60), or on file S
";

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let command = arguments.next().unwrap_or_default();
    let rest: Vec<String> = arguments.collect();
    std::env::set_current_dir(rig::repository())?;
    match command.as_str() {
        "demo" => demo::run(&rest),
        "test" => test::run(),
        "lint" => lint::run(),
        "docs" => docs::run(rest.iter().any(|a| a == "--check")),
        "soak" => soak::run(&rest),
        "peers" => test::peers(),
        "rig" => test::rig(),
        "bench" => test::bench(&rest),
        "fuzz" => fuzz::run(&rest),
        "" | "help" | "--help" | "-h" => {
            print!("{HELP}");
            Ok(())
        }
        other => bail!("no command `{other}`; see `cargo xtask help`"),
    }
}
