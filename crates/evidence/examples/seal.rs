//! Seals an artefact with a key made on the spot and writes the seal: what `custody seal create` does, without a home, a
//! ledger and words. For measuring the engine alone.
//!
//! `cargo run --release -p evidence --example seal -- [--entries-only] PATH SEAL`

use std::error::Error;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;

use evidence::Options;
use signing::Ed25519Signer;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (entries_only, rest) = match arguments.split_first() {
        Some((first, rest)) if first == "--entries-only" => (true, rest),
        _ => (false, &arguments[..]),
    };
    let [path, seal] = rest else { return Err("usage: seal [--entries-only] PATH SEAL".into()) };
    let options = Options { entries_only, ..Options::default() };
    let found = evidence::collect(Path::new(path), &options, &|_, _| {})?.into_seal()?;
    let signed = found.signed(&[&Ed25519Signer::generate()?])?;
    let mut out = BufWriter::new(File::create(seal)?);
    signed.write_to(&mut out)?;
    out.flush()?;
    println!("{} entries", found.tree().entries().len());
    Ok(())
}
