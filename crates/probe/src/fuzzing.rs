//! Oracles for `fuzz/`: hostile bytes may be refused, and nothing else.

use crate::sites;

/// The code of a function: sites lie within it, in order, each once.
pub fn code(data: &[u8]) {
    let sites = sites::returns_in(data);
    assert!(sites.windows(2).all(|pair| pair[0] < pair[1]), "sites are in order, each once");
    assert!(sites.iter().all(|site| *site < data.len() as u64), "sites are in the code");
}

/// A record of a request: what is shown is bounded, whatever the target's memory held.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn request(data: &[u8]) {
    let Some(request) = crate::http::Request::read(data) else { return };
    // A byte that is not UTF-8 shows as three.
    assert!(request.uri.len() <= 3 * 512 && request.method.len() <= 3 * 16, "texts have bounds");
    assert!(
        request.uri.starts_with(request.path()) || request.uri.contains("://"),
        "a path is part of the URI"
    );
    let _ = request.query();
}

/// A record of a call with arguments of every kind.
#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
pub fn call(data: &[u8]) {
    crate::func::read_any(data);
}

#[cfg(test)]
mod tests {
    use fuzz_replay::Target;

    #[test]
    fn seeds_are_replayed() {
        let targets: &[Target] =
            &[("probe_code", super::code), ("probe_request", super::request), ("probe_call", super::call)];
        fuzz_replay::corpus(targets);
        fuzz_replay::every_byte(targets);
    }
}
