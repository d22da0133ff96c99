//! The demonstration: builds the product as a user would run it, then lets it show itself.

use anyhow::Result;

use crate::step::{cargo, step};

/// Builds in the release profile and runs `custody demo`; arguments are passed on.
pub(crate) fn run(rest: &[String]) -> Result<()> {
    step("build", &mut cargo(&["build", "--release", "--locked", "--package", "custody"]))?;
    let mut command =
        cargo(&["run", "--quiet", "--release", "--locked", "--package", "custody", "--", "demo"]);
    step("demo", command.args(rest))
}
