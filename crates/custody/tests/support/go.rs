//! Go releases made here: an archive's members, and a go command that answers like a real one.

/// A ustar member. Kinds: `0` file, `2` symbolic link.
pub(crate) fn member(name: &str, kind: u8, mode: u32, link: &str, content: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..107].copy_from_slice(format!("{mode:07o}").as_bytes());
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[148..156].fill(b' ');
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut out = block.to_vec();
    out.extend(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// A go command that answers as a real one would, except where `twist` (shell) says otherwise.
pub(crate) fn go_script(twist: &str) -> String {
    let std = packages();
    format!(
        r#"#!/bin/sh
root=$(cd "$(dirname "$0")/.." && pwd)
version="go version go1.27.3 {platform}"
goroot=$root gopath=${{GOPATH:-$HOME/go}} mod=${{GO111MODULE:-}} cache=${{GOMODCACHE:-$gopath/pkg/mod}} std="{std}" word=hello
{twist}
escape() {{ printf '%s' "$1" | sed 's/["\\]/\\&/g'; }}
case $1 in
version) echo "$version" ;;
env) printf '{{"GOROOT":"%s","GOPATH":"%s","GO111MODULE":"%s","GOMODCACHE":"%s"}}\n' \
	"$(escape "$goroot")" "$(escape "$gopath")" "$mod" "$(escape "$cache")" ;;
list) for p in $std; do printf '%s\tfalse\n' "$p"; done ;;
build) said=$(sed -n 's/.*Println("hello \(.*\)").*/\1/p' main.go)
	printf '#!/bin/sh\necho %s %s\n' "$word" "$said" >"$3"; chmod +x "$3" ;;
esac
"#,
        platform = platform(),
    )
}

/// Go's name of this machine, as far as the tests run.
pub(crate) fn platform() -> String {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let os = if cfg!(target_os = "macos") { "darwin" } else { "linux" };
    format!("{os}/{arch}")
}

/// The list that the command itself holds a release to.
fn packages() -> String {
    let source = include_str!("../../src/cmd/toolchain/check/standard.rs");
    let list = source.split_once("GO_1_18: &str = \"").unwrap().1;
    list.split_once('"').unwrap().0.replace(['\\', '\n'], "")
}

/// A release as one archive, whose go is a script. A reader looks at its bytes, not at the name it is given.
pub(crate) fn release() -> Vec<u8> {
    let mut archive = member("go/VERSION", b'0', 0o644, "", b"go1.27.3\n");
    archive.extend(member("go/bin/go", b'0', 0o755, "", go_script("").as_bytes()));
    archive.resize(archive.len() + 1024, 0);
    archive
}
