//! Who is at the other end, and what that one may do: decided here, before anything of the request is carried out.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use audit::intake::{Right, Rights, Tokens};
use audit::{Caller, Via};
use hyper::StatusCode;
use hyper::header::{AUTHORIZATION, HOST, HeaderMap, ORIGIN};
use rustls::ServerConfig;

use super::answer::Problem;
use super::settings::Settings;
use super::tls;
use crate::failure::Failure;

/// Bytes of a token file that are read.
const MAX_TOKENS: u64 = 1 << 20;

/// Tokens and certificates as they were last read.
pub(crate) struct Gate {
    pub(crate) tls: Option<Arc<ServerConfig>>,
    tokens: Option<Tokens>,
}

/// What is known of a connection.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    pub(crate) ip: IpAddr,
    /// The name in the client's certificate, which was verified.
    pub(crate) certified: Option<String>,
}

impl Gate {
    pub(crate) fn read(settings: &Settings) -> Result<Self, Failure> {
        let tokens = settings.tokens.as_deref().map(read_tokens).transpose()?;
        let tls = settings.tls.as_ref().map(|files| tls::config(files, tokens.is_some())).transpose()?;
        Ok(Self { tls, tokens })
    }

    /// The caller, if it may do what `right` says.
    pub(crate) fn admit(
        &self,
        settings: &Settings,
        line: &Line,
        headers: &HeaderMap,
        right: Right,
    ) -> Result<Caller, Problem> {
        let (caller, rights) = self.identify(settings, line, headers)?;
        if rights.has(right) || right == Right::Monitor && rights.has(Right::Read) {
            return Ok(caller);
        }
        let detail = format!("`{}` has not the right `{}`", caller.name, right.as_str());
        Err(Problem::new(StatusCode::FORBIDDEN, detail))
    }

    fn identify(
        &self,
        settings: &Settings,
        line: &Line,
        headers: &HeaderMap,
    ) -> Result<(Caller, Rights), Problem> {
        let caller = |name: &str, via| Caller { name: name.to_owned(), via, ip: Some(line.ip), trace: None };
        if settings.insecure_loopback {
            return local(headers).map(|()| (caller("loopback", Via::Loopback), Rights::ALL));
        }
        // A token that is shown must hold: a certificate does not make good for a wrong one.
        if let Some(token) = bearer(headers)? {
            let now = audit::now();
            let found = self.tokens.as_ref().and_then(|tokens| tokens.find(token, now));
            return match found {
                Some((name, rights)) => Ok((caller(name, Via::Token), rights)),
                None => Err(Problem::new(StatusCode::UNAUTHORIZED, "the token is not known, or has ended")),
            };
        }
        match &line.certified {
            Some(name) => {
                let rights = settings.clients.get(name).copied().unwrap_or(settings.client_rights);
                Ok((caller(name, Via::Certificate), rights))
            }
            None => {
                Err(Problem::new(StatusCode::UNAUTHORIZED, "show a bearer token or a client certificate"))
            }
        }
    }
}

/// The token of `Authorization: Bearer …` (RFC 6750 §2.1).
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Ok(None) };
    let wrong = || Problem::new(StatusCode::UNAUTHORIZED, "the authorization is not one bearer token");
    let text = value.to_str().map_err(|_| wrong())?;
    let (scheme, token) = text.split_once(' ').ok_or_else(wrong)?;
    let one = given.next().is_none() && scheme.eq_ignore_ascii_case("bearer") && !token.is_empty();
    if one { Ok(Some(token.trim())) } else { Err(wrong()) }
}

/// A page in a browser of this machine must not get in where no name is asked for: its requests carry an `Origin`,
/// or a `Host` that its own name server made to point here.
fn local(headers: &HeaderMap) -> Result<(), Problem> {
    let refused =
        || Problem::new(StatusCode::FORBIDDEN, "without names only programs of this machine are let in");
    let host = headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or_else(refused)?;
    let name = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|b| b.is_ascii_digit()) { name } else { host });
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let loopback = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback());
    if loopback && !headers.contains_key(ORIGIN) { Ok(()) } else { Err(refused()) }
}

/// Reads a token file. One that others can write would let them in.
pub(crate) fn read_tokens(path: &Path) -> Result<Tokens, Failure> {
    use std::io::Read as _;
    let unusable = |why: anyhow::Error| {
        Failure::input(why.context(format!("cannot use the token file {}", path.display())))
            .hint("`custody serve token new NAME` makes one; keep it for its owner (`chmod 600`)")
    };
    let file = crate::given::open(path).map_err(|e| unusable(e.into()))?;
    private(&file).map_err(unusable)?;
    let mut text = String::new();
    file.take(MAX_TOKENS + 1).read_to_string(&mut text).map_err(|e| unusable(e.into()))?;
    Tokens::parse(&text).map_err(|e| unusable(e.into()))
}

#[cfg(unix)]
fn private(file: &std::fs::File) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata()?.permissions().mode();
    anyhow::ensure!(mode & 0o022 == 0, "others may write it");
    Ok(())
}

#[cfg(not(unix))]
fn private(_: &std::fs::File) -> anyhow::Result<()> {
    Ok(())
}
