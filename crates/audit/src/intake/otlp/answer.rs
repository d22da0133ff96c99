//! What exporters expect: `ExportLogsServiceResponse` with its `partial_success`, and `google.rpc.Status` for errors,
//! each in the encoding of the request.

use super::wire::{put_bytes, put_number};

/// How a request is written, and so its answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Encoding {
    /// `application/x-protobuf`
    Protobuf,
    /// `application/json`
    Json,
}

impl Encoding {
    /// The encoding of a media type.
    #[must_use]
    pub fn of(media_type: &str) -> Option<Self> {
        match media_type {
            "application/x-protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    /// The media type.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// The answer to a request of which so many records were rejected, and why. Without any, `partial_success` is not
/// set, as the specification asks for.
#[must_use]
pub fn partial_success(encoding: Encoding, rejected: u64, why: &str) -> Vec<u8> {
    match encoding {
        Encoding::Json if rejected == 0 => b"{}".to_vec(),
        Encoding::Json => {
            let partial =
                serde_json::json!({ "rejectedLogRecords": rejected.to_string(), "errorMessage": why });
            serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
        Encoding::Protobuf => {
            let mut out = Vec::new();
            if rejected > 0 {
                let mut partial = Vec::new();
                put_number(&mut partial, 1, rejected);
                put_bytes(&mut partial, 2, why.as_bytes());
                put_bytes(&mut out, 1, &partial);
            }
            out
        }
    }
}

/// `google.rpc.Status` with a message. The HTTP status is what exporters go by; the code repeats it coarsely.
#[must_use]
pub fn status(encoding: Encoding, http: u16, why: &str) -> Vec<u8> {
    // google.rpc.Code: INVALID_ARGUMENT 3, PERMISSION_DENIED 7, RESOURCE_EXHAUSTED 8, UNAVAILABLE 14,
    // UNAUTHENTICATED 16, INTERNAL 13.
    let code: u8 = match http {
        401 => 16,
        403 => 7,
        413 | 429 => 8,
        400..500 => 3,
        503 => 14,
        _ => 13,
    };
    match encoding {
        Encoding::Json => serde_json::json!({ "code": code, "message": why }).to_string().into_bytes(),
        Encoding::Protobuf => {
            let mut out = Vec::new();
            put_number(&mut out, 1, code.into());
            put_bytes(&mut out, 2, why.as_bytes());
            out
        }
    }
}
