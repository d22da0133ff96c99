//! Where to listen, as a person writes it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::error::SuperviseError;

/// Where to listen: `[NAME=]tcp:HOST:PORT`, `[NAME=]unix:/PATH`, `[NAME=]unix:@ABSTRACT` or a bare `HOST:PORT`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Address {
    /// What the service finds in `LISTEN_FDNAMES`.
    pub name: String,
    pub(crate) place: Place,
}

#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    Tcp(String),
    Unix(PathBuf),
    Abstract(String),
}

impl FromStr for Address {
    type Err = SuperviseError;

    fn from_str(given: &str) -> Result<Self, Self::Err> {
        let wrong =
            |problem: &str| SuperviseError::Address { given: given.to_owned(), problem: problem.to_owned() };
        let (name, place) = match given.split_once('=') {
            Some((name, place)) if !name.contains(['/', ':']) => (Some(name), place),
            _ => (None, given),
        };
        let place = match place.split_once(':') {
            Some(("unix", path)) => {
                unix_place(path).ok_or_else(|| wrong("a unix address is /PATH or @NAME"))?
            }
            Some(("tcp", rest)) => Place::Tcp(tcp_place(rest).map_err(wrong)?),
            _ => Place::Tcp(tcp_place(place).map_err(wrong)?),
        };
        let name = name.unwrap_or(if matches!(place, Place::Tcp(_)) { "tcp" } else { "unix" });
        // sd_listen_fds(3): at most 255 characters, no control characters, no colon (it separates the names).
        if name.is_empty() || name.len() > 255 || name.contains(|c: char| c == ':' || !c.is_ascii_graphic()) {
            return Err(wrong("a name is 1 to 255 printable ASCII characters without `:`"));
        }
        Ok(Self { name: name.to_owned(), place })
    }
}

fn unix_place(path: &str) -> Option<Place> {
    if let Some(name) = path.strip_prefix('@') {
        return (!name.is_empty()).then(|| Place::Abstract(name.to_owned()));
    }
    path.starts_with('/').then(|| Place::Unix(PathBuf::from(path)))
}

/// `:8080` means every address, as Go reads it.
fn tcp_place(place: &str) -> Result<String, &'static str> {
    let (host, port) = place.rsplit_once(':').ok_or("a TCP address is HOST:PORT")?;
    // `parse` alone would take `+80`: an address has one spelling.
    if !port.bytes().all(|b| b.is_ascii_digit()) || port.parse::<u16>().is_err() {
        return Err("the port is not a number below 65536");
    }
    if host.contains(':') && !(host.starts_with('[') && host.ends_with(']')) {
        return Err("an IPv6 address stands in brackets");
    }
    Ok(if host.is_empty() { format!("[::]:{port}") } else { place.to_owned() })
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Tcp(place) => write!(f, "tcp:{place}"),
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(given: &str) -> Option<(String, String)> {
        given.parse::<Address>().ok().map(|a| (a.name.clone(), a.to_string()))
    }

    #[test]
    fn addresses_are_read_as_documented() {
        let some = |name: &str, place: &str| Some((name.to_owned(), place.to_owned()));
        assert_eq!(parsed("127.0.0.1:8080"), some("tcp", "tcp:127.0.0.1:8080"));
        assert_eq!(parsed("tcp:localhost:0"), some("tcp", "tcp:localhost:0"));
        assert_eq!(parsed(":80"), some("tcp", "tcp:[::]:80"));
        assert_eq!(parsed("web=tcp:[::1]:443"), some("web", "tcp:[::1]:443"));
        assert_eq!(parsed("unix:/run/a=b.sock"), some("unix", "unix:/run/a=b.sock"));
        assert_eq!(parsed("admin=unix:@abstract"), some("admin", "unix:@abstract"));
        for wrong in [
            "",
            "8080",
            "tcp:8080",
            "host:port",
            "::1:80",
            "unix:relative",
            "unix:@",
            "=tcp:h:1",
            "a:70000",
            "a:+80",
        ] {
            assert_eq!(parsed(wrong), None, "{wrong}");
        }
    }
}
