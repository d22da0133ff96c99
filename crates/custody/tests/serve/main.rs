//! `custody serve` from the outside: what is acknowledged is durable, what is refused says where, who is let in is
//! named, and what is hostile costs only itself.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test says what it expects by unwrapping")]

#[path = "../support/mod.rs"]
mod support;

mod alerts;
mod events;
mod evidence;
mod full;
mod heart;
mod hostile;
mod kill;
mod life;
mod names;
mod otlp;
mod reads;
mod rig;
