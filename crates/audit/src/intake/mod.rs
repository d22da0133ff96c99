//! What comes over a network, read before anything is believed: bodies, query strings, bearer tokens.
//!
//! Pure: bytes in, parts of them or a refusal out; no I/O, no clock. Everything has a bound, and every refusal says
//! where.

#[doc(hidden)]
pub mod fuzzing;
pub mod otlp;
mod query;
mod split;
mod tokens;

pub use query::{Query, QueryError, parse as parse_query};
pub use split::{BodyError, Form, MAX_EVENTS, split};
pub use tokens::{Right, Rights, Token, TokenError, Tokens, token_line};
