//! The ids that stood in the ledger before it was opened, without reading all of the newest entries first: a command that
//! records a few events asks the index for each of theirs; who records more reads the entries once.
//!
//! The index names candidates, and each is read and compared. What is not indexed yet is read at once. Where the index
//! cannot answer, the entries are read as if there were none.

use std::ops::Range;

use event::{EventId, Timestamp, stored_id, validate};
use ledger::LedgerError;

use crate::AuditError;
use crate::index::{Candidates, SEGMENT, View as _, Wanted};
use crate::owner::Owner;
use crate::window::{Place, WINDOW, Window};

/// So many ids are asked for before the entries are read: one costs about as much as reading a thousand entries.
const MOST_ASKED: usize = 128;
/// The newest entries are always read: among them the last opening is looked for.
const ALWAYS_READ: u64 = 4096;
/// Entries that an index must save to be asked.
const WORTH: u64 = 32_768;

/// How the stored form of an opening begins.
const OPENED_LEAF: &[u8] = b"{\"act\":\"LEDGER.OPENED\",";

/// Entries whose ids the window does not know yet.
#[derive(Default)]
pub(crate) struct Behind {
    range: Range<u64>,
    asked: usize,
}

impl Owner {
    /// The window as far as it is read at once, what is left, and when the last `LEDGER.OPENED` in it was. An entry that
    /// is no event is `audit verify`'s to report.
    pub(crate) fn begin_window(&self) -> Result<(Window, Behind, Option<Timestamp>), AuditError> {
        let end = self.log.durable_size();
        let start = end.saturating_sub(WINDOW as u64).max(self.log.minimum());
        let mut from = start;
        if end - start > WORTH {
            self.index.load(&self.log);
            from = self.index.end().min(end.saturating_sub(ALWAYS_READ)).max(start);
        }
        if from - start < WORTH {
            from = start;
        }
        let mut window = Window::new(WINDOW);
        let opened = self.read_ids(from..end, &mut window)?;
        Ok((window, Behind { range: start..from, asked: 0 }, opened))
    }

    /// Puts those of the ids into the window that stand behind it in the ledger.
    pub(crate) fn recall(
        &self,
        window: &mut Window,
        behind: &mut Behind,
        ids: &[EventId],
    ) -> Result<(), AuditError> {
        // What was pruned since it was opened is not there to be repeated.
        behind.range.start = behind.range.start.max(self.log.minimum());
        if behind.range.is_empty() {
            return Ok(());
        }
        behind.asked = behind.asked.saturating_add(ids.len());
        if behind.asked <= MOST_ASKED && self.ask(window, &behind.range, ids)? {
            return Ok(());
        }
        self.read_ids(std::mem::take(&mut behind.range), window)?;
        Ok(())
    }

    /// Asks the index; whether it could say.
    fn ask(&self, window: &mut Window, range: &Range<u64>, ids: &[EventId]) -> Result<bool, AuditError> {
        for id in ids {
            let wanted = Wanted::of_id(*id);
            for segment in range.start / SEGMENT..=(range.end - 1) / SEGMENT {
                let first = segment * SEGMENT;
                let (Candidates::Some(offsets), count) = self.index.candidates(segment, &wanted) else {
                    return Ok(false);
                };
                if first + u64::from(count) < range.end.min(first + SEGMENT) {
                    return Ok(false);
                }
                let entries = offsets.into_iter().map(|offset| first + u64::from(offset));
                for index in entries.filter(|index| range.contains(index)) {
                    let stored = match self.log.read(index) {
                        Err(LedgerError::Pruned { .. }) => continue,
                        stored => stored?,
                    };
                    if stored_id(&stored) == Some(*id) {
                        window.insert(*id, Place { index, batch: 0 });
                    }
                }
            }
        }
        Ok(true)
    }

    fn read_ids(&self, range: Range<u64>, window: &mut Window) -> Result<Option<Timestamp>, AuditError> {
        let mut opened = None;
        self.log.for_each(range, &mut |index, entry| {
            if let Some(id) = stored_id(entry) {
                window.insert(id, Place { index, batch: 0 });
            }
            if entry.starts_with(OPENED_LEAF) {
                opened = validate(entry).ok().map(|event| event.ts).or(opened);
            }
            true
        })?;
        Ok(opened)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::session::become_owner;

    fn id(n: u64) -> EventId {
        let [.., a, b, c, d] = n.to_be_bytes();
        EventId::v7(1, [9, 9, 9, 9, 9, 9, a, b, c, d])
    }

    fn event(n: u64) -> Vec<u8> {
        let id = id(n);
        format!(
            r#"{{"id":"{id}","ts":"2026-11-20T08:30:45Z","severity":"INFO","sub":{{"user":"1"}},"act":"DATA.READ"}}"#
        )
        .into_bytes()
    }

    /// A home that is opened again: what was recorded before is known, whether the index is asked for it or the entries
    /// are read, with the index whole, torn, or gone.
    #[test]
    fn what_was_recorded_before_the_opening_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        crate::create_home(&home, "test").unwrap();
        const EVENTS: u64 = 70_000; // more than a segment of the index
        let mut first = Vec::new();
        {
            let session = crate::own(&home).unwrap();
            for batch in 0..EVENTS / 1000 {
                let offered = (0..1000).map(|n| event(batch * 1000 + n)).collect();
                let verdicts = session.offer(offered).unwrap();
                first.extend(verdicts.into_iter().map(|verdict| verdict.unwrap().index));
            }
            let owned = session.owned().unwrap();
            owned.owner.index.load(&owned.owner.log);
            while owned.owner.index.end() < owned.owner.log.durable_size() {
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        let ask = |ids: &[u64]| {
            let owned = become_owner(&home).unwrap();
            let (mut window, mut behind, _) = owned.owner.begin_window().unwrap();
            let left = behind.range.clone();
            let ids: Vec<EventId> = ids.iter().map(|n| id(*n)).collect();
            owned.owner.recall(&mut window, &mut behind, &ids).unwrap();
            let place = Place { index: u64::MAX, batch: 7 };
            let known: Vec<_> =
                ids.iter().map(|id| window.insert(*id, place).map(|place| place.index)).collect();
            (known, !left.is_empty(), behind.range == left)
        };
        let some = [0, 1, 65_534, 65_535, 65_536, 69_999, EVENTS, EVENTS + 1];
        let expected: Vec<_> =
            some.iter().map(|n| usize::try_from(*n).ok().and_then(|n| first.get(n)).copied()).collect();
        assert_eq!(ask(&some), (expected.clone(), true, true), "from the index");

        let many: Vec<u64> = (0..200).collect();
        let (known, indexed, left) = ask(&many);
        assert!(indexed && !left, "many are read");
        assert_eq!(known, first[..200].iter().map(|index| Some(*index)).collect::<Vec<_>>());

        let files: Vec<_> =
            std::fs::read_dir(home.join("index")).unwrap().map(|f| f.unwrap().path()).collect();
        let segment = files.iter().find(|path| path.ends_with("0000000000000000.idx")).unwrap();
        let mut bytes = std::fs::read(segment).unwrap();
        let end = bytes.len();
        bytes[end / 4..].iter_mut().for_each(|byte| *byte ^= 1);
        std::fs::write(segment, bytes).unwrap();
        assert_eq!(ask(&some).0, expected, "with damaged pages");

        std::fs::remove_dir_all(home.join("index")).unwrap();
        assert_eq!(ask(&some), (expected, false, true), "without an index all is read");
    }
}
