//! Asking a person for a password, without showing it.

use zeroize::Zeroizing;

use crate::failure::Failure;

fn nobody() -> Failure {
    Failure::input(anyhow::anyhow!("a password is needed, and there is no terminal to ask on"))
        .hint("give a file that only you can read: `--password-file FILE`")
}

/// Asks on the terminal itself, whatever standard input and output are.
#[cfg(unix)]
pub(super) fn ask(prompt: &str) -> Result<Zeroizing<String>, Failure> {
    use std::io::{BufRead as _, BufReader, Write as _};

    use nix::sys::termios::{LocalFlags, SetArg, tcgetattr, tcsetattr};

    let mut terminal =
        std::fs::File::options().read(true).write(true).open("/dev/tty").map_err(|_| nobody())?;
    let before = tcgetattr(&terminal).map_err(|_| nobody())?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    write!(terminal, "{prompt}: ").map_err(Failure::environment)?;
    tcsetattr(&terminal, SetArg::TCSAFLUSH, &silent).map_err(Failure::environment)?;
    // The whole room at once: a buffer that grew would leave unwiped copies of a secret behind.
    let mut line = Zeroizing::new(String::with_capacity(4096));
    let read = BufReader::new(&terminal).read_line(&mut line);
    let _ = tcsetattr(&terminal, SetArg::TCSAFLUSH, &before); // nothing better can be done about it
    let _ = writeln!(terminal);
    read.map_err(Failure::environment)?;
    Ok(Zeroizing::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

/// Elsewhere a file must do.
#[cfg(not(unix))]
pub(super) fn ask(_: &str) -> Result<Zeroizing<String>, Failure> {
    Err(nobody())
}
