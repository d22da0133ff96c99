//! The lines that put a toolchain to use, in the words of each shell. Every value is quoted so that the shell takes
//! it as it is, whatever it holds.

use std::path::Path;

/// A shell whose words we know.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Shell {
    /// sh, bash, zsh, dash, ksh
    Posix,
    /// Windows PowerShell and PowerShell 7
    Powershell,
    /// cmd.exe, for a batch file
    Cmd,
}

impl Shell {
    /// The shell that a person on this system most likely has.
    pub(super) fn usual() -> Self {
        if cfg!(windows) { Self::Powershell } else { Self::Posix }
    }
}

/// The paths of a toolchain in use, as text.
#[derive(Clone, Debug, serde::Serialize)]
pub(super) struct Paths {
    pub(super) goroot: String,
    pub(super) gopath: String,
    /// Folders that go before all others on the `PATH`.
    pub(super) bin: Vec<String>,
}

impl Paths {
    /// Checks that a shell can carry these paths at all.
    pub(super) fn new(goroot: &Path, gopath: &Path, shell: Shell) -> Result<Self, String> {
        let bin = [goroot.join("bin"), gopath.join("bin")];
        let text = |path: &Path| match path.to_str() {
            Some(text) => carried(text, shell),
            None => Err(format!("{} is not UTF-8", path.display())),
        };
        Ok(Self {
            goroot: text(goroot)?,
            gopath: text(gopath)?,
            bin: bin.iter().map(|path| text(path)).collect::<Result<_, _>>()?,
        })
    }

    /// The lines, each with its end.
    pub(super) fn lines(&self, shell: Shell) -> String {
        match shell {
            Shell::Posix => self.posix(),
            Shell::Powershell => self.powershell(),
            Shell::Cmd => self.cmd(),
        }
    }

    fn posix(&self) -> String {
        let bin = self.bin.iter().map(|b| posix(b) + ":").collect::<String>();
        let (root, path) = (posix(&self.goroot), posix(&self.gopath));
        format!("export GOROOT={root}\nexport GOPATH={path}\nexport PATH={bin}\"$PATH\"\n")
    }

    fn powershell(&self) -> String {
        let separator = " + [IO.Path]::PathSeparator + ";
        let bin = self.bin.iter().map(|b| powershell(b) + separator).collect::<String>();
        let (root, path) = (powershell(&self.goroot), powershell(&self.gopath));
        format!("$env:GOROOT = {root}\n$env:GOPATH = {path}\n$env:PATH = {bin}$env:PATH\n")
    }

    fn cmd(&self) -> String {
        let bin = self.bin.iter().map(|b| cmd(b) + ";").collect::<String>();
        let (root, path) = (cmd(&self.goroot), cmd(&self.gopath));
        format!("set \"GOROOT={root}\"\r\nset \"GOPATH={path}\"\r\nset \"PATH={bin}%PATH%\"\r\n")
    }
}

/// What no quoting can carry: the separator of the `PATH`, and in cmd the quote itself and line ends.
fn carried(text: &str, shell: Shell) -> Result<String, String> {
    let forbidden: &[char] = match shell {
        Shell::Posix => &['\0', ':'],
        // A drive's colon is part of a Windows path; there the separator is the semicolon.
        Shell::Powershell => &['\0', ';'],
        Shell::Cmd => &['\0', ';', '"', '\n', '\r'],
    };
    match text.chars().find(|c| forbidden.contains(c)) {
        Some(c) => {
            Err(format!("`{}` holds {c:?}, which the PATH of this shell cannot carry", text.escape_debug()))
        }
        None => Ok(text.to_owned()),
    }
}

/// POSIX.1-2024, 2.2.2: between single quotes everything stands for itself, but a single quote.
fn posix(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// PowerShell, about_Quoting_Rules: a single quote is doubled. It takes the typographic ones for the same thing.
fn powershell(text: &str) -> String {
    let mut out = String::from("'");
    for c in text.chars() {
        if matches!(c, '\'' | '\u{2018}'..='\u{201b}') {
            out.push(c);
        }
        out.push(c);
    }
    out.push('\'');
    out
}

/// Inside `set "…"` in a batch file only the percent sign has a meaning; doubled it stands for itself.
fn cmd(text: &str) -> String {
    text.replace('%', "%%")
}

#[cfg(test)]
mod tests {
    use super::*;

    const NASTY: &str = r#"/opt/a b/$HOME/`id`/"q"/it's/50%/\x/!y/(z)&w"#;

    fn paths(goroot: &str, shell: Shell) -> Result<Paths, String> {
        Paths::new(Path::new(goroot), Path::new("/home/u/go"), shell)
    }

    /// The shell itself is the judge.
    #[cfg(unix)]
    #[test]
    fn a_posix_shell_takes_every_character_as_it_is() {
        let script = paths(NASTY, Shell::Posix).unwrap().lines(Shell::Posix);
        let output = std::process::Command::new("/bin/sh")
            .args(["-c", &format!("{script}printf '%s\\n' \"$GOROOT\" \"$GOPATH\" \"$PATH\"")])
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let wanted = format!("{NASTY}\n/home/u/go\n{NASTY}/bin:/home/u/go/bin:/usr/bin:/bin\n");
        assert_eq!(said, wanted);
    }

    #[test]
    fn powershell_doubles_every_kind_of_single_quote() {
        assert_eq!(powershell("a'b\u{2019}c $x"), "'a''b\u{2019}\u{2019}c $x'");
        let script = paths("C:\\Go's", Shell::Powershell).unwrap().lines(Shell::Powershell);
        assert!(script.starts_with("$env:GOROOT = 'C:\\Go''s'\n"), "{script}");
        assert!(script.ends_with("+ $env:PATH\n"), "{script}");
    }

    #[test]
    fn cmd_doubles_the_percent_sign_and_ends_lines_its_own_way() {
        let script = paths("C:\\50% off & more", Shell::Cmd).unwrap().lines(Shell::Cmd);
        assert!(script.starts_with("set \"GOROOT=C:\\50%% off & more\"\r\n"), "{script}");
        assert!(script.ends_with(";%PATH%\"\r\n"), "{script}");
    }

    #[test]
    fn what_a_path_cannot_carry_is_refused() {
        assert!(paths("/a:b", Shell::Posix).is_err());
        assert!(paths("C:\\a;b", Shell::Powershell).is_err());
        assert!(paths("C:\\a\"b", Shell::Cmd).is_err());
        assert!(paths("C:\\a\nb", Shell::Cmd).is_err());
    }
}
