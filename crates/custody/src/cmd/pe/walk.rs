//! The files that arguments name: themselves, or every file below a folder, in the order of their names.

use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// Deeper than any tree of programs.
const MAX_DEPTH: usize = 64;
/// As many as a seal may have.
const MAX_FILES: usize = 1_000_000;

/// A file, and what it is called in a list: its path from the folder that was named, or its own name.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

/// Every file. A link to a file is that file; a link to a folder is refused, because it could lead anywhere.
pub(super) fn files(given: &[PathBuf]) -> Result<Vec<Named>, Failure> {
    let mut out = Vec::new();
    for path in given {
        if path.is_dir() {
            below(path, "", 0, &mut out)?;
        } else {
            let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned();
            out.push(Named { name, path: path.clone() });
        }
    }
    Ok(out)
}

fn below(folder: &Path, prefix: &str, depth: usize, out: &mut Vec<Named>) -> Result<(), Failure> {
    let failed = |e: std::io::Error| {
        Failure::environment(anyhow::Error::from(e).context(format!("cannot read `{}`", folder.display())))
    };
    if depth > MAX_DEPTH || out.len() > MAX_FILES {
        let what =
            format!("`{}` is deeper than 64 folders, or holds more than a million files", folder.display());
        return Err(Failure::input(anyhow::anyhow!(what)));
    }
    let mut entries: Vec<_> =
        std::fs::read_dir(folder).map_err(failed)?.collect::<Result<_, _>>().map_err(failed)?;
    entries.sort_by_key(std::fs::DirEntry::file_name);
    for entry in entries {
        let path = entry.path();
        let file = entry.file_name();
        let name = format!("{prefix}{}", file.to_string_lossy());
        let kind = entry.file_type().map_err(failed)?;
        if kind.is_dir() {
            below(&path, &format!("{name}/"), depth + 1, out)?;
        } else if kind.is_symlink() && path.is_dir() {
            let what = format!("`{}` is a link to a folder", path.display());
            return Err(Failure::input(anyhow::anyhow!(what)).hint("name the folder itself"));
        } else {
            out.push(Named { name, path });
        }
    }
    Ok(())
}

/// Opens a file of the list.
pub(super) fn open(path: &Path) -> Result<std::fs::File, Failure> {
    crate::given::open(path).map_err(|e| {
        let misnamed = crate::given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read `{}`", path.display()));
        if misnamed { Failure::input(error) } else { Failure::environment(error) }
    })
}
