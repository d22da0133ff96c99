//! The hardening score: what a build could have done and did not, and the flag that mends it.
//!
//! A check either holds, fails, is not applicable (the container or the way of linking has no such thing), or is
//! unknown (the file does not say). The score is the weight of what holds in the weight of what holds or fails,
//! in hundredths. Checks of weight 0 are remarks. `docs/formats/inspect.md` has the table.

use serde::Serialize;

use crate::buildinfo::minor_release;
use crate::facts::{GoInfo, Inspection, Kind, NxStack, Relro};

/// The newest release of Go that this version of Custody knows. Go supports a release until two newer ones stand
/// (go.dev/doc/devel/release#policy), so this release and the one before it count as supported.
pub const NEWEST_KNOWN_GO: u32 = 27;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// It holds.
    Holds,
    /// It does not.
    Fails,
    /// There is no such thing in this kind of file.
    NotApplicable,
    /// The file does not say.
    Unknown,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// Stable name.
    pub id: &'static str,
    /// How it ended.
    pub status: Status,
    /// What it counts; 0 for a remark.
    pub weight: u32,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// What was seen in this file.
    pub seen: String,
    /// What to build with instead; only for a check that fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mend: Option<&'static str>,
}

/// The checks and what they come to.
#[derive(Clone, Debug, Serialize)]
pub struct Assessment {
    /// 0 to 100.
    pub score: u32,
    /// Heaviest first.
    pub checks: Vec<Check>,
}

/// Judges `facts`.
#[must_use]
pub fn assess(facts: &Inspection) -> Assessment {
    let windows = facts.format == "pe";
    let mut checks = vec![write_execute(facts), position(facts), nx(facts), go_release(facts), relro(facts)];
    if windows {
        checks.extend([high_entropy(facts), authenticode(facts), guard_cf(facts)]);
    }
    checks.extend([paths(facts), module_sums(facts), release_build(facts)]);
    checks.extend([vcs(facts), vcs_clean(facts), pure_go(facts), search_paths(facts), symbols(facts)]);
    checks.push(cryptography(facts));
    checks.sort_by_key(|check| std::cmp::Reverse(check.weight)); // stable: the order above within a weight
    Assessment { score: score(&checks), checks }
}

fn score(checks: &[Check]) -> u32 {
    let weight = |status| checks.iter().filter(|c| c.status == status).map(|c| c.weight).sum::<u32>();
    let (holds, fails) = (weight(Status::Holds), weight(Status::Fails));
    (200 * holds + holds + fails).checked_div(2 * (holds + fails)).unwrap_or(0) // rounded to the nearest
}

/// The fixed part of a check.
struct Rule {
    id: &'static str,
    weight: u32,
    meaning: &'static str,
    mend: &'static str,
}

impl Rule {
    fn found(&self, status: Status, seen: impl Into<String>) -> Check {
        let mend = (status == Status::Fails && !self.mend.is_empty()).then_some(self.mend);
        Check { id: self.id, status, weight: self.weight, meaning: self.meaning, seen: seen.into(), mend }
    }

    fn holds(&self, holds: bool, seen: impl Into<String>) -> Check {
        self.found(if holds { Status::Holds } else { Status::Fails }, seen)
    }
}

fn setting<'f>(facts: &'f Inspection, name: &str) -> Option<&'f str> {
    facts.go.as_ref()?.settings.get(name).map(String::as_str)
}

fn write_execute(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "no-write-execute",
        weight: 20,
        meaning: "no memory is writable and executable at once, so written data cannot be run as code",
        mend: "remove the linker flag or linker script that merges segments (-extldflags=-Wl,-N or --omagic)",
    };
    let both = &facts.memory.write_execute;
    let seen = if both.is_empty() { "none".to_owned() } else { both.join(", ") };
    rule.holds(both.is_empty(), seen)
}

fn position(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "position-independent",
        weight: 15,
        meaning: "the loader places the code at a random address (ASLR), so an attacker cannot know it beforehand",
        mend: "-buildmode=pie",
    };
    match facts.linkage.kind {
        Kind::PositionIndependent => rule.found(Status::Holds, "position-independent executable"),
        Kind::SharedLibrary => rule.found(Status::Holds, "shared library"),
        Kind::Executable => rule.found(Status::Fails, "fixed address"),
        Kind::Other => rule.found(Status::NotApplicable, "not an executable"),
    }
}

fn nx(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "nx-stack",
        weight: 15,
        meaning: "data and stacks are not executable",
        mend: "-ldflags='-linkmode=external -extldflags=-Wl,-z,noexecstack', and mark assembly files in cgo packages with .note.GNU-stack",
    };
    match facts.memory.nx_stack {
        NxStack::Yes => rule.found(Status::Holds, "not executable"),
        NxStack::No => rule.found(Status::Fails, "executable"),
        NxStack::Unstated => rule.found(Status::Unknown, "the file does not say"),
    }
}

fn go_release(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "go-supported",
        weight: 15,
        meaning: "the Go release still gets security fixes, as far as this version of Custody knows the releases",
        mend: "build with one of the two newest releases of Go (the `toolchain` line of go.mod pins it)",
    };
    let Some(version) = facts.go.as_ref().map(|go| go.version.as_str()) else {
        return rule.found(Status::Unknown, "no Go version in the file");
    };
    match minor_release(version) {
        None => rule.found(Status::Unknown, version),
        Some(minor) => {
            let note = format!("{version} (newest known: go1.{NEWEST_KNOWN_GO})");
            rule.holds(minor + 1 >= NEWEST_KNOWN_GO, note)
        }
    }
}

fn relro(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "relro",
        weight: 10,
        meaning: "tables that the loader fills are read-only afterwards, so they cannot be redirected",
        mend: "-buildmode=pie -ldflags='-linkmode=external -extldflags=-Wl,-z,relro,-z,now' (needs cgo and a C linker)",
    };
    let memory = &facts.memory;
    match memory.relro {
        None => rule.found(Status::NotApplicable, "this kind of file has no such thing"),
        Some(_) if !memory.relro_needed => {
            rule.found(Status::NotApplicable, "static at a fixed address: the loader relocates nothing")
        }
        Some(Relro::Full) => rule.found(Status::Holds, "full"),
        Some(Relro::Partial) if !memory.binds_lazily => {
            rule.found(Status::Holds, "partial, and nothing is bound lazily")
        }
        Some(Relro::Partial) => rule.found(Status::Fails, "partial: lazily bound functions stay writable"),
        Some(Relro::None) => rule.found(Status::Fails, "none"),
    }
}

fn high_entropy(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "high-entropy-va",
        weight: 5,
        meaning: "random addresses come from the whole 64-bit space",
        mend: "-buildmode=pie with GOARCH=amd64 or arm64",
    };
    let Some(pe) = facts.pe else { return rule.found(Status::NotApplicable, "not PE") };
    if facts.bits == 32 {
        return rule.found(Status::NotApplicable, "a 32-bit image has no such space");
    }
    let holds = pe.dynamic_base && pe.high_entropy_va;
    rule.holds(holds, if holds { "set" } else { "not set" })
}

fn authenticode(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "authenticode",
        weight: 10,
        meaning: "a signature is attached, so Windows can name the publisher; it is not verified here",
        mend: "sign the finished file",
    };
    let Some(pe) = facts.pe else { return rule.found(Status::NotApplicable, "not PE") };
    rule.holds(pe.authenticode, if pe.authenticode { "present" } else { "absent" })
}

fn guard_cf(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "guard-cf",
        weight: 0,
        meaning: "Control Flow Guard checks indirect calls; no Go toolchain writes its tables",
        mend: "",
    };
    let Some(pe) = facts.pe else { return rule.found(Status::NotApplicable, "not PE") };
    rule.holds(pe.guard_cf, if pe.guard_cf { "set" } else { "not set" })
}

fn paths(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "trimpath",
        weight: 10,
        meaning: "no path of the building machine is inside: they name its users and make builds differ",
        mend: "-trimpath",
    };
    let paths = &facts.paths;
    if facts.function_table.is_none() {
        return rule.found(Status::Unknown, "the function table cannot be read");
    }
    match paths.homes.first() {
        Some(home) => rule.found(Status::Fails, format!("{} absolute, some under {home}", paths.absolute)),
        None if paths.absolute > 0 => rule.found(Status::Fails, format!("{} absolute", paths.absolute)),
        None => rule.found(Status::Holds, format!("{} files, none absolute", paths.files)),
    }
}

fn module_sums(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "module-sums",
        weight: 10,
        meaning: "every module linked in is identified by a checksum of go.sum",
        mend: "replace local directories and unsummed modules by published versions in go.mod",
    };
    let Some(go) = &facts.go else { return rule.found(Status::Unknown, "no build information") };
    if go.modules.is_empty() {
        return rule.found(Status::NotApplicable, "no module besides the main one");
    }
    let unsummed = go.modules.iter().filter(|m| m.replace.as_deref().unwrap_or(m).sum.is_empty());
    let names: Vec<&str> = unsummed.map(|m| m.path.as_str()).take(3).collect();
    match names.is_empty() {
        true => rule.found(Status::Holds, format!("{} of {}", go.modules.len(), go.modules.len())),
        false => rule.found(Status::Fails, format!("without a sum: {}", names.join(", "))),
    }
}

fn release_build(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "release-build",
        weight: 5,
        meaning: "it is not a build for debugging: optimised, without race, memory or address sanitizer",
        mend: "build without -race, -msan, -asan, -cover and without -gcflags='-N -l'",
    };
    if facts.go.is_none() {
        return rule.found(Status::Unknown, "no build information");
    }
    let switched =
        ["-race", "-msan", "-asan", "-cover"].into_iter().filter(|s| setting(facts, s) == Some("true"));
    let mut seen: Vec<&str> = switched.collect();
    let flags = setting(facts, "-gcflags").unwrap_or_default();
    seen.extend(flags.split([' ', '=']).filter(|f| matches!(*f, "-N" | "-l")));
    rule.holds(seen.is_empty(), if seen.is_empty() { "no debugging flag".to_owned() } else { seen.join(" ") })
}

fn vcs(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "vcs-stamp",
        weight: 5,
        meaning: "the commit it was built from is recorded",
        mend: "build inside the repository with -buildvcs=true, and name the package (`.`), not its files",
    };
    let Some(GoInfo { .. }) = &facts.go else { return rule.found(Status::Unknown, "no build information") };
    match setting(facts, "vcs.revision") {
        Some(revision) => rule.found(Status::Holds, revision),
        None => rule.found(Status::Fails, "no revision"),
    }
}

fn vcs_clean(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "vcs-clean",
        weight: 5,
        meaning: "the working copy had no uncommitted change, so the commit says what was built",
        mend: "commit or stash before building",
    };
    match setting(facts, "vcs.modified") {
        Some("false") => rule.found(Status::Holds, "unmodified"),
        Some(_) => rule.found(Status::Fails, "modified"),
        None => rule.found(Status::Unknown, "not recorded"),
    }
}

fn pure_go(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "pure-go",
        weight: 5,
        meaning: "no C code is linked in, so Go's memory safety covers the whole program",
        mend: "CGO_ENABLED=0 (check that name resolution and user lookup still do what you need)",
    };
    match facts.cgo.linked {
        Some(linked) => rule.holds(!linked, if linked { "cgo is linked in" } else { "no cgo" }),
        None => rule.found(Status::Unknown, "the function table cannot be read"),
    }
}

fn search_paths(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "no-search-path",
        weight: 5,
        meaning: "libraries are looked up only where the system keeps them",
        mend: "remove -Wl,-rpath from -extldflags and CGO_LDFLAGS",
    };
    let paths = &facts.linkage.search_paths;
    if facts.format != "elf" || facts.linkage.static_linked {
        return rule.found(Status::NotApplicable, "no library search");
    }
    rule.holds(paths.is_empty(), if paths.is_empty() { "none".to_owned() } else { paths.join(", ") })
}

fn symbols(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "stripped",
        weight: 0,
        meaning: "stripping saves space but is no protection: the runtime's own table still names every function, and debuggers and probes work worse without symbols and DWARF",
        mend: "-ldflags='-s -w', only for the space",
    };
    let symbols = &facts.symbols;
    let kept = match (symbols.stripped, symbols.dwarf) {
        (true, false) => return rule.found(Status::Holds, "no symbols, no DWARF"),
        (true, true) => "DWARF kept",
        (false, false) => "symbols kept",
        (false, true) => "symbols and DWARF kept",
    };
    rule.found(Status::Fails, format!("{kept}: {} bytes", symbols.removable_bytes))
}

fn cryptography(facts: &Inspection) -> Check {
    let rule = Rule {
        id: "certified-cryptography",
        weight: 0,
        meaning: "a FIPS 140 module was asked for at build time (GOFIPS140 or GOEXPERIMENT=boringcrypto)",
        mend: "",
    };
    let Some(go) = &facts.go else { return rule.found(Status::Unknown, "no build information") };
    let boring = go.version.contains("boringcrypto")
        || setting(facts, "GOEXPERIMENT").is_some_and(|e| e.split(',').any(|e| e == "boringcrypto"));
    match setting(facts, "GOFIPS140") {
        Some(module) => rule.found(Status::Holds, format!("GOFIPS140={module}")),
        None if boring => rule.found(Status::Holds, "boringcrypto"),
        None => rule.found(Status::NotApplicable, "not asked for"),
    }
}
