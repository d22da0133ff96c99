//! Sigstore's own programs, for the tests of anchors and bundles: a Rekor log on files, Fulcio, and a judge over sigstore-go.

use std::process::Command;

use anyhow::Result;

use crate::rig;
use crate::step::step;

/// Modules with a command, and their versions: the newest whose dependencies the module proxy has.
const COMMANDS: &[&str] = &[
    "github.com/sigstore/rekor-tiles/v2/cmd/rekor-server/posix@v2.2.0",
    "github.com/sigstore/fulcio@v1.8.8",
];

/// Builds what is not there yet into `sigstore/bin` of the rig; some minutes, once.
pub(crate) fn build() -> Result<()> {
    let bin = rig::folder().join("sigstore/bin");
    std::fs::create_dir_all(&bin)?;
    let go = |arguments: &[&str]| {
        let mut go = Command::new(rig::go());
        rig::apply(&mut go);
        go.args(arguments).env("GOBIN", &bin).env("CGO_ENABLED", "0");
        go
    };
    for module in COMMANDS {
        let name = module.split('@').next().and_then(|path| path.rsplit('/').next()).unwrap_or(module);
        if !bin.join(name).is_file() {
            step(name, go(&["install", module]).env("GOFLAGS", "-mod=mod"))?;
        }
    }
    let judge = bin.join("sigstore-judge");
    if !judge.is_file() {
        let mut build = go(&["build", "-mod=readonly", "-o"]);
        build.arg(&judge).arg(".").current_dir(rig::repository().join("scripts/sigstore-judge"));
        step("sigstore-judge", &mut build)?;
    }
    Ok(())
}
