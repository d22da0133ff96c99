//! Every process that descends from us, read from `/proc`.
//!
//! Complete because the supervisor is a child subreaper (`prctl(2)`): a process whose parent died becomes our child,
//! whatever sessions and groups it made for itself, so the chain of parents always leads here.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;

use nix::unistd::Pid;

/// One line of `/proc/PID/stat` that matters here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Stat {
    pub(super) parent: i32,
    /// It ended and waits to be reaped.
    pub(super) zombie: bool,
    /// In clock ticks since boot; with the pid, it names a process for good.
    pub(super) start: u64,
}

/// The living descendants of `root`.
pub(super) fn of(root: i32) -> io::Result<HashMap<i32, Stat>> {
    let mut all = HashMap::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else {
            continue;
        };
        if let Some(stat) = stat(Pid::from_raw(pid)) {
            all.insert(pid, stat);
        }
    }
    Ok(select(root, &all))
}

/// `None` when it is gone.
pub(super) fn stat(pid: Pid) -> Option<Stat> {
    // The name of a program is any bytes, not only UTF-8.
    parse(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn select(root: i32, all: &HashMap<i32, Stat>) -> HashMap<i32, Stat> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for (&pid, stat) in all {
        children.entry(stat.parent).or_default().push(pid);
    }
    let (mut found, mut seen, mut open) = (HashMap::new(), HashSet::new(), vec![root]);
    while let Some(parent) = open.pop() {
        for &pid in children.get(&parent).into_iter().flatten() {
            if seen.insert(pid) {
                open.push(pid);
                found.extend(all.get(&pid).filter(|stat| !stat.zombie).map(|stat| (pid, *stat)));
            }
        }
    }
    found
}

/// proc_pid_stat(5): the name, field 2, is in parentheses and may hold any character, parentheses included.
pub(super) fn parse(line: &[u8]) -> Option<Stat> {
    let end = line.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(&line[end + 1..]).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    Some(Stat {
        zombie: matches!(*fields.first()?, "Z" | "X" | "x"),
        parent: fields.get(1)?.parse().ok()?,
        start: fields.get(19)?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_program_is_called() {
        let tail = "S 17 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 9 9";
        for name in ["sh", "a) R 1 (b", "\u{fffd} x", ""] {
            let stat = parse(format!("42 ({name}) {tail}").as_bytes()).unwrap();
            assert_eq!(stat, Stat { parent: 17, zombie: false, start: 4711 });
        }
        for wrong in ["", "42 sh S 1", "42 (sh) S", "42 (sh) S x"] {
            assert_eq!(parse(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn descent_goes_through_zombies_and_ends_at_strangers() {
        let stat = |parent, zombie| Stat { parent, zombie, start: 0 };
        let all = HashMap::from([
            (1, stat(0, false)),
            (10, stat(1, false)),
            (11, stat(10, true)),
            (12, stat(11, false)),
            (20, stat(1, false)),
        ]);
        assert_eq!(select(10, &all).into_keys().collect::<Vec<_>>(), [12]);
    }
}
