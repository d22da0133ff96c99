//! A bill of materials in CycloneDX 1.5 from what the go command wrote into a program: the modules that are linked in,
//! each with its version, its package URL and its checksum of `go.sum`.

use gobinary::{GoInfo, Module};
use pkix::Time;
use serde_json::{Value, json};

/// The document. `serial` is 32 hexadecimal digits that are the same for the same program.
pub(super) fn cyclonedx(info: &GoInfo, file: &str, sha256: &str, made: Time) -> Value {
    let main = info.main.as_ref();
    let path = main
        .map(|main| main.path.clone())
        .or_else(|| info.package.clone())
        .unwrap_or_else(|| file.to_owned());
    let version = main.map(|main| main.version.clone()).unwrap_or_default();
    let own = if path == file { format!("file:{file}") } else { purl(&path, &version, info) };
    let modules: Vec<&Module> = info.modules.iter().map(effective).collect();
    let components: Vec<Value> = modules.iter().map(|module| component(module, info)).collect();
    let standard = json!({
        "type": "library", "bom-ref": format!("pkg:golang/std@{}", number(info)), "name": "std",
        "version": number(info), "purl": format!("pkg:golang/std@{}", number(info)),
    });
    let mut all = vec![standard.clone()];
    all.extend(components.iter().cloned());
    let depends: Vec<Value> = all.iter().map(|component| component["bom-ref"].clone()).collect();
    let properties: Vec<Value> = info
        .settings
        .iter()
        .map(|(name, value)| json!({ "name": format!("custody:go:setting:{name}"), "value": value }))
        .collect();
    json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": format!("urn:uuid:{}", uuid(sha256)),
        "version": 1,
        "metadata": {
            "timestamp": made.to_string(),
            "tools": { "components": [
                { "type": "application", "name": "custody", "version": env!("CARGO_PKG_VERSION") },
            ] },
            "component": {
                "type": "application", "bom-ref": own, "name": path, "version": version, "purl": own,
                "hashes": [ { "alg": "SHA-256", "content": sha256 } ],
            },
            "properties": properties,
        },
        "components": all,
        "dependencies": [ { "ref": own, "dependsOn": depends } ],
    })
}

/// What is linked in: the replacement, where there is one.
fn effective(module: &Module) -> &Module {
    module.replace.as_deref().unwrap_or(module)
}

fn component(module: &Module, info: &GoInfo) -> Value {
    let url = purl(&module.path, &module.version, info);
    let mut out = json!({
        "type": "library", "bom-ref": url, "name": module.path, "version": module.version, "purl": url,
    });
    if !module.sum.is_empty() {
        // `h1:` is a digest of a list of files, and none of the algorithms that CycloneDX knows.
        out["properties"] = json!([{ "name": "custody:go:sum", "value": module.sum }]);
    }
    out
}

/// `go1.27.3 X:…` as a version.
fn number(info: &GoInfo) -> &str {
    let first = info.version.split(' ').next().unwrap_or_default();
    first.strip_prefix("go").unwrap_or(first)
}

/// Package URL of type `golang`: segments in lower case, what is no letter, digit or `-._~` in hexadecimal.
fn purl(path: &str, version: &str, _: &GoInfo) -> String {
    let segments: Vec<String> = path.split('/').map(|part| encoded(&part.to_lowercase())).collect();
    let version = if version.is_empty() { String::new() } else { format!("@{}", encoded(version)) };
    format!("pkg:golang/{}{version}", segments.join("/"))
}

fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(one).collect()
}

/// The first half of a SHA-256 as a UUID of version 8 (RFC 9562 §5.8).
fn uuid(sha256: &str) -> String {
    let mut digits: Vec<char> = sha256.chars().take(32).collect();
    digits.resize(32, '0');
    digits[12] = '8';
    let variant = digits[16].to_digit(16).unwrap_or(0) & 3 | 8;
    digits[16] = char::from_digit(variant, 16).unwrap_or('8');
    let part = |range: std::ops::Range<usize>| digits[range].iter().collect::<String>();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_become_components() {
        let module = |path: &str, version: &str, sum: &str| Module {
            path: path.into(),
            version: version.into(),
            sum: sum.into(),
            replace: None,
        };
        let replaced = Module {
            replace: Some(Box::new(module("example.com/Fork", "v1.0.0+incompatible", "h1:x"))),
            ..module("example.com/old", "v0.9.0", "")
        };
        let info = GoInfo {
            version: "go1.27.3 X:boringcrypto".into(),
            main: Some(module("example.com/payments", "v1.2.3", "")),
            modules: vec![module("golang.org/x/sys", "v0.30.0", "h1:y"), replaced],
            ..GoInfo::default()
        };
        let bom = cyclonedx(&info, "app.exe", &"ab".repeat(32), Time(1_750_000_000));
        let urls: Vec<_> =
            bom["components"].as_array().unwrap().iter().map(|c| c["purl"].as_str().unwrap()).collect();
        assert_eq!(
            urls,
            [
                "pkg:golang/std@1.27.3",
                "pkg:golang/golang.org/x/sys@v0.30.0",
                "pkg:golang/example.com/fork@v1.0.0%2Bincompatible"
            ]
        );
        assert_eq!(bom["serialNumber"], "urn:uuid:abababab-abab-8bab-abab-abababababab");
        assert_eq!(bom["dependencies"][0]["dependsOn"].as_array().unwrap().len(), 3);
        assert_eq!(bom["metadata"]["component"]["purl"], "pkg:golang/example.com/payments@v1.2.3");
    }
}
