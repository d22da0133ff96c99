//! Where the things are that tests need and git does not hold: the Go toolchain, releases to seal, checkers.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the checkout.
pub(crate) fn repository() -> &'static Path {
    // xtask/ lies directly under the root.
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// The folder that `scripts/setup.sh` fills; the same rule as there.
pub(crate) fn folder() -> PathBuf {
    let named = |name| std::env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    named("CUSTODY_RIG_DIR")
        .or_else(|| named("XDG_CACHE_HOME").map(|cache| cache.join("custody/rig")))
        .unwrap_or_else(|| named("HOME").unwrap_or_default().join(".cache/custody/rig"))
}

/// The Go command: `CUSTODY_GO`, else the rig's, else the one on the path.
pub(crate) fn go() -> PathBuf {
    if let Some(given) = std::env::var_os("CUSTODY_GO") {
        return given.into();
    }
    let own = folder().join("go/bin/go");
    if own.is_file() { own } else { "go".into() }
}

/// Tells a child process where the rig is.
pub(crate) fn apply(command: &mut Command) {
    command.env("CUSTODY_RIG_DIR", folder()).env("CUSTODY_GO", go()).env("GOTOOLCHAIN", "local");
    // A home of the person who runs the tests must never be touched by them.
    command.env_remove("CUSTODY_HOME");
}

/// A checker that setup has built, else the one on the path.
pub(crate) fn tool(name: &str) -> PathBuf {
    let own = folder().join("tools/bin").join(name);
    if own.is_file() { own } else { name.into() }
}
