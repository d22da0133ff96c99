//! A marked block in a shell's profile: put there, replaced, and taken out again; what stands around it stays byte
//! for byte as it was.

use std::io;
use std::path::{Path, PathBuf};

use crate::aside;

const BEGIN: &str = "# >>> custody toolchain >>>\n";
const END: &str = "# <<< custody toolchain <<<\n";

/// What became of a profile.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Edit {
    /// The block is there now.
    Written,
    /// It was there already, and the same; or there was none to take out.
    Unchanged,
    /// The block is gone.
    Removed,
}

/// Puts `lines` into the profile at `path`, or takes the block out when there are none. With `dry_run`, says only
/// what would be done.
pub(super) fn edit(path: &Path, lines: Option<&str>, dry_run: bool) -> io::Result<Edit> {
    // Behind a link the file itself is changed: dotfiles are often kept elsewhere.
    let path: PathBuf = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let old = match std::fs::read_to_string(&path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => None,
        read => Some(read?),
    };
    let new = with_block(old.as_deref().unwrap_or_default(), lines)?;
    if old.as_deref().unwrap_or_default() == new {
        return Ok(Edit::Unchanged);
    }
    if !dry_run {
        let permissions =
            old.is_some().then(|| std::fs::metadata(&path)).transpose()?.map(|m| m.permissions());
        aside::write(&path, new.as_bytes())?;
        if let Some(permissions) = permissions {
            std::fs::set_permissions(&path, permissions)?;
        }
    }
    Ok(if lines.is_some() { Edit::Written } else { Edit::Removed })
}

/// The text with the block replaced, appended or removed.
fn with_block(text: &str, lines: Option<&str>) -> io::Result<String> {
    let block = lines.map(|lines| format!("{BEGIN}{lines}{END}")).unwrap_or_default();
    match span(text)? {
        Some((start, end)) => Ok(format!("{}{block}{}", &text[..start], &text[end..])),
        None if block.is_empty() || text.is_empty() || text.ends_with('\n') => Ok(format!("{text}{block}")),
        None => Ok(format!("{text}\n{block}")),
    }
}

/// Where the block stands. Half a block is somebody's edit, and not ours to repair.
fn span(text: &str) -> io::Result<Option<(usize, usize)>> {
    let begins: Vec<usize> = positions(text, BEGIN);
    let ends: Vec<usize> = positions(text, END);
    match (begins.as_slice(), ends.as_slice()) {
        ([], []) => Ok(None),
        ([begin], [end]) if begin < end => Ok(Some((*begin, end + END.len()))),
        _ => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "the marks of custody's block in it do not match"))
        }
    }
}

/// Where a mark stands as a whole line.
fn positions(text: &str, mark: &str) -> Vec<usize> {
    text.match_indices(mark).map(|(at, _)| at).filter(|at| *at == 0 || text[..*at].ends_with('\n')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_comes_changes_and_goes_without_a_trace() {
        for around in ["", "export A=1\n", "# x\n\nif true; then :; fi\n"] {
            let once = with_block(around, Some("one\n")).unwrap();
            assert!(once.starts_with(around) && once.contains("one\n"));
            assert_eq!(with_block(&once, Some("one\n")).unwrap(), once);
            let behind = once.clone() + "export B=2\n";
            let changed = with_block(&behind, Some("two\n")).unwrap();
            assert!(
                changed.contains("two\n") && !changed.contains("one\n") && changed.ends_with("export B=2\n")
            );
            assert_eq!(with_block(&changed, None).unwrap(), format!("{around}export B=2\n"));
            assert_eq!(with_block(&once, None).unwrap(), around);
        }
    }

    #[test]
    fn a_last_line_without_end_is_not_glued_to_the_block() {
        let text = with_block("export A=1", Some("x\n")).unwrap();
        assert_eq!(text, format!("export A=1\n{BEGIN}x\n{END}"));
    }

    #[test]
    fn marks_that_do_not_match_are_left_alone() {
        let both = format!("{BEGIN}x\n{END}");
        for text in [BEGIN.to_owned(), END.to_owned(), format!("{END}{BEGIN}"), format!("{both}{both}")] {
            assert!(with_block(&text, Some("y\n")).is_err(), "{text:?}");
            assert!(with_block(&text, None).is_err(), "{text:?}");
        }
        // Quoted inside another line, a mark is just text.
        let quoted = format!("echo '{BEGIN}");
        assert!(with_block(&quoted, None).is_ok());
    }
}
