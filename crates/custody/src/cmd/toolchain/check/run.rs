//! The checks themselves, in the order of the table.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde::Deserialize;

use super::super::layout::{Toolchain, resolved, this_platform};
use super::super::probe;
use super::{Check, standard};
use crate::failure::Failure;

/// What the checks of one toolchain share.
struct Bench<'a> {
    toolchain: &'a Toolchain,
    timeout: Duration,
    /// Caches, modules and programs made by the checks; gone with them.
    scratch: tempfile::TempDir,
}

/// What `go env -json` says of the settings that matter here.
#[derive(Deserialize)]
#[serde(rename_all = "UPPERCASE")]
struct Settings {
    goroot: String,
    gopath: String,
    go111module: String,
    gomodcache: String,
}

/// Why a check did not run.
const CANNOT_RUN: &str = "its go cannot be run here";

/// Every check, one after the other. `announce` hears which is next.
pub(super) fn all(
    toolchain: &Toolchain,
    timeout: u64,
    announce: &dyn Fn(&'static str),
) -> Result<Vec<Check>, Failure> {
    let scratch = tempfile::Builder::new().prefix("custody-check-").tempdir().map_err(|e| {
        Failure::environment(anyhow::Error::from(e).context("cannot make a folder for temporary files"))
            .hint("set TMPDIR to a folder that is writable")
    })?;
    let bench = Bench { toolchain, timeout: Duration::from_secs(timeout), scratch };
    let platform = bench.platform();
    let mut checks = vec![platform];
    announce("go version");
    let version = bench.version(checks[0].status);
    let runs = version.status == super::Status::Ok;
    checks.push(version);
    if runs {
        announce("go env");
        checks.extend(bench.settings());
        announce("go list std");
        checks.push(bench.standard_library());
        announce("go build");
        checks.push(bench.hello());
    } else {
        let names = ["goroot", "gopath", "modules", "std", "hello"];
        checks.extend(names.map(|name| Check::skipped(name, CANNOT_RUN)));
    }
    checks.push(bench.path());
    Ok(checks)
}

impl Bench<'_> {
    fn root(&self) -> &Path {
        &self.toolchain.root
    }

    /// The toolchain's go in the user's environment, but for what would make it another go.
    fn users_go(&self) -> Command {
        let mut go = Command::new(&self.toolchain.go);
        go.env("GOTOOLCHAIN", "local").env("GOPROXY", "off").current_dir(self.scratch.path());
        go
    }

    /// The toolchain's go in an environment of its own: no settings, no network, no cache but an empty one.
    fn clean_go(&self) -> Command {
        let scratch = self.scratch.path();
        let mut go = Command::new(&self.toolchain.go);
        go.env_clear().current_dir(scratch);
        // Without these, programs do not start on Windows, or find no place for temporary files anywhere.
        for name in ["SystemRoot", "windir", "ComSpec", "TEMP", "TMP", "TMPDIR"] {
            if let Some(value) = std::env::var_os(name) {
                go.env(name, value);
            }
        }
        let system = if cfg!(windows) { r"C:\Windows\System32" } else { "/usr/bin:/bin" };
        go.env("PATH", system).env("HOME", scratch).env("USERPROFILE", scratch).env("LOCALAPPDATA", scratch);
        go.env("GOPATH", scratch.join("gopath")).env("GOCACHE", scratch.join("cache"));
        go.envs([("GOENV", "off"), ("GOTOOLCHAIN", "local"), ("GOPROXY", "off"), ("GOWORK", "off")]);
        go.envs([("CGO_ENABLED", "0"), ("GOTELEMETRY", "off"), ("GOFLAGS", "")]);
        go
    }

    fn ask(&self, go: &mut Command) -> Result<String, String> {
        probe::run(go, self.timeout)?.answer()
    }

    fn platform(&self) -> Check {
        let here = this_platform();
        match self.toolchain.platform.as_deref() {
            Some(platform) if platform == here => Check::ok("platform", here),
            Some(other) => Check::fail(
                "platform",
                format!("it is for {other}, this machine is {here}"),
                format!("install the release for {here}"),
            ),
            None => Check::warn(
                "platform",
                "its go does not say for which platform it was built",
                "take a release of the Go project",
            ),
        }
    }

    fn version(&self, platform: super::Status) -> Check {
        if platform == super::Status::Fail {
            return Check::skipped("version", "it is for another platform");
        }
        let said = match self.ask(self.clean_go().arg("version")) {
            Ok(said) => said,
            Err(why) => return Check::fail("version", why, self.unstartable()),
        };
        // `go version go1.27.3 linux/amd64`, the platform last.
        let mut words = said.split_whitespace();
        let version = words.nth(2).unwrap_or_default();
        let platform = words.next_back().unwrap_or_default();
        let known = self.toolchain.version.as_deref();
        if known.is_some_and(|known| known != version) {
            let found = format!("it says {version}, and was built as {}", known.unwrap_or_default());
            return Check::fail("version", found, "install the release anew");
        }
        if platform != this_platform() {
            return Check::fail(
                "version",
                said.trim(),
                format!("install the release for {}", this_platform()),
            );
        }
        Check::ok("version", said.trim())
    }

    fn unstartable(&self) -> String {
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = std::fs::metadata(&self.toolchain.go).map_or(0o111, |m| m.permissions().mode());
            if mode & 0o111 == 0 {
                return format!(
                    "chmod +x {}/bin/* {}/pkg/tool/*/*",
                    self.root().display(),
                    self.root().display()
                );
            }
        }
        "install the release anew".to_owned()
    }

    fn settings(&self) -> [Check; 3] {
        let args = ["env", "-json", "GOROOT", "GOPATH", "GO111MODULE", "GOMODCACHE"];
        let settings = self
            .ask(self.users_go().args(args))
            .and_then(|json| serde_json::from_str::<Settings>(&json).map_err(|e| format!("go env: {e}")));
        match settings {
            Ok(settings) => [self.goroot(&settings), self.gopath(&settings), self.modules(&settings)],
            Err(why) => ["goroot", "gopath", "modules"]
                .map(|name| Check::fail(name, why.clone(), "look at `go env` in this environment")),
        }
    }

    fn goroot(&self, settings: &Settings) -> Check {
        if resolved(Path::new(&settings.goroot)) == self.root() {
            return Check::ok("goroot", &*settings.goroot);
        }
        let found = format!("go env GOROOT is {}, not {}", shown(&settings.goroot), self.root().display());
        Check::fail("goroot", found, "unset GOROOT, or use the lines of `custody toolchain env`")
    }

    fn gopath(&self, settings: &Settings) -> Check {
        let mend = "set GOPATH to a folder of your own, such as ~/go";
        let Some(first) = std::env::split_paths(&settings.gopath).next().filter(|p| *p != Path::new(""))
        else {
            // The go command leaves it empty rather than let the default be GOROOT.
            return Check::fail("gopath", "GOPATH is empty; by default it would be GOROOT", mend);
        };
        if !first.is_absolute() {
            return Check::fail("gopath", format!("GOPATH is {}, which is relative", first.display()), mend);
        }
        for path in std::env::split_paths(&settings.gopath) {
            if resolved(&path) == self.root() {
                let found = format!("GOPATH is GOROOT: {}", path.display());
                return Check::fail("gopath", found, mend);
            }
        }
        match writable(&first) {
            Ok(()) => Check::ok("gopath", first.display().to_string()),
            Err(e) => Check::fail("gopath", format!("{} cannot be written: {e}", first.display()), mend),
        }
    }

    fn modules(&self, settings: &Settings) -> Check {
        if !matches!(settings.go111module.as_str(), "" | "on") {
            let found = format!("GO111MODULE is {}", settings.go111module);
            return Check::fail("modules", found, "unset GO111MODULE, also with `go env -u GO111MODULE`");
        }
        let cache = Path::new(&settings.gomodcache);
        if settings.gomodcache.is_empty() || resolved(cache).starts_with(self.root()) {
            let found = format!("the module cache is {}, inside of GOROOT", shown(&settings.gomodcache));
            return Check::fail("modules", found, "unset GOMODCACHE, or set GOPATH to another folder");
        }
        Check::ok("modules", format!("on, cache {}", settings.gomodcache))
    }

    fn standard_library(&self) -> Check {
        // A template instead of -json=…, which releases before 1.19 do not know.
        let form = "{{.ImportPath}}\t{{.Incomplete}}";
        let said = match self.ask(self.clean_go().args(["list", "-e", "-f", form, "std"])) {
            Ok(said) => said,
            Err(why) => return Check::fail("std", why, "install the release anew"),
        };
        let faults = standard::faults(&said, self.toolchain.version.as_deref());
        if faults.is_empty() {
            return Check::ok("std", format!("{} packages", said.lines().count()));
        }
        let more = if faults.len() > 3 { format!(" and {} more", faults.len() - 3) } else { String::new() };
        let found = format!("missing or broken: {}{more}", faults[..faults.len().min(3)].join(", "));
        Check::fail(
            "std",
            found,
            "install the release anew; `custody seal verify` names every file that differs",
        )
    }

    fn hello(&self) -> Check {
        match self.try_hello() {
            Ok(()) => Check::ok("hello", "a program was compiled and run"),
            Err(why) => {
                Check::fail("hello", why, "run `go build` in a folder of its own and see what it says")
            }
        }
    }

    fn try_hello(&self) -> Result<(), String> {
        let module = self.scratch.path().join("hello");
        let program = module.join(if cfg!(windows) { "hello.exe" } else { "hello" });
        let write =
            |name: &str, text: &str| std::fs::write(module.join(name), text).map_err(|e| e.to_string());
        std::fs::create_dir(&module).map_err(|e| e.to_string())?;
        write("go.mod", "module hello\n\ngo 1.18\n")?;
        // Said by the program itself: an old program left lying about would say something else.
        let word = format!("{:x}", std::process::id());
        write(
            "main.go",
            &format!("package main\n\nimport \"fmt\"\n\nfunc main() {{ fmt.Println(\"hello {word}\") }}\n"),
        )?;
        self.ask(self.clean_go().current_dir(&module).arg("build").arg("-o").arg(&program).arg("."))
            .map_err(|why| format!("go build: {why}"))?;
        let said =
            self.ask(&mut Command::new(&program)).map_err(|why| format!("the compiled program: {why}"))?;
        if said.trim() != format!("hello {word}") {
            return Err("the compiled program does not say what it should".to_owned());
        }
        Ok(())
    }

    fn path(&self) -> Check {
        let mend = format!("use the lines of `custody toolchain env {}`", self.root().display());
        match first_on_path() {
            Some(go) if resolved(&go) == resolved(&self.toolchain.go) => {
                Check::ok("path", go.display().to_string())
            }
            Some(other) => Check::warn("path", format!("another go comes first: {}", other.display()), mend),
            None => Check::warn("path", "no go on the PATH", mend),
        }
    }
}

/// The go that a shell would start.
fn first_on_path() -> Option<PathBuf> {
    let names: &[&str] = if cfg!(windows) { &["go.exe", "go.bat", "go.cmd"] } else { &["go"] };
    let path = std::env::var_os("PATH")?;
    let found = std::env::split_paths(&path).flat_map(|dir| names.iter().map(move |name| dir.join(name)));
    found.into_iter().find(|go| is_program(go))
}

#[cfg(unix)]
fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_program(path: &Path) -> bool {
    path.is_file()
}

/// Whether files can be made there, or in the nearest folder above that exists.
fn writable(path: &Path) -> std::io::Result<()> {
    let existing = path.ancestors().find(|dir| dir.symlink_metadata().is_ok()).unwrap_or(path);
    tempfile::Builder::new().prefix(OsStr::new(".custody-")).tempfile_in(existing).map(drop)
}

fn shown(value: &str) -> &str {
    if value.is_empty() { "empty" } else { value }
}
