//! Is a build with symbols the twin of a stripped one? What is loaded must be the same, byte for byte, but for what says
//! how the build was made: the build ids, and the settings that the go command writes down.

use goproc::elf::Executable;

use crate::error::{Error, Result};

/// Notes and settings of the build. The settings stand a second time in a string constant, `runtime.modinfo.str`.
const SECTIONS: [&str; 3] = [".note.go.buildid", ".note.gnu.build-id", ".go.buildinfo"];
const SYMBOLS: [&str; 2] = ["go:buildid", "runtime.modinfo.str"];

/// Refuses a twin that is none.
pub(crate) fn check(stripped: &[u8], twin: &[u8]) -> Result<()> {
    let unreadable = |which| move |source| Error::Unreadable { which, source };
    let (running, symbols) = (
        Executable::parse(stripped).map_err(unreadable("old"))?,
        Executable::parse(twin).map_err(unreadable("twin"))?,
    );
    let differs = |what: String| Error::NotTwin { what };
    let (a, b) =
        (running.segments().map_err(unreadable("old"))?, symbols.segments().map_err(unreadable("twin"))?);
    let mut told: Vec<(u64, u64)> = SECTIONS.iter().filter_map(|name| symbols.section_range(name)).collect();
    told.extend(
        symbols.symbols().filter(|s| SYMBOLS.contains(&s.name)).map(|s| (s.address, s.address + s.size)),
    );
    // The headers of the file are loaded with its first segment, and say where sections are that are not.
    let first = symbols.first_section();
    if a.len() != b.len() {
        return Err(differs("it has other segments".to_owned()));
    }
    for (a, b) in a.iter().zip(&b) {
        if (a.address, a.size, a.bytes.len()) != (b.address, b.size, b.bytes.len()) {
            return Err(differs(format!("its segment at {:#x} is another", b.address)));
        }
        let own = |at: u64| at < first || told.iter().any(|(start, end)| (*start..*end).contains(&at));
        let different = a.bytes.iter().zip(b.bytes).enumerate().filter(|(_, (a, b))| a != b);
        let mut places = different.map(|(at, _)| a.address + at as u64);
        if let Some(at) = places.find(|at| !own(*at)) {
            return Err(differs(format!("what is loaded at {at:#x} differs")));
        }
    }
    Ok(())
}
