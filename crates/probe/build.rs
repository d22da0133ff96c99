//! Compiles the programs in `bpf/` with clang.
//!
//! Without clang the crate still builds, says so aloud, and [`crate::Error::NotBuilt`] is what a probe answers: a
//! missing compiler must not keep anyone from the rest of Custody.

use std::path::{Path, PathBuf};
use std::process::Command;

const PROGRAMS: &[&str] = &["func", "http", "memory"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_programs)");
    println!("cargo::rerun-if-env-changed=CUSTODY_CLANG");
    println!("cargo::rerun-if-changed=bpf");
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("linux")
        || std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() != Ok("x86_64")
    {
        return;
    }
    let clang = std::env::var_os("CUSTODY_CLANG").unwrap_or_else(|| "clang".into());
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    if Command::new(&clang).arg("--version").output().is_err() {
        println!(
            "cargo::warning=no clang: `custody probe` will not work in this build; install it (Debian: apt-get \
             install clang) or name one with CUSTODY_CLANG, and build again"
        );
        return;
    }
    for name in PROGRAMS {
        compile(&clang, name, &out);
    }
    println!("cargo::rustc-cfg=has_programs");
}

/// `-g` gives the types of the maps (BTF); `-mcpu=v3` is what every kernel with ring buffers and cookies (5.15) runs.
fn compile(clang: &std::ffi::OsStr, name: &str, out: &Path) {
    let output = Command::new(clang)
        .args([
            "-target",
            "bpf",
            "-mcpu=v3",
            "-O2",
            "-g",
            "-Wall",
            "-Werror",
            "-Wno-unused-variable",
            "-Wno-unused-function",
        ])
        .args(["-ffile-prefix-map=bpf=probe", "-fdebug-compilation-dir=.", "-c"])
        .arg(format!("bpf/{name}.bpf.c"))
        .arg("-o")
        .arg(out.join(format!("{name}.bpf.o")))
        .output();
    let failed = match output {
        Ok(output) if output.status.success() => return,
        Ok(output) => String::from_utf8_lossy(&output.stderr).into_owned(),
        Err(error) => error.to_string(),
    };
    for line in format!("clang cannot compile bpf/{name}.bpf.c:\n{failed}").lines() {
        println!("cargo::error={line}");
    }
}
