//! What a Go program says of itself, as the texts that Windows shows.

use std::io::{Read, Seek, SeekFrom};

use authenticode::resource::version::VersionInfo;

/// A larger program is not searched for its build information: it would have to be in memory.
const MAX_PROGRAM: u64 = 1 << 30;

/// Fills in what the program's build information says and nobody has said otherwise.
pub(super) fn fill(info: &mut VersionInfo, source: &mut (impl Read + Seek)) -> std::io::Result<()> {
    source.seek(SeekFrom::Start(0))?;
    let mut bytes = Vec::new();
    source.by_ref().take(MAX_PROGRAM).read_to_end(&mut bytes)?;
    let Ok(binary) = gobinary::Binary::parse(&bytes) else { return Ok(()) };
    let Some(go) = binary.build_info() else { return Ok(()) };
    let main = go.main.as_ref();
    let path = main.map(|main| main.path.as_str()).or(go.package.as_deref()).unwrap_or_default();
    // A path may end with its major version (`…/payments/v2`).
    let major = |part: &&str| part.strip_prefix('v').is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()));
    let product = path.rsplit('/').find(|part| !major(part)).unwrap_or_default();
    let version = main.map(|main| main.version.as_str()).unwrap_or_default();
    for (name, text) in [("ProductName", product), ("FileDescription", product), ("ProductVersion", version)]
    {
        if !text.is_empty() && version_is_told(name, text) {
            default(info, name, text);
        }
    }
    if let Some(numbers) = numbers(version) {
        if info.product == [0; 4] {
            info.product = numbers;
        }
        if info.file == [0; 4] {
            info.file = numbers;
        }
    }
    Ok(())
}

/// `(devel)` is what the linker writes where there is none.
fn version_is_told(name: &str, text: &str) -> bool {
    name != "ProductVersion" || text != "(devel)"
}

/// A text that is not there yet.
pub(super) fn default(info: &mut VersionInfo, name: &str, text: &str) {
    if !info.strings.iter().any(|(known, _)| known == name) {
        info.strings.push((name.to_owned(), text.to_owned()));
    }
}

/// `v1.2.3-pre+build` as four numbers.
fn numbers(version: &str) -> Option<[u16; 4]> {
    let core = version.strip_prefix('v')?.split(['-', '+']).next()?;
    let mut out = [0; 4];
    let mut parts = core.split('.');
    for place in &mut out[..3] {
        *place = parts.next()?.parse().ok()?;
    }
    parts.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::numbers;

    #[test]
    fn versions_of_modules_are_three_numbers() {
        assert_eq!(numbers("v1.2.3"), Some([1, 2, 3, 0]));
        assert_eq!(numbers("v2.0.1-rc.1+dirty"), Some([2, 0, 1, 0]));
        for none in ["(devel)", "1.2.3", "v1.2", "v1.2.3.4", "v70000.0.0"] {
            assert_eq!(numbers(none), None, "{none}");
        }
    }
}
