//! Where the source of a function is, for whoever reviews a patch. Nothing is decided by it.

use std::collections::HashMap;

use gobinary::{Binary, Detail, Function};

use crate::patch::Source;

/// The lines of every function, by its entry. A table that cannot be read has none: the review lacks them, the patch
/// does not need them.
#[derive(Debug, Default)]
pub(super) struct Lines(HashMap<u64, Source>);

impl Lines {
    pub(super) fn of(build: &[u8], wanted: &[u64]) -> Self {
        Self::read(build, wanted).unwrap_or_default()
    }

    fn read(build: &[u8], wanted: &[u64]) -> Result<Self, gobinary::Error> {
        let binary = Binary::parse(build)?;
        let functions = binary.functions()?;
        let mut details = binary.details()?;
        let mut found = HashMap::new();
        for function in functions.iter().filter(|f| wanted.contains(&f.entry)) {
            found.extend(source(function, &details.of(function)?).map(|source| (function.entry, source)));
        }
        Ok(Self(found))
    }

    pub(super) fn at(&self, entry: u64) -> Option<Source> {
        self.0.get(&entry).cloned()
    }
}

fn source(function: &Function<'_>, detail: &Detail<'_>) -> Option<Source> {
    let (first, last) = detail.lines?;
    let first = detail.start_line.filter(|start| *start != 0 && *start <= first).unwrap_or(first);
    (!function.file.is_empty()).then(|| Source { file: function.file.clone().into_owned(), first, last })
}
