//! Calls of named functions: how many, how long.
//!
//! Counted in the kernel (`bpf/func.bpf.c`); nothing leaves it for a call but a number in a table, unless arguments are
//! asked for.

mod arguments;
mod kind;

use aya::maps::{MapData, PerCpuArray};
use gobinary::{Binary, Function, Types};
use serde::Serialize;

pub use arguments::{Call, Shown};

use arguments::Plan;
use kind::Kinds;

use crate::engine::{Constant, Engine, Lost, refused};
use crate::error::{Error, Result};
use crate::programs;
use crate::record::{HEADER, Header, u64_at};
use crate::runtime;
use crate::sites::{Finder, Sites};
use crate::target::Target;

/// Functions that may be probed together: `FUNCTIONS` of `bpf/func.bpf.c`.
pub const FUNCTIONS: usize = 1024;
/// Durations are counted by powers of two of nanoseconds: `BUCKETS` of `bpf/func.bpf.c`.
pub const BUCKETS: usize = 64;
/// Names that an error suggests.
const NEAR: usize = 5;

/// What to watch.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Names as the runtime has them (`main.pay`, `net/http.(*Server).Serve`); `*` stands for anything.
    pub names: Vec<String>,
    /// See the ends of calls too.
    pub durations: bool,
    /// Tell each call with its arguments.
    pub arguments: bool,
    /// The bytes of an unstripped build of the same program, for its debug data.
    pub twin: Option<Vec<u8>>,
}

/// A function that is watched.
#[derive(Clone, Debug, Serialize)]
pub struct Watched {
    /// Its name.
    pub name: String,
    /// Its first address, as linked.
    #[serde(skip)]
    pub entry: u64,
    /// Where it is seen.
    #[serde(skip)]
    pub sites: Sites,
    /// Its beginning is seen without a single step.
    pub cheap_entry: bool,
    /// Ends that are seen without a single step, and with one.
    pub cheap_returns: usize,
    /// See `cheap_returns`.
    pub stepped_returns: usize,
}

/// What was seen of a function.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Calls begun.
    pub calls: u64,
    /// Calls whose beginning and end were seen.
    pub returns: u64,
    /// Their durations together.
    pub nanoseconds: u64,
    /// The longest.
    pub longest_ns: u64,
    /// How many took 2^n nanoseconds or more, but less than twice that.
    #[serde(skip)]
    pub histogram: [u64; BUCKETS],
}

impl Totals {
    /// An upper bound of the duration that the given share of calls stayed below, exact to a factor of two.
    #[must_use]
    pub fn quantile(&self, share: f64) -> Option<u64> {
        let all: u64 = self.histogram.iter().sum();
        #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let wanted = ((all as f64) * share).ceil() as u64;
        let mut seen = 0;
        let bucket = self.histogram.iter().position(|count| {
            seen += count;
            seen >= wanted.max(1)
        })?;
        Some((2u64 << bucket.min(62)).min(self.longest_ns.max(1)))
    }
}

/// A running probe. Dropping it detaches.
pub struct Probe {
    engine: Engine,
    watched: Vec<Watched>,
    plans: Vec<Plan>,
    types: Option<Types>,
    totals: PerCpuArray<MapData, [u64; 4]>,
    durations: PerCpuArray<MapData, u64>,
}

impl Probe {
    /// Attaches to every function that fits a name.
    ///
    /// # Errors
    /// [`Error::NoFunction`], [`Error::TooMany`]; [`Error::Missing`] when durations are asked for and the goroutine's
    /// number cannot be had; as [`Engine::load`] and [`Engine::attach`].
    pub fn attach(target: &Target, options: &Options) -> Result<Self> {
        let binary = target.binary()?;
        let functions = binary.functions().map_err(|e| target.not_go(e))?;
        let watched = watched(&binary, &functions, options)?;
        let goid = runtime::goroutine_id(&binary, &functions).map(|(offset, _)| offset);
        if options.durations && goid.is_none() {
            return Err(Error::Missing { what: "the place of a goroutine's number".to_owned() });
        }
        let constants = [
            Constant::Long("goid_offset", goid.unwrap_or(0)),
            Constant::Word("with_durations", u32::from(options.durations)),
        ];
        let types = options.arguments.then(|| binary.types().ok()).flatten();
        let plans = match options.arguments {
            true => plans(&binary, &functions, &watched, types.as_ref(), options.twin.as_deref())?,
            false => Vec::new(),
        };
        let mut engine = Engine::load("func", programs::func()?, &constants)?;
        engine.fill("plans", (0u32..).zip(plans.iter().map(Plan::bytes)))?;
        let (totals, durations) = (engine.counters("totals")?, engine.counters("durations")?);
        // Ends before beginnings: a call that is seen to begin is then seen to end.
        for (number, function) in (0u32..).zip(&watched) {
            for site in function.sites.returns.iter().filter(|_| options.durations) {
                engine.attach("leave", target, site, number)?;
            }
        }
        for (number, function) in (0u32..).zip(&watched) {
            let program = if options.arguments { "arguments" } else { "enter" };
            engine.attach(program, target, &function.sites.entry, number)?;
        }
        Ok(Self { engine, watched, plans, types, totals, durations })
    }

    /// The functions, in the order of their addresses.
    #[must_use]
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// Hands over the calls that were begun since, with their arguments, if these were asked for.
    pub fn drain(&mut self, mut each: impl FnMut(&Watched, Call)) -> usize {
        let (watched, plans, types) = (&self.watched, &self.plans, self.types.as_ref());
        self.engine.drain(|record| {
            if let Some((number, call)) = read(record, watched, plans, types) {
                each(&watched[number], call);
            }
        })
    }

    /// What was seen so far, in the order of [`Probe::watched`].
    ///
    /// # Errors
    /// [`Error::Program`] when the tables cannot be read.
    pub fn totals(&self) -> Result<Vec<Totals>> {
        (0u32..).zip(&self.watched).map(|(number, _)| self.totals_of(number)).collect()
    }

    fn totals_of(&self, number: u32) -> Result<Totals> {
        let rows = self.totals.get(&number, 0).map_err(|e| refused("totals", e))?;
        let mut sums =
            Totals { calls: 0, returns: 0, nanoseconds: 0, longest_ns: 0, histogram: [0; BUCKETS] };
        for [calls, returns, nanoseconds, longest] in rows.iter() {
            sums.calls += calls;
            sums.returns += returns;
            sums.nanoseconds += nanoseconds;
            sums.longest_ns = sums.longest_ns.max(*longest);
        }
        if sums.returns > 0 {
            for (bucket, count) in (0u32..).zip(&mut sums.histogram) {
                let row = number * 64 + bucket;
                let counts = self.durations.get(&row, 0).map_err(|e| refused("durations", e))?;
                *count = counts.iter().sum();
            }
        }
        Ok(sums)
    }

    /// What was not told so far.
    ///
    /// # Errors
    /// As [`Engine::lost`].
    pub fn lost(&self) -> Result<Lost> {
        self.engine.lost()
    }
}

/// One call, and which function's it is.
fn read(record: &[u8], watched: &[Watched], plans: &[Plan], types: Option<&Types>) -> Option<(usize, Call)> {
    let number = usize::try_from(Header::read(record)?.function).ok()?;
    let (function, plan) = (watched.get(number)?, plans.get(number)?);
    // How far the executable was moved when it was loaded.
    let site = function.entry.wrapping_add(function.sites.entry.offset);
    let moved = u64_at(record, HEADER + 8)?.wrapping_sub(site);
    let named = |address: u64, itab: bool| arguments::dynamic(types?, address.wrapping_sub(moved), itab);
    plan.read(record, &named).map(|call| (number, call))
}

/// What to read of the arguments of each function.
fn plans<'a>(
    binary: &Binary<'a>,
    functions: &[Function<'a>],
    watched: &[Watched],
    types: Option<&Types>,
    twin: Option<&[u8]>,
) -> Result<Vec<Plan>> {
    let no_debug_data = |_| Error::Missing { what: "debug data, which `--args` needs,".to_owned() };
    let other = twin.map(Binary::parse).transpose().map_err(no_debug_data)?;
    let from = other.as_ref().unwrap_or(binary);
    let debug = from.debug().map_err(no_debug_data)?;
    let structures = debug.structures().map_err(no_debug_data)?;
    let wanted = |name: &str| watched.iter().any(|w| w.name == name);
    let described = debug.functions(&wanted).map_err(no_debug_data)?;
    let kinds = Kinds::new(types, &structures);
    let minor = binary.build_info().and_then(|go| minor(&go.version)).unwrap_or(u32::MAX);
    let plan = |function: &Watched| {
        if !function.sites.arguments {
            return Ok(Plan::default());
        }
        let code = functions.iter().find(|f| f.entry == function.entry).map(|f| binary.code(f));
        let theirs = other.as_ref().map(|twin| twin_code(twin, function));
        if theirs.is_some_and(|theirs| theirs != code) {
            return Err(Error::Missing {
                what: format!("the code of `{}` in the twin: it is another build; it", function.name),
            });
        }
        let found = described.iter().find(|d| d.entry == function.entry);
        Ok(found.map(|found| Plan::of(found, &kinds, minor)).unwrap_or_default())
    };
    watched.iter().map(plan).collect()
}

/// Reads any bytes as a call of a function with arguments of many kinds, for [`crate::fuzzing`].
pub(crate) fn read_any(record: &[u8]) {
    use gobinary::abi::Shape;
    use gobinary::debug::{DebugFunction, Parameter};
    let word = || Shape::Integer { bytes: 8 };
    let parameter = |(name, words): (&str, u64)| Parameter {
        name: name.to_owned(),
        result: false,
        type_name: name.to_owned(),
        shape: Some(if words == 1 { word() } else { Shape::words(words, 8) }),
        at_entry: Vec::new(),
    };
    let types =
        [("int8", 1), ("string", 2), ("[]int32", 3), ("error", 2), ("any", 2), ("float64", 1), ("[]bool", 3)];
    let parameters = types.into_iter().map(parameter).collect();
    let function = DebugFunction { name: "main.f".to_owned(), entry: 0x40_1000, parameters };
    let plan = Plan::of(&function, &Kinds::new(None, &[]), 27);
    if let Some(call) = plan.read(record, &|_, _| None) {
        assert_eq!(call.arguments.len(), types.len(), "each argument is shown");
    }
}

fn twin_code<'t>(twin: &Binary<'t>, function: &Watched) -> Option<&'t [u8]> {
    let functions = twin.functions().ok()?;
    functions.iter().find(|f| f.entry == function.entry && f.name == function.name).map(|f| twin.code(f))
}

/// 26 of `go1.26.8`.
fn minor(version: &str) -> Option<u32> {
    let rest = version.strip_prefix("go1.")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn watched<'a>(binary: &Binary<'a>, functions: &[Function<'a>], options: &Options) -> Result<Vec<Watched>> {
    let finder = Finder::new(binary, functions);
    let mut found = Vec::new();
    for name in &options.names {
        let fitting: Vec<_> = functions.iter().filter(|f| fits(name, &f.name)).collect();
        if fitting.is_empty() {
            return Err(Error::NoFunction { name: name.clone(), near: near(name, functions) });
        }
        if fitting.len() > FUNCTIONS {
            return Err(Error::TooMany { found: fitting.len(), limit: FUNCTIONS });
        }
        let pattern = name.contains('*');
        for function in fitting {
            match finder.sites(function) {
                Some(sites) => found.push(Watched::new(function, sites)),
                // Without code: what a pattern takes in by the way is left out.
                None if pattern => {}
                None => return Err(Error::Missing { what: format!("the code of `{name}`") }),
            }
        }
    }
    found.sort_by_key(|watched| watched.entry);
    found.dedup_by_key(|watched| watched.entry);
    if found.len() > FUNCTIONS {
        return Err(Error::TooMany { found: found.len(), limit: FUNCTIONS });
    }
    Ok(found)
}

impl Watched {
    fn new(function: &Function<'_>, sites: Sites) -> Self {
        let cheap_returns = sites.returns.iter().filter(|site| site.cheap).count();
        Self {
            name: function.name.clone().into_owned(),
            entry: function.entry,
            cheap_entry: sites.entry.cheap,
            cheap_returns,
            stepped_returns: sites.returns.len() - cheap_returns,
            sites,
        }
    }
}

/// Whether `name` is what `pattern` says; `*` stands for any characters.
fn fits(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = name.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        let Some(at) = rest.find(part) else { return false };
        rest = &rest[at + part.len()..];
    }
    rest.ends_with(last)
}

/// Functions whose last word is the one asked for, or contains it.
fn near(name: &str, functions: &[Function<'_>]) -> Vec<String> {
    let word = name.rsplit(['.', '/']).next().unwrap_or(name).trim_matches('*');
    if word.len() < 3 {
        return Vec::new();
    }
    let lower = word.to_lowercase();
    let mut near: Vec<&str> =
        functions.iter().map(|f| f.name.as_ref()).filter(|n| n.to_lowercase().contains(&lower)).collect();
    near.sort_by_key(|name| name.len());
    near.into_iter().take(NEAR).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(fits("main.pay", "main.pay"));
        assert!(!fits("main.pay", "main.payAll"));
        assert!(fits("main.*", "main.payAll"));
        assert!(fits("net/http.(*).Serve*", "net/http.(*Server).ServeTLS"));
        assert!(fits("*", "x"));
        assert!(!fits("a*b*c", "a-c-b"));
        assert!(fits("a*b", "ab"));
        assert!(!fits("ab*ab", "ab"));
    }

    #[test]
    fn a_quantile_is_a_bound_of_its_bucket() {
        let mut totals =
            Totals { calls: 100, returns: 100, nanoseconds: 0, longest_ns: 5000, histogram: [0; BUCKETS] };
        totals.histogram[10] = 99; // 1024..2048
        totals.histogram[12] = 1; // 4096..8192
        assert_eq!(totals.quantile(0.5), Some(2048));
        assert_eq!(totals.quantile(0.99), Some(2048));
        assert_eq!(totals.quantile(1.0), Some(5000));
        totals.histogram = [0; BUCKETS];
        assert_eq!(totals.quantile(0.5), None);
    }
}
