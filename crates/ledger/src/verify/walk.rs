//! Every file under `log/` must be one that the checkpoint implies.

use std::io;

use tlog::tile::{Level, MAX_LEVEL};
use tlog::{Sha256, Sm3, Tile};

use super::trees::RightEdge;
use super::{Damage, Report};
use crate::checkpoint::PATH;
use crate::edge::{Place, tile_path};
use crate::error::{IoContext as _, LedgerError};
use crate::storage::Storage;

/// Tiles beyond the checkpoint.
pub(super) type Beyond = Vec<(String, Tile)>;

/// Lists all files; answers those that a later checkpoint would imply.
pub(super) fn check(
    storage: &dyn Storage,
    edge: &RightEdge,
    report: &mut Report,
) -> Result<Beyond, LedgerError> {
    let mut beyond = Beyond::new();
    let mut dirs = vec!["log".to_owned()];
    while let Some(dir) = dirs.pop() {
        let names = match storage.list(&dir) {
            // The owner removes the directory of an outgrown partial tile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            names => names.attempt("list", &dir)?,
        };
        for name in names {
            let path = format!("{dir}/{}", name.name);
            if name.is_dir {
                if is_log_dir(&path) {
                    dirs.push(path);
                } else {
                    report.found(Damage::Unexpected { path });
                }
            } else if path != PATH {
                file(storage, edge, path, &mut beyond, report)?;
            }
        }
    }
    Ok(beyond)
}

/// The tree and the tile that a path belongs to.
fn tile_at(path: &str) -> Option<(&'static str, Tile)> {
    let (dir, rest) = match path.strip_prefix("log/sm3/") {
        Some(rest) => (Sm3::DIR, rest),
        None => (Sha256::DIR, path.strip_prefix("log/")?),
    };
    let tile = Tile::parse(rest).ok()?;
    let entries_in_sm3 = dir == Sm3::DIR && tile.level == Level::Entries;
    (!entries_in_sm3).then_some((dir, tile))
}

/// Whether a directory can hold tiles: it is one of the fixed ones, or part of a tile's number.
fn is_log_dir(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("log/") else { return false };
    let in_sm3 = rest == "sm3" || rest.starts_with("sm3/");
    let rest = if in_sm3 { rest.strip_prefix("sm3/").unwrap_or("tile") } else { rest };
    if rest == "tile" {
        return true;
    }
    let Some((level, number)) =
        rest.strip_prefix("tile/").map(|rest| rest.split_once('/').unwrap_or((rest, "")))
    else {
        return false;
    };
    let known = (level == "entries" && !in_sm3) || (0..=MAX_LEVEL).any(|n| n.to_string() == level);
    known && (number.is_empty() || is_number_dir(number))
}

/// A directory within a level: `x001`, `x001/x234`, or the partial tiles `x001/234.p`.
fn is_number_dir(number: &str) -> bool {
    let (digits, suffix) = match number.strip_suffix(".p") {
        Some(full) => (full.to_owned(), "1"),
        // Any name below it completes it to a tile's path.
        None => (format!("{number}/000"), ""),
    };
    let tile =
        if suffix.is_empty() { format!("tile/0/{digits}") } else { format!("tile/0/{digits}.p/{suffix}") };
    Tile::parse(&tile).is_ok()
}

fn file(
    storage: &dyn Storage,
    edge: &RightEdge,
    path: String,
    beyond: &mut Beyond,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let Some((dir, tile)) = tile_at(&path) else {
        report.found(Damage::Unexpected { path });
        return Ok(());
    };
    let width = Tile::width_in(tile.level, tile.index, edge.checkpoint.size());
    if tile.width == width {
        return Ok(()); // compared with the entries already
    }
    if tile.width > width {
        beyond.push((path, tile));
        return Ok(());
    }
    let whole = Tile { width, ..tile };
    let whole = if dir == Sm3::DIR { tile_path::<Sm3>(whole) } else { tile_path::<Sha256>(whole) };
    outgrown(storage, edge, path, tile, &whole, report)
}

/// A partial tile that a wider one has replaced: kept for a while, and it must be a prefix of the wider one.
fn outgrown(
    storage: &dyn Storage,
    edge: &RightEdge,
    path: String,
    tile: Tile,
    whole: &str,
    report: &mut Report,
) -> Result<(), LedgerError> {
    let found = match storage.read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()), // removed meanwhile
        found => found.attempt("read", &path)?,
    };
    let Some(whole) = edge.read(storage, whole)? else { return Ok(()) }; // reported as missing already
    let right_length = match tile.level {
        Level::Entries => tlog::bundle::parse(&found, tile.width).is_ok(),
        Level::Hashes(_) => found.len() == usize::from(tile.width) * 32,
    };
    if !right_length || !whole.starts_with(&found) {
        report
            .found(Damage::Tile { path, why: "it is not a prefix of the tile that replaced it".to_owned() });
    }
    Ok(())
}

/// Tiles beyond the checkpoint are allowed as far as there are durable entries for them.
pub(super) fn judge_beyond(beyond: &Beyond, durable: u64, report: &mut Report) {
    for (path, tile) in beyond {
        if Tile::width_in(tile.level, tile.index, durable) >= tile.width {
            report.unpublished_files += 1;
        } else {
            report.found(Damage::Unexpected { path: path.clone() });
        }
    }
}
