//! OTLP/HTTP logs (opentelemetry-proto 1.x `ExportLogsServiceRequest`): read from protobuf or JSON, turned into
//! events as `docs/formats/otlp.md` says, and the answers that exporters expect.
//!
//! Only what the mapping uses is kept; unknown fields are passed over, as both encodings ask for.

mod answer;
mod json;
mod map;
mod model;
mod proto;
mod wire;

pub use answer::{Encoding, partial_success, status};
pub use map::{Mapped, map};
pub use model::{Any, Group, OtlpError, Record};

/// Reads a request.
///
/// # Errors
/// The rule of the encoding that it breaks, or a bound.
pub fn decode(body: &[u8], encoding: Encoding) -> Result<Vec<Group>, OtlpError> {
    match encoding {
        Encoding::Protobuf => proto::decode(body),
        Encoding::Json => json::decode(body),
    }
}

#[cfg(test)]
mod tests;
