//! `custody modules`: whether the Go modules of a build are the ones that everybody got.

mod online;
mod report;
mod statement;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use clap::{Args, Subcommand};
use evidence::modules::{Cache, Copy, Database, Files, Listed, ModulesError, SUM_GOLANG_ORG, Sum};
use signing::note::NoteVerifier;

use self::online::Online;
use self::report::{Checked, Report};
use super::Context;
use crate::failure::{Failure, Outcome};

/// A longer file is no go.sum.
const MAX_GO_SUM: u64 = 16 << 20;

/// Arguments of `custody modules`.
#[derive(Args)]
pub(crate) struct ModulesArgs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Hold go.sum, the module cache and the checksum database against each other, and name what lies
    #[command(
        after_help = "Exit code 0: nothing contradicts; 1: something does, or the database does not prove it;\n\
                      2: there is no go.sum, or it cannot be understood; 3: it cannot be read.\n\n\
                      Examples:\n  $ custody modules verify src\n  \
                      $ custody modules verify src --sumdb modcache/cache/download/sumdb/sum.golang.org --json\n  \
                      $ custody modules verify src --online -o modules.intoto.json"
    )]
    Verify(VerifyArgs),
}

#[derive(Args)]
struct VerifyArgs {
    /// The folder with go.sum, or the file
    path: PathBuf,
    /// The module cache [default: as `go env GOMODCACHE` would say]
    #[arg(long, value_name = "DIR")]
    modcache: Option<PathBuf>,
    /// A saved copy of the checksum database, as go keeps it below GOMODCACHE/cache/download/sumdb
    #[arg(long, value_name = "DIR", conflicts_with = "online")]
    sumdb: Option<PathBuf>,
    /// Ask the database itself, as GOPROXY and GOSUMDB say
    #[arg(long)]
    online: bool,
    /// The database's public key [default: that in GOSUMDB, else sum.golang.org's]
    #[arg(long, value_name = "NAME+HASH+KEY")]
    sumdb_key: Option<String>,
    /// Modules that no database knows, as in GOPRIVATE [default: GONOSUMDB, else GOPRIVATE]
    #[arg(long, value_name = "GLOBS")]
    private: Option<String>,
    /// Count a module that is not in the cache as a finding
    #[arg(long)]
    require_all: bool,
    /// Write a signed in-toto statement of what holds
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Sign it with this key of the home [default: as custody.toml says, else `default`]
    #[arg(long, value_name = "NAME", requires = "output")]
    key: Option<String>,
}

/// Runs `custody modules`.
pub(crate) fn run(args: &ModulesArgs, context: &Context) -> Outcome {
    let Verb::Verify(args) = &args.verb;
    let file = if args.path.is_dir() { args.path.join("go.sum") } else { args.path.clone() };
    let text = read(&file)?;
    let sums = evidence::modules::parse(&text).map_err(|e| failure(e, &file))?;
    let cache = Cache(args.modcache.clone().or_else(mod_cache).ok_or_else(no_cache)?);
    let checked = check_all(args, &cache, &sums)?;
    let report = Report::new(&file, &cache.0, &text, checked, args.require_all);
    if let Some(output) = args.output.as_deref().filter(|_| report.holds) {
        statement::write(output, args.key.as_deref(), &report, context)?;
    }
    context.conclude(&report, Report::lines)?;
    match report.holds {
        true => Ok(()),
        false => Err(Failure::finding(anyhow!("`{}`: {}", file.display(), report.summary())).hint(
            "`go clean -modcache` and a new download mend a cache; a go.sum that lies came from someone",
        )),
    }
}

fn check_all(args: &VerifyArgs, cache: &Cache, sums: &[Sum]) -> Result<Vec<Checked>, Failure> {
    let private = args.private.clone().or_else(|| env("GONOSUMDB")).or_else(|| env("GOPRIVATE"));
    let private = private.unwrap_or_default();
    let mut ask: Ask = match (&args.sumdb, args.online) {
        (Some(folder), _) if folder.is_dir() => asking(Database::new(Copy(folder.clone()), key(args)?)),
        (Some(folder), _) => {
            return Err(Failure::input(anyhow!("`{}` is no folder", folder.display()))
                .hint("go keeps its copy at GOMODCACHE/cache/download/sumdb/sum.golang.org"));
        }
        (None, true) => {
            let key = key(args)?;
            let online = Online::from_environment(key.name())?;
            asking(Database::new(online, key))
        }
        (None, false) => Box::new(|_| None),
    };
    let check = |sum: &Sum| {
        let content = cache.check(sum).map_err(|e| failure(e, &cache.0))?;
        let listed = if is_private(&private, &sum.module) { None } else { ask(sum) };
        Ok(Checked { sum: sum.clone(), content, listed })
    };
    sums.iter().map(check).collect()
}

/// Asks a database, if there is one.
type Ask = Box<dyn FnMut(&Sum) -> Option<Listed>>;

fn asking<F: Files + 'static>(mut database: Database<F>) -> Ask {
    Box::new(move |sum| Some(evidence::modules::look_up(&mut database, sum)))
}

/// GOSUMDB is `name`, `name+hash+key`, or either with an address behind it (golang.org/ref/mod#environment-variables).
fn key(args: &VerifyArgs) -> Result<NoteVerifier, Failure> {
    let given = args.sumdb_key.clone().or_else(|| env("GOSUMDB")).unwrap_or_default();
    let text = match given.split_ascii_whitespace().next() {
        None | Some("sum.golang.org" | "off") => SUM_GOLANG_ORG,
        Some(text) => text,
    };
    NoteVerifier::parse(text)
        .with_context(|| format!("`{text}` is no key of a checksum database"))
        .map_err(|e| Failure::input(e).hint("write it as `name+hash+key`"))
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// As `go env GOMODCACHE` without a configuration file.
fn mod_cache() -> Option<PathBuf> {
    let below = |path: PathBuf| path.join("pkg/mod");
    env("GOMODCACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::split_paths(&std::env::var_os("GOPATH")?).find(|p| p.is_absolute()).map(below))
        .or_else(|| std::env::home_dir().map(|home| below(home.join("go"))))
}

fn no_cache() -> Failure {
    Failure::input(anyhow!("there is no module cache")).hint("name it with `--modcache DIR`")
}

fn read(file: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let failed = |e: std::io::Error| {
        let misnamed = crate::given::is_misnamed(&e);
        let error = anyhow::Error::from(e).context(format!("cannot read `{}`", file.display()));
        match misnamed {
            true => Failure::input(error).hint("name a folder with a go.sum; `go mod tidy` writes one"),
            false => Failure::environment(error),
        }
    };
    let mut text = String::new();
    crate::given::open(file)
        .and_then(|f| f.take(MAX_GO_SUM + 1).read_to_string(&mut text))
        .map_err(failed)?;
    Ok(text)
}

fn failure(error: ModulesError, path: &Path) -> Failure {
    let environment = matches!(error, ModulesError::Read { .. });
    let error = anyhow::Error::from(error).context(format!("cannot check `{}`", path.display()));
    if environment { Failure::environment(error) } else { Failure::input(error) }
}

/// Whether one of the patterns, separated by commas, matches the first elements of a module path
/// (golang.org/x/mod/module, MatchPrefixPatterns).
fn is_private(patterns: &str, module: &str) -> bool {
    patterns.split(',').map(|p| p.trim().trim_end_matches('/')).filter(|p| !p.is_empty()).any(|pattern| {
        let mut elements = module.split('/');
        pattern.split('/').all(|p| elements.next().is_some_and(|e| matches(p.as_bytes(), e.as_bytes())))
    })
}

/// `*` is any number of characters and `?` is one.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => (0..=text.len()).any(|skip| matches(rest, &text[skip..])),
        (Some((b'?', rest)), Some((_, text))) => matches(rest, text),
        (Some((p, rest)), Some((t, text))) => p == t && matches(rest, text),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_private;

    #[test]
    fn private_patterns_match_leading_elements() {
        assert!(is_private("*.corp.example, rsc.io/private", "git.corp.example/a/b"));
        assert!(is_private("rsc.io/private", "rsc.io/private/x"));
        assert!(!is_private("rsc.io/private", "rsc.io"));
        assert!(!is_private("rsc.io/private", "rsc.io/privateer"));
        assert!(!is_private("", "rsc.io"));
    }
}
