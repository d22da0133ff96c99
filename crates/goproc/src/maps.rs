//! The mappings of a process: `proc_pid_maps(5)`.

use crate::error::{Error, Result};

/// More lines than this are refused; the kernel's default bound is 65,530 mappings.
pub const MAX_MAPPINGS: usize = 1 << 20;

/// One line of `/proc/PID/maps`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// First address.
    pub start: u64,
    /// The address behind the last.
    pub end: u64,
    /// `r`, `w`, `x`, in this order.
    pub permissions: [bool; 3],
    /// Copy-on-write.
    pub private: bool,
    /// Where in its file it begins.
    pub offset: u64,
    /// 0 for memory without a file.
    pub inode: u64,
    /// A path, a name in brackets, or nothing.
    pub name: String,
}

impl Mapping {
    /// May its bytes be executed?
    #[must_use]
    pub fn is_executable(&self) -> bool {
        self.permissions[2]
    }

    /// May its bytes be written?
    #[must_use]
    pub fn is_writable(&self) -> bool {
        self.permissions[1]
    }
}

/// Reads the whole table. Lines must be in ascending order and not overlap, as the kernel writes them.
///
/// # Errors
/// [`Error::Damaged`] for a line that is none, [`Error::Limit`] for too many.
pub fn parse(text: &str) -> Result<Vec<Mapping>> {
    let mut found: Vec<Mapping> = Vec::new();
    for line in text.lines() {
        if found.len() >= MAX_MAPPINGS {
            return Err(Error::Limit { what: "the number of mappings", limit: MAX_MAPPINGS as u64 });
        }
        let mapping =
            one(line).ok_or_else(|| Error::damaged(format!("a mapping cannot be read: `{line}`")))?;
        if mapping.end < mapping.start || found.last().is_some_and(|last| last.end > mapping.start) {
            return Err(Error::damaged(format!("mappings overlap at {:#x}", mapping.start)));
        }
        found.push(mapping);
    }
    Ok(found)
}

fn one(line: &str) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let (word, tail) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = tail;
        (!word.is_empty()).then_some(word)
    };
    let (range, modes, offset, _device, inode) = (field()?, field()?, field()?, field()?, field()?);
    let (start, end) = range.split_once('-')?;
    let &[read, write, execute, share] = modes.as_bytes() else { return None };
    let flag = |byte, set| match byte {
        b'-' => Some(false),
        other if other == set => Some(true),
        _ => None,
    };
    Some(Mapping {
        start: u64::from_str_radix(start, 16).ok()?,
        end: u64::from_str_radix(end, 16).ok()?,
        permissions: [flag(read, b'r')?, flag(write, b'w')?, flag(execute, b'x')?],
        private: match share {
            b'p' => true,
            b's' => false,
            _ => return None,
        },
        offset: u64::from_str_radix(offset, 16).ok()?,
        inode: inode.parse().ok()?,
        name: rest.trim_start().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn own_mappings_are_read() {
        let text = std::fs::read_to_string("/proc/self/maps").expect("this process has mappings");
        let found = parse(&text).expect("the kernel writes lines that can be read");
        assert_eq!(found.len(), text.lines().count());
        let here = own_mappings_are_read as fn() as usize as u64;
        let mine = found.iter().find(|m| (m.start..m.end).contains(&here)).expect("this function is mapped");
        assert!(mine.is_executable() && !mine.is_writable() && mine.inode != 0);
    }

    #[test]
    fn names_with_spaces_stay_whole() {
        let found =
            parse("1000-2000 rw-p 00000000 00:00 0                          [anon:a b]\n").expect("a line");
        assert_eq!(found[0].name, "[anon:a b]");
    }

    #[test]
    fn what_is_no_line_is_refused() {
        for line in ["", "1-2", "1-2 rwxp 0 0:0", "g-2 r--p 0 0:0 0", "2-1 r--p 0 0:0 0", "1-2 rw-q 0 0:0 0"]
        {
            assert!(parse(&format!("{line}\n")).is_err(), "{line}");
        }
        assert!(parse("1-3 r--p 0 0:0 0\n2-4 r--p 0 0:0 0\n").is_err());
    }
}
