//! Which layout the files of a home have, and the way from an earlier one.
//!
//! `log/format` is written before the first checkpoint of a log, or last when a log in an earlier layout was rewritten.

use std::io;
use std::sync::Arc;

use crate::error::{IoContext as _, LedgerError};
use crate::integrate::write_aside;
use crate::options::Options;
use crate::recover::make_dirs;
use crate::storage::{Site, Storage};

mod first;

/// Path of the file, below the home.
pub(crate) const PATH: &str = "log/format";
pub(crate) const NEXT: &str = "log/format.next";
/// What it says of the layout that this version writes.
pub(crate) const CURRENT: &str = "custody-log 2\n";

/// Makes the folders and the format file of a new log; rewrites one in an earlier layout. Answers whether it did that.
pub(crate) fn prepare(shared: &Arc<dyn Storage>, options: &Options) -> Result<bool, LedgerError> {
    let storage = &**shared;
    match storage.read(PATH) {
        Ok(found) if found == CURRENT.as_bytes() => {
            make_dirs(storage)?;
            first::remove(storage)?; // an owner may have died between the rewriting and this
            return Ok(false);
        }
        Ok(found) => {
            let found = String::from_utf8_lossy(&found).trim_end().chars().take(80).collect();
            return Err(LedgerError::Format { path: PATH.to_owned(), found });
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(LedgerError::io("read", PATH, error)),
    }
    make_dirs(storage)?;
    let migrated = first::rewrite(shared, options)?;
    write_aside(storage, NEXT, CURRENT.as_bytes(), Site::Home).attempt("write", NEXT)?;
    storage.rename(NEXT, PATH).attempt("write", PATH)?;
    storage.sync_dir(Site::Home, "log").attempt("sync the directory", "log")?;
    first::remove(storage)?;
    Ok(migrated)
}
