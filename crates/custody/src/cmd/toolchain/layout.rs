//! What a Go release looks like on disk, and what it says about itself without being run.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// A folder that holds `bin/go` or `bin/go.exe`.
pub(super) struct Toolchain {
    /// The folder, absolute, with links resolved.
    pub(super) root: PathBuf,
    /// The go command.
    pub(super) go: PathBuf,
    /// `go1.27.3`, from the go command's build information, else from the release's `VERSION`.
    pub(super) version: Option<String>,
    /// `linux/amd64`, from the build information.
    pub(super) platform: Option<String>,
}

/// The go command's names, by the systems it runs on.
const COMMANDS: [&str; 2] = ["bin/go", "bin/go.exe"];

impl Toolchain {
    /// The toolchain in `dir`.
    pub(super) fn at(dir: &Path) -> Result<Self, Failure> {
        let go = COMMANDS.iter().map(|name| dir.join(name)).find(|go| go.is_file());
        let Some(go) = go else { return Err(missing(dir)) };
        let unreadable = |path: &Path| {
            let what = format!("cannot read {}", path.display());
            move |e: std::io::Error| Failure::environment(anyhow::Error::from(e).context(what))
        };
        let root = dir.canonicalize().map_err(unreadable(dir))?;
        let bytes = std::fs::read(&go).map_err(unreadable(&go))?;
        let (version, platform) = describe(&bytes);
        let version = version.or_else(|| version_file(&root));
        let go = root.join("bin").join(go.file_name().unwrap_or_default());
        Ok(Self { root, go, version, platform })
    }
}

fn missing(dir: &Path) -> Failure {
    let failure =
        Failure::input(anyhow::anyhow!("no Go toolchain in {}: no bin/go and no bin/go.exe", dir.display()));
    let below = dir.join("go");
    if COMMANDS.iter().any(|name| below.join(name).is_file()) {
        return failure.hint(format!("it is in {}", below.display()));
    }
    failure.hint("unpack one with `custody toolchain install ARCHIVE --to DIR`")
}

/// Version and platform, as the go command's own build information has them.
fn describe(go: &[u8]) -> (Option<String>, Option<String>) {
    let Ok(binary) = gobinary::Binary::parse(go) else { return (None, None) };
    let Some(info) = binary.build_info() else { return (None, None) };
    let platform = match (info.settings.get("GOOS"), info.settings.get("GOARCH")) {
        (Some(os), Some(arch)) => Some(format!("{os}/{arch}")),
        _ => None,
    };
    // Experiments stand behind the version, separated by a space.
    let version = info.version.split(' ').next().filter(|v| !v.is_empty()).map(str::to_owned);
    (version, platform)
}

/// The first word of `VERSION`, which every release has at its top.
fn version_file(root: &Path) -> Option<String> {
    let mut text = String::new();
    std::fs::File::open(root.join("VERSION")).ok()?.take(1024).read_to_string(&mut text).ok()?;
    text.split_whitespace().next().filter(|word| word.starts_with("go")).map(str::to_owned)
}

/// The folder inside an archive that is the toolchain: the one nearest to the top with a go command in its `bin`.
/// `Some("")` when the archive's top is it.
pub(super) fn root_in<'a>(files: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let roots = files.filter_map(|path| {
        let root = COMMANDS.iter().find_map(|name| path.strip_suffix(name))?;
        if root.is_empty() { Some("") } else { root.strip_suffix('/') }
    });
    roots.min_by_key(|root| (root.split('/').filter(|part| !part.is_empty()).count(), *root))
}

/// Programs: what must be executable, also from an archive that keeps no modes.
pub(super) fn is_program(path: &str) -> bool {
    let parts: Vec<&str> = path.split('/').collect();
    matches!(parts.as_slice(), ["bin", _] | ["pkg", "tool", _, _])
}

/// This machine in Go's words, `linux/amd64`.
pub(super) fn this_platform() -> String {
    let os = match std::env::consts::OS {
        "macos" => "darwin",
        os => os,
    };
    let arch = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "x86" => "386",
        "aarch64" => "arm64",
        "loongarch64" => "loong64",
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        "powerpc64" => "ppc64",
        arch => arch,
    };
    format!("{os}/{arch}")
}

/// The path with links resolved as far as it exists, and the rest as it stands.
pub(super) fn resolved(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let known = absolute.ancestors().find_map(|top| Some((top, top.canonicalize().ok()?)));
    match known {
        Some((top, real)) => match absolute.strip_prefix(top) {
            Ok(rest) if rest == Path::new("") => real,
            Ok(rest) => real.join(rest),
            Err(_) => absolute,
        },
        None => absolute,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_toolchain_nearest_to_the_top_is_found() {
        let of = |paths: &[&'static str]| root_in(paths.iter().copied());
        assert_eq!(of(&["go/bin/go", "go/VERSION"]), Some("go"));
        assert_eq!(of(&["bin/go"]), Some(""));
        assert_eq!(of(&["x/go/bin/go.exe", "a/b/c/bin/go"]), Some("x/go"));
        assert_eq!(of(&["go/bin/gofmt", "notbin/go", "go/robin/go"]), None);
        assert_eq!(of(&["go/src/xbin/go"]), None);
    }

    #[test]
    fn programs_are_told_from_data() {
        for path in ["bin/go", "bin/gofmt.exe", "pkg/tool/linux_amd64/compile"] {
            assert!(is_program(path), "{path}");
        }
        for path in ["src/bin/x", "pkg/tool/README", "pkg/include/textflag.h", "bin", "bin/a/b"] {
            assert!(!is_program(path), "{path}");
        }
    }
}
