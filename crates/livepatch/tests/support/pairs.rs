//! The two builds of the kinds of change, in every shape that a service is shipped in. A build is kept in the rig under the
//! digest of what it was made from, so it is made once.

use std::path::{Path, PathBuf};
use std::process::Command;

use gm::Dual;
use livepatch::{Patch, Sources};

/// How a service is linked and shipped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Shape {
    /// At fixed addresses, with symbols and paths.
    Plain,
    /// The same with `-trimpath`.
    Trimmed,
    /// Position independent.
    Pie,
    /// With C code, linked by the system's linker.
    Cgo,
    /// Position independent with C code: what distributions ship.
    PieCgo,
    /// `-trimpath -ldflags='-s -w'`; the symbols come from the build without these.
    Stripped,
    /// Position independent, stripped after the link.
    PieStripped,
}

impl Shape {
    pub(crate) const ALL: [Self; 7] =
        [Self::Plain, Self::Trimmed, Self::Pie, Self::Cgo, Self::PieCgo, Self::Stripped, Self::PieStripped];

    fn is_pie(self) -> bool {
        matches!(self, Self::Pie | Self::PieCgo | Self::PieStripped)
    }

    pub(crate) fn has_c(self) -> bool {
        matches!(self, Self::Cgo | Self::PieCgo)
    }

    fn flags(self, form: &str, base: u64) -> Vec<String> {
        let mut flags = Vec::new();
        if matches!(self, Self::Trimmed | Self::Stripped | Self::PieStripped) {
            flags.push("-trimpath".to_owned());
        }
        if self.is_pie() {
            flags.push("-buildmode=pie".to_owned());
        }
        match (form, self) {
            ("new", Self::Cgo) => flags.push(format!("-ldflags=-extldflags=-Wl,-Ttext-segment={base:#x}")),
            ("new", _) if !self.is_pie() => flags.push(format!("-ldflags=-T={:#x}", base + 0x1000)),
            ("stripped", Self::Stripped) => flags.push("-ldflags=-s -w".to_owned()),
            _ => {}
        }
        flags
    }
}

/// Where new builds of programs at fixed addresses are linked, so that they can stand beside old ones.
pub(crate) const BASE: u64 = 0x6e5a_0000;

/// A program: its files by name.
pub(crate) type Files = Vec<(String, String)>;

/// Both forms of one program.
pub(crate) struct Pair {
    pub(crate) shape: Shape,
    /// What the process runs.
    pub(crate) old: PathBuf,
    /// Where its symbols are, if it has none.
    pub(crate) symbols: Option<PathBuf>,
    pub(crate) new: PathBuf,
}

impl Pair {
    pub(crate) fn of(go: &Path, shape: Shape, old: &Files, new: &Files) -> Self {
        let symbols = build(go, shape, "old", BASE, old);
        let new = build(go, shape, "new", BASE, new);
        match shape {
            Shape::Stripped => {
                let stripped = build(go, shape, "stripped", BASE, old);
                Self { shape, old: stripped, symbols: Some(symbols), new }
            }
            Shape::PieStripped => {
                let stripped = symbols.with_extension("stripped");
                if !stripped.exists() {
                    let aside = aside(&stripped);
                    let done = Command::new("strip").arg("-o").arg(&aside).arg(&symbols).status();
                    assert!(done.expect("strip runs").success(), "strip {}", symbols.display());
                    std::fs::rename(aside, &stripped).expect("renamed");
                }
                Self { shape, old: stripped, symbols: Some(symbols), new }
            }
            _ => Self { shape, old: symbols, symbols: None, new },
        }
    }

    pub(crate) fn patch(&self) -> livepatch::Result<Patch> {
        let read = |path: &Path| std::fs::read(path).expect("built");
        let (old, new, symbols) = (read(&self.old), read(&self.new), self.symbols.as_deref().map(read));
        livepatch::build_from(&Sources { symbols: symbols.as_deref(), ..Sources::of(&old, &new) })
    }
}

/// The files of the kinds of change in one form.
pub(crate) fn kinds(shape: Shape, form: &str) -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds");
    let read =
        |path: PathBuf| std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let mut files = vec![("main.go".to_owned(), read(folder.join("main.go")))];
    let mut list = "package main\n\nvar kinds = [...]kind{\n".to_owned();
    for name in names() {
        files.push((format!("kind_{name}.go"), read(folder.join(&name).join(format!("{form}.go")))));
        list += &format!("\t{{name: \"{name}\", answer: {name}}},\n");
    }
    files.push(("kinds.go".to_owned(), list + "}\n"));
    if shape.has_c() {
        files.push(("c.go".to_owned(), read(folder.join("c.go"))));
    }
    files
}

/// The kinds of change, in the order of their names; `CUSTODY_KINDS` (names with commas) takes some of them.
pub(crate) fn names() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/kinds");
    let entries = std::fs::read_dir(folder).expect("the kinds").map(|e| e.expect("an entry"));
    let folders = entries.filter(|e| e.path().is_dir()).map(|e| e.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = folders.collect();
    if let Ok(wanted) = std::env::var("CUSTODY_KINDS") {
        names.retain(|name| wanted.split(',').any(|w| w == name));
    }
    names.sort();
    names
}

/// Builds a program, or finds it built.
pub(crate) fn build(go: &Path, shape: Shape, form: &str, base: u64, files: &Files) -> PathBuf {
    let version =
        Command::new(go).arg("version").env("GOTOOLCHAIN", "local").output().expect("go runs").stdout;
    let flags = shape.flags(form, base);
    let mut made_of = format!("{shape:?} {flags:?} {}", String::from_utf8_lossy(&version));
    for (name, text) in files {
        made_of += &format!("\0{name}\0{text}");
    }
    let digest = hex::encode(&Dual::digest(made_of.as_bytes()).sha256[..16]);
    let kept = kept().join(digest);
    if kept.exists() {
        return kept;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let source = folder.path().join("source");
    std::fs::create_dir_all(&source).expect("a folder");
    std::fs::write(source.join("go.mod"), "module example\n\ngo 1.21\n").expect("written");
    for (name, text) in files {
        std::fs::write(source.join(name), text).expect("written");
    }
    let aside = aside(&kept);
    let built = Command::new(go)
        .arg("build")
        .args(&flags)
        .arg("-o")
        .arg(&aside)
        .arg(".")
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "")
        .env("CGO_ENABLED", if shape.has_c() { "1" } else { "0" })
        .current_dir(&source)
        .status()
        .expect("go runs");
    assert!(built.success(), "{} builds {shape:?} {form}", go.display());
    std::fs::rename(aside, &kept).expect("renamed");
    kept
}

/// Two tests may build the same program at once; the one that is renamed last stays.
fn aside(to: &Path) -> PathBuf {
    to.with_extension(format!("{}-{:?}", std::process::id(), std::thread::current().id()))
}

fn kept() -> PathBuf {
    let rig = std::env::var_os("CUSTODY_RIG_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_TARGET_TMPDIR")), PathBuf::from);
    let folder = rig.join("livepatch-builds");
    std::fs::create_dir_all(&folder).expect("a folder");
    folder
}
