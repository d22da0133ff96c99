//! Archives that other programs made hold the same tree as the directory that they packed.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use seal::{Comparison, ObservedKind};
use support::{collect, has, text};

fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("tree");
    let deep = format!("{}/{}", "d".repeat(90), "e".repeat(90));
    fs::create_dir_all(root.join(&deep)).unwrap();
    fs::create_dir(root.join("empty")).unwrap();
    fs::write(root.join(deep).join("f".repeat(90)), text(3000)).unwrap();
    fs::write(root.join("nothing"), "").unwrap();
    fs::write(root.join("grüße 码.txt"), text(100)).unwrap();
    fs::write(root.join("zeros"), vec![0; 300_000]).unwrap();
    fs::write(root.join("tool"), text(70_000)).unwrap();
    for (name, mode) in [("tool", 0o755), ("nothing", 0o600), ("zeros", 0o644)] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    symlink("tool", root.join("latest")).unwrap();
    dir
}

/// Runs a shell line beside `tree/`, and compares the archive that it writes with the directory.
fn packed_by(line: &str, archive: &str, expected: ObservedKind) {
    let dir = tree();
    let output = Command::new("sh").args(["-ec", line]).current_dir(dir.path()).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    let evidence = collect(&dir.path().join(archive)).map_err(|e| e.reason()).expect(line);
    assert_eq!(evidence.observation.kind, expected, "{line}");
    let seal = evidence.into_seal().unwrap();
    let unpacked = collect(&dir.path().join("tree")).unwrap();
    let comparison = Comparison::of(&seal, &unpacked.observation);
    assert!(comparison.holds(), "{line}: {comparison:?}");
    assert!(seal.tree().entries().len() >= 6, "{line}");
}

fn zip(line: &str) {
    packed_by(line, "a.zip", ObservedKind::Archive(seal::Format::Zip));
}

fn tar(line: &str, format: seal::Format) {
    packed_by(line, "a.tar", ObservedKind::Archive(format));
}

#[test]
fn info_zip() {
    if has("zip") {
        zip("cd tree && zip -qry ../a.zip .");
        zip("cd tree && zip -qry -0 ../a.zip .");
        zip("cd tree && zip -qryD ../a.zip . && zip -qy ../a.zip empty");
        // To a pipe (where Info-ZIP cannot store a link): data descriptors, and zip64 in case the content is large.
        zip("rm tree/latest && cd tree && zip -qry - . | cat > ../a.zip");
        zip("cd tree && zip -qry -fz ../a.zip .");
    }
}

const PYTHON: &str = r#"
import os, sys, zipfile
class Pipe:
    def __init__(self, f): self.f = f
    def write(self, b): return self.f.write(b)
    def flush(self): self.f.flush()
out = open('a.zip', 'wb')
with zipfile.ZipFile(Pipe(out) if sys.argv[1] == 'pipe' else out, 'w', zipfile.ZIP_DEFLATED) as z:
    for folder, names, files in os.walk('tree'):
        for name in names + files:
            path = os.path.join(folder, name)
            info = zipfile.ZipInfo.from_file(path, os.path.relpath(path, 'tree'))
            if os.path.islink(path):
                info.external_attr = 0o120777 << 16
                z.writestr(info, os.readlink(path))
            elif os.path.isdir(path):
                z.writestr(info, b'')
            else:
                info.compress_type = zipfile.ZIP_DEFLATED
                with z.open(info, 'w', force_zip64=sys.argv[1] == 'wide') as to:
                    to.write(open(path, 'rb').read())
"#;

#[test]
fn python() {
    if has("python3") {
        for form in ["plain", "pipe", "wide"] {
            zip(&format!("python3 - {form} <<'EOF'\n{PYTHON}\nEOF"));
        }
    }
}

#[test]
fn gnu_tar() {
    if has("tar") {
        for format in ["gnu", "pax", "posix"] {
            tar(&format!("tar --format={format} -cf a.tar -C tree ."), seal::Format::Tar);
        }
        tar("tar --format=ustar --exclude 'ddd*' -cf a.tar -C tree . && rm -r tree/ddd*", seal::Format::Tar);
        tar("tar --format=v7 --exclude 'ddd*' -cf a.tar -C tree . && rm -r tree/ddd*", seal::Format::Tar);
        tar("tar -czf a.tar -C tree .", seal::Format::TarGz);
        tar("tar --hole-detection=raw -cf - -C tree . | gzip -1 > a.tar", seal::Format::TarGz);
    }
}

#[test]
fn xz() {
    if has("tar") && has("xz") {
        tar("tar -cf - -C tree . | xz -9 > a.tar", seal::Format::TarXz);
        tar("tar -cf - -C tree . | xz -T2 --block-size=65536 > a.tar", seal::Format::TarXz);
    }
}

#[test]
fn zstd() {
    if has("tar") && has("zstd") {
        tar("tar -cf - -C tree . | zstd -q -19 > a.tar", seal::Format::TarZst);
        tar("tar -cf - -C tree . | zstd -q --long=27 > a.tar", seal::Format::TarZst);
    }
}

/// Whatever way GNU tar writes holes down, they are read as the zeros that the file had.
#[test]
fn sparse_files_of_gnu_tar_are_read_with_their_holes() {
    if !has("tar") {
        return;
    }
    let forms = ["gnu", "pax --sparse-version=0.1", "pax --sparse-version=1.0"];
    // One piece, none, and more than fit into a header and a block behind it.
    let make = "mkdir tree && truncate -s 10M tree/holes && echo x >> tree/holes && truncate -s 3M tree/empty \
                && for i in $(seq 0 40); do echo $i | dd of=tree/many bs=1 seek=$((i * 200000)) conv=notrunc status=none; done \
                && echo plain > tree/plain";
    for form in forms {
        let dir = tempfile::tempdir().unwrap();
        let line = format!("{make} && tar --format={form} -Scf a.tar -C tree holes empty many plain");
        let done = Command::new("sh").args(["-ec", &line]).current_dir(dir.path()).status().unwrap();
        assert!(done.success());
        let found = collect(&dir.path().join("a.tar")).unwrap().into_seal().unwrap();
        let expected = collect(&dir.path().join("tree")).unwrap().into_seal().unwrap();
        assert_eq!(found.tree().roots(), expected.tree().roots(), "{form}");
    }
    let old = "truncate -s 1M holes && tar --format=pax --sparse-version=0.0 -Scf a.tar holes";
    let dir = tempfile::tempdir().unwrap();
    assert!(Command::new("sh").args(["-ec", old]).current_dir(dir.path()).status().unwrap().success());
    assert!(support::reason(collect(&dir.path().join("a.tar"))).contains("version 0.0"));
}
