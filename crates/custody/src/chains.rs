//! `[[anchor]]` of custody.toml: who anchors, by name, with the keys that the home keeps for it.
//!
//! Keys and secrets are files that nobody else can read; they stand in no configuration, no argument and no log.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anchor::baas::auth::{Handshake, Jwt, PerRequest, Tc3};
use anchor::baas::{AntChain, Chain, Rest, Tencent, XuperChain};
use anchor::rekor::{Api, Rekor};
use anchor::tsa::Tsa;
use anchor::{Authority, Http};
use serde::Deserialize;
use signing::{Signer, keys};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::given;

/// Bytes of a key, a secret or certificates.
const MAX_FILE: u64 = 1 << 20;

/// One of `[[anchor]]` as it is written. Which fields are needed, the kind says (docs/formats/anchor.md).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Named {
    /// The name under which it is asked, and recorded.
    pub(crate) name: String,
    kind: Kind,
    url: String,
    /// Certificates that are trusted for its https instead of the system's (PEM).
    web_ca: Option<PathBuf>,
    /// Its private key (PEM): RSA for `antchain`, ECDSA on P-256 for `xuperchain`.
    key_file: Option<PathBuf>,
    /// Its secret, the first line: of `tencent` and `rest`.
    secret_file: Option<PathBuf>,
    access_id: String,
    chain_id: String,
    account: String,
    key_id: String,
    tenant: String,
    region: String,
    cluster: String,
    contract: String,
    function: String,
    token_url: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    #[default]
    Rfc3161,
    Rekor,
    RekorV1,
    Antchain,
    Tencent,
    Xuperchain,
    Rest,
}

impl Named {
    /// Opens it; files are named from the home.
    pub(crate) fn open(&self, home: &Path) -> Result<Box<dyn Authority>, Failure> {
        let unusable = |why: anyhow::Error| {
            Failure::input(why.context(format!("cannot use `[[anchor]]` `{}` of custody.toml", self.name)))
                .hint(
                    "docs/formats/anchor.md has the fields of each kind; keys are files for their owner only",
                )
        };
        self.build(home).map_err(unusable)
    }

    fn build(&self, home: &Path) -> anyhow::Result<Box<dyn Authority>> {
        anyhow::ensure!(!self.name.is_empty() && self.name.len() <= 64, "it needs a name of 1 to 64 bytes");
        let secure = self.url.starts_with("https://") || is_loopback(&self.url);
        let signed = matches!(self.kind, Kind::Rfc3161 | Kind::Rekor | Kind::RekorV1);
        anyhow::ensure!(secure || signed, "its url is not https://, so that its token could be read");
        let http = self.http(home)?;
        let text = |value: &str, field: &str| -> anyhow::Result<String> {
            anyhow::ensure!(!value.is_empty(), "its kind needs `{field}`");
            Ok(value.to_owned())
        };
        let url = text(&self.url, "url")?;
        let chain = |platform, auth| Box::new(Chain::new(&self.name, http.clone(), platform, auth));
        Ok(match self.kind {
            Kind::Rfc3161 => Box::new(Tsa::new(http, url)),
            Kind::Rekor => Box::new(Rekor::new(http, &url, Api::V2)),
            Kind::RekorV1 => Box::new(Rekor::new(http, &url, Api::V1)),
            Kind::Antchain => {
                let access = text(&self.access_id, "access_id")?;
                let auth = Handshake::new(http.clone(), &url, &access, self.key(home)?);
                let platform = AntChain {
                    url,
                    chain_id: text(&self.chain_id, "chain_id")?,
                    account: text(&self.account, "account")?,
                    key_id: text(&self.key_id, "key_id")?,
                    tenant: text(&self.tenant, "tenant")?,
                };
                chain(Box::new(platform), Box::new(auth))
            }
            Kind::Tencent => {
                let auth = Tc3::new(&text(&self.access_id, "access_id")?, self.secret(home)?, "tbaas");
                let platform = Tencent {
                    url,
                    region: text(&self.region, "region")?,
                    cluster: text(&self.cluster, "cluster")?,
                    chain_id: text(&self.chain_id, "chain_id")?,
                    contract: text(&self.contract, "contract")?,
                    function: text(&self.function, "function")?,
                };
                chain(Box::new(platform), Box::new(auth))
            }
            Kind::Xuperchain => {
                let auth = PerRequest::new(self.key(home)?)?;
                let platform = XuperChain {
                    url,
                    chain: text(&self.chain_id, "chain_id")?,
                    contract: text(&self.contract, "contract")?,
                    function: text(&self.function, "function")?,
                };
                chain(Box::new(platform), Box::new(auth))
            }
            Kind::Rest => {
                let (token, id) = (text(&self.token_url, "token_url")?, text(&self.access_id, "access_id")?);
                let auth = Jwt::new(http.clone(), &token, &id, self.secret(home)?);
                chain(Box::new(Rest { url }), Box::new(auth))
            }
        })
    }

    fn http(&self, home: &Path) -> anyhow::Result<Http> {
        let Some(file) = &self.web_ca else { return Ok(Http::default()) };
        let pem = read(&home.join(file), false)?;
        Ok(Http::new(&pkix::pem::blocks(&pem, "CERTIFICATE")?))
    }

    fn key(&self, home: &Path) -> anyhow::Result<Box<dyn Signer>> {
        let file = self.key_file.as_ref().ok_or_else(|| anyhow::anyhow!("its kind needs `key_file`"))?;
        let pem = read(&home.join(file), true)?;
        Ok(keys::signer_from_pem(std::str::from_utf8(&pem)?)?)
    }

    fn secret(&self, home: &Path) -> anyhow::Result<Zeroizing<String>> {
        let file =
            self.secret_file.as_ref().ok_or_else(|| anyhow::anyhow!("its kind needs `secret_file`"))?;
        let bytes = read(&home.join(file), true)?;
        let line = std::str::from_utf8(&bytes)?.lines().next().unwrap_or_default();
        anyhow::ensure!(!line.is_empty(), "{} is empty", file.display());
        Ok(Zeroizing::new(line.to_owned()))
    }
}

/// The authorities that the configuration names, each name once.
pub(crate) fn find<'a>(all: &'a [Named], name: &str) -> Result<&'a Named, Failure> {
    let mut found = all.iter().filter(|anchor| anchor.name == name);
    match (found.next(), found.next()) {
        (Some(one), None) => Ok(one),
        (Some(_), Some(_)) => Err(Failure::input(anyhow::anyhow!("`{name}` stands twice in custody.toml"))),
        (None, _) => Err(Failure::input(anyhow::anyhow!("custody.toml names no anchor `{name}`"))
            .hint("add it as `[[anchor]]`; docs/formats/anchor.md has the fields of each kind")),
    }
}

fn is_loopback(url: &str) -> bool {
    let host = url.strip_prefix("http://").and_then(|rest| rest.split(['/', '?']).next()).unwrap_or_default();
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    host == "localhost"
        || host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

fn read(path: &Path, secret: bool) -> anyhow::Result<Zeroizing<Vec<u8>>> {
    let named = |e: std::io::Error| anyhow::Error::from(e).context(path.display().to_string());
    let file = given::open(path).map_err(named)?;
    #[cfg(unix)]
    if secret {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file.metadata().map_err(named)?.permissions().mode();
        anyhow::ensure!(mode & 0o077 == 0, "others may read {}", path.display());
    }
    #[cfg(not(unix))]
    let _ = secret;
    // The whole room at once: a buffer that grew would leave unwiped copies of a secret behind.
    let size = file.metadata().map_or(0, |m| m.len()).min(MAX_FILE);
    let mut bytes = Zeroizing::new(Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1));
    file.take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(named)?;
    anyhow::ensure!(bytes.len() as u64 <= MAX_FILE, "{} is larger than 1 MiB", path.display());
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_asked_without_tls() {
        for url in ["http://127.0.0.1:8080/x", "http://localhost", "http://[::1]:80/", "http://127.9.9.9?a"] {
            assert!(is_loopback(url), "{url}");
        }
        for url in
            ["http://10.0.0.1", "http://localhost.example.com", "https://a", "http://127.0.0.1.evil.com/"]
        {
            assert!(!is_loopback(url), "{url}");
        }
    }

    #[test]
    fn each_kind_says_what_it_needs() {
        let of = |text: &str| toml::from_str::<Named>(text).unwrap();
        let refused = |text: &str| {
            let failure = of(text).open(Path::new("/")).err();
            failure.map(|failure| failure.to_string()).unwrap_or_default()
        };
        assert!(refused("name='a'\nkind='antchain'\nurl='http://chain.example.com'").contains("not https"));
        assert!(refused("name='a'\nkind='antchain'\nurl='https://x'").contains("access_id"));
        assert!(
            refused("name='a'\nkind='rest'\nurl='https://x'\ntoken_url='https://t'\naccess_id='i'")
                .contains("secret_file")
        );
        assert!(refused("kind='rekor'\nurl='https://x'").contains("name"));
        assert!(refused("name='a'\nkind='rekor'\nurl='https://x'").is_empty());
        assert!(toml::from_str::<Named>("name='a'\nkind='other'").is_err());
    }
}
