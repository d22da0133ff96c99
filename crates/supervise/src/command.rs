//! What is to be started: the program, its arguments, its environment.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use crate::error::SuperviseError;

/// A command, resolved once, so that every start names the same path.
#[derive(Clone, Debug)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "read by those who can start it"))]
pub struct Command {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
}

/// Variables that are for the supervisor, not for the service: its own settings, and the sockets it was itself given.
const OWN_PREFIX: &str = "CUSTODY_";
const SOCKET_PREFIX: &str = "LISTEN_";
/// Variables that make the dynamic loader run code that no seal names (`ld.so(8)`).
const INJECTING: [&str; 2] = ["LD_PRELOAD", "LD_AUDIT"];

impl Command {
    /// The command `arguments` (the program first), in this process's environment without what is the
    /// supervisor's own. A program without `/` is looked up along `PATH`.
    pub fn new(arguments: Vec<OsString>) -> Result<Self, SuperviseError> {
        let name = arguments.first().filter(|name| !name.is_empty());
        let name = name.ok_or(SuperviseError::Command("it is empty"))?;
        let program = resolve(name)?;
        let environment = std::env::vars_os().filter(|(key, _)| !is_own(key)).collect();
        Ok(Self { program, arguments, environment, directory: None })
    }

    /// Replaces the environment as a whole.
    #[must_use]
    pub fn environment(mut self, variables: impl IntoIterator<Item = (OsString, OsString)>) -> Self {
        self.environment = variables.into_iter().filter(|(key, _)| !is_own(key)).collect();
        self
    }

    /// Starts it in `directory`.
    #[must_use]
    pub fn directory(mut self, directory: PathBuf) -> Self {
        self.directory = Some(directory);
        self
    }

    /// Takes out the variables that make the loader run other code, and names those that were there.
    pub fn remove_injection(&mut self) -> Vec<&'static str> {
        let found = INJECTING.into_iter().filter(|name| self.environment.iter().any(|(key, _)| key == name));
        let found: Vec<_> = found.collect();
        self.environment.retain(|(key, _)| !found.iter().any(|name| key == name));
        found
    }

    /// The program's path.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }
}

#[cfg(target_os = "linux")]
impl Command {
    pub(crate) fn arguments(&self) -> &[OsString] {
        &self.arguments
    }

    pub(crate) fn variables(&self) -> &[(OsString, OsString)] {
        &self.environment
    }

    pub(crate) fn start_directory(&self) -> Option<&Path> {
        self.directory.as_deref()
    }
}

fn is_own(key: &OsStr) -> bool {
    let key = key.as_encoded_bytes();
    key.starts_with(OWN_PREFIX.as_bytes()) || key.starts_with(SOCKET_PREFIX.as_bytes())
}

fn resolve(name: &OsStr) -> Result<PathBuf, SuperviseError> {
    if name.as_encoded_bytes().contains(&b'/') {
        return Ok(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        // An empty element means the current directory to execvp(3); here it means nothing, for safety.
        .filter(|folder| !folder.as_os_str().is_empty())
        .map(|folder| folder.join(name))
        .find(|candidate| is_executable(candidate))
        .ok_or_else(|| SuperviseError::NotFound(name.to_string_lossy().into_owned()))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn command(variables: &[(&str, &str)]) -> Command {
        let variables = variables.iter().map(|(k, v)| (OsString::from(k), OsString::from(v)));
        Command::new(vec!["/bin/true".into()]).unwrap().environment(variables)
    }

    #[test]
    fn what_is_the_supervisors_own_is_not_inherited() {
        let command =
            command(&[("CUSTODY_HOME", "x"), ("LISTEN_FDS", "3"), ("HOME", "/"), ("CUSTODY", "kept")]);
        let names: Vec<_> = command.variables().iter().map(|(key, _)| key.to_str().unwrap()).collect();
        assert_eq!(names, ["HOME", "CUSTODY"]);
    }

    #[test]
    fn injection_is_taken_out_and_named() {
        let mut command = command(&[("LD_PRELOAD", "x.so"), ("LD_LIBRARY_PATH", "/l"), ("A", "b")]);
        assert_eq!(command.remove_injection(), ["LD_PRELOAD"]);
        assert_eq!(command.variables().len(), 2);
        assert!(command.remove_injection().is_empty());
    }

    #[test]
    fn a_bare_name_is_looked_up_and_a_path_is_not() {
        assert!(Command::new(vec!["sh".into()]).unwrap().program().is_absolute());
        assert_eq!(Command::new(vec!["./no/such".into()]).unwrap().program(), Path::new("./no/such"));
        assert!(matches!(
            Command::new(vec!["no-such-program-4711".into()]),
            Err(SuperviseError::NotFound(_))
        ));
        assert!(matches!(Command::new(vec![]), Err(SuperviseError::Command(_))));
    }
}
