//! Lines of `go.sum` and of the database's records: `module version[/go.mod] h1:hash` (golang.org/ref/mod#go-sum-files).

use super::ModulesError;

/// A longer file is no go.sum: Kubernetes' has 300 KiB.
const MAX_SIZE: usize = 16 << 20;
/// Longest module path or version that is taken.
const MAX_NAME: usize = 1024;

/// What a sum is of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum SumOf {
    /// All files of the module.
    Module,
    /// Its `go.mod` alone.
    GoMod,
}

/// One line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Sum {
    /// The module path.
    pub module: String,
    /// Its version.
    pub version: String,
    /// What is hashed.
    pub of: SumOf,
    /// `h1:` and the base64 of SHA-256.
    pub hash: String,
}

/// The lines of a file. Lines that say the same are one; hashes that this program does not know are left out, as `go`
/// does.
///
/// # Errors
/// [`ModulesError::GoSum`] with the line.
pub fn parse(text: &str) -> Result<Vec<Sum>, ModulesError> {
    if text.len() > MAX_SIZE {
        return Err(ModulesError::GoSum { line: 1, why: "the file is longer than 16 MiB" });
    }
    let mut sums = std::collections::BTreeMap::new();
    for (at, line) in text.lines().enumerate() {
        let refused = |why| ModulesError::GoSum { line: at + 1, why };
        let Some(sum) = parse_line(line).map_err(refused)? else { continue };
        let key = (sum.module.clone(), sum.version.clone(), sum.of);
        match sums.insert(key, sum.clone()) {
            Some(before) if before.hash != sum.hash => return Err(refused("another line has another hash")),
            _ => {}
        }
    }
    Ok(sums.into_values().collect())
}

fn parse_line(line: &str) -> Result<Option<Sum>, &'static str> {
    let mut fields = line.split_ascii_whitespace();
    let Some(module) = fields.next() else { return Ok(None) };
    let (Some(version), Some(hash), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err("it does not have three fields");
    };
    let (version, of) = match version.strip_suffix("/go.mod") {
        Some(version) => (version, SumOf::GoMod),
        None => (version, SumOf::Module),
    };
    check_name(module)?;
    check_name(version)?;
    if version.contains('/') {
        return Err("its version has a slash");
    }
    let Some(encoded) = hash.strip_prefix("h1:") else { return Ok(None) };
    if encoded.len() != 44 || !encoded.ends_with('=') {
        return Err("its hash is not 32 bytes in base64");
    }
    Ok(Some(Sum { module: module.into(), version: version.into(), of, hash: hash.into() }))
}

/// Names become paths and addresses: only what Go's module.CheckPath lets through, none of it leading elsewhere.
fn check_name(name: &str) -> Result<(), &'static str> {
    let is_plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~/+".contains(&b);
    if name.len() > MAX_NAME || !name.bytes().all(is_plain) {
        return Err("a name has characters that no module has");
    }
    if name.split('/').any(|part| part.is_empty() || part.starts_with('.') || part.ends_with('.')) {
        return Err("a name has an element that is empty or begins or ends with a dot");
    }
    Ok(())
}

/// The spelling in paths and addresses: capitals as `!` and the small letter, because some file systems know no
/// capitals (golang.org/ref/mod#module-cache).
pub(super) fn escaped(name: &str) -> String {
    let mut out = String::with_capacity(name.len());
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            out.push('!');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "h1:qgOY6WgZOaTkIIMiVjBQcw93ERBE4m30iBm00nkL0i8=";

    #[test]
    fn lines_are_read_and_unknown_hashes_left_out() {
        let text = format!(
            "a.b/C v1.0.0 {HASH}\na.b/C v1.0.0/go.mod {HASH}\n\na.b/C v2 h9:x\na.b/C v1.0.0 {HASH}\n"
        );
        let sums = parse(&text).unwrap();
        let found: Vec<_> = sums.iter().map(|s| (s.version.as_str(), s.of)).collect();
        assert_eq!(found, [("v1.0.0", SumOf::Module), ("v1.0.0", SumOf::GoMod)]);
        assert_eq!(escaped("github.com/BurntSushi/toml"), "github.com/!burnt!sushi/toml");
    }

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in [
            "../a v1",
            "a/../b v1",
            "/a v1",
            "a//b v1",
            "a\\b v1",
            "a v1/2",
            "a ../v",
            "a!b v1",
            "a",
            "a b c d",
        ] {
            let line = if bad.split(' ').count() == 2 { format!("{bad} {HASH}") } else { bad.to_owned() };
            assert!(parse(&line).is_err(), "{line}");
        }
        assert!(parse(&format!("a v1 {HASH}\na v1 h1:{}=\n", "A".repeat(43))).is_err(), "two hashes");
    }
}
