//! The one entry point: what CI and a laptop run.
fn main() {}
