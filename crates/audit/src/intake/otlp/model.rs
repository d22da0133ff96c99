//! What both encodings are read into.

use base64::Engine as _;
use serde_json::Value;

use crate::intake::MAX_EVENTS;

/// Values nested deeper than this are refused: a log record is not a tree.
pub(crate) const MAX_DEPTH: usize = 16;
/// Attributes and values of one request; each takes more memory than bytes.
pub(crate) const MAX_VALUES: usize = 400_000;

/// Why a request cannot be read.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OtlpError {
    /// Not the protobuf message.
    #[error("not an ExportLogsServiceRequest: at byte {at}: {why}")]
    Wire {
        /// Where.
        at: usize,
        /// The rule that it breaks.
        why: &'static str,
    },
    /// Not the JSON document.
    #[error("not an ExportLogsServiceRequest: {why}")]
    Json {
        /// What the reader says.
        why: String,
    },
    /// More than is taken at a time.
    #[error("a request has at most {MAX_EVENTS} records and {MAX_VALUES} values")]
    TooMany,
}

/// `AnyValue`.
#[derive(Clone, PartialEq, Debug, Default)]
pub enum Any {
    /// No value is set.
    #[default]
    None,
    /// `string_value`
    Text(String),
    /// `bool_value`
    Bool(bool),
    /// `int_value`
    Int(i64),
    /// `double_value`
    Double(f64),
    /// `bytes_value`
    Bytes(Vec<u8>),
    /// `array_value`
    List(Vec<Any>),
    /// `kvlist_value`
    Map(Vec<(String, Any)>),
}

impl Any {
    /// The value as text: a string as it is, bytes in base64, anything else as JSON.
    #[must_use]
    pub fn into_text(self) -> String {
        match self {
            Self::None => String::new(),
            Self::Text(text) => text,
            Self::Bytes(bytes) => base64::engine::general_purpose::STANDARD.encode(bytes),
            other => other.into_json().to_string(),
        }
    }

    fn into_json(self) -> Value {
        match self {
            Self::None => Value::Null,
            Self::Bool(value) => value.into(),
            Self::Int(value) => value.into(),
            // JSON has no NaN and no infinities; their names are what protobuf's JSON writes too.
            Self::Double(value) if !value.is_finite() => value.to_string().into(),
            Self::Double(value) => value.into(),
            Self::List(values) => values.into_iter().map(Self::into_json).collect(),
            Self::Map(members) => members.into_iter().map(|(key, value)| (key, value.into_json())).collect(),
            text => text.into_text().into(),
        }
    }
}

/// The records of one resource and scope.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Group {
    /// The resource's attributes.
    pub resource: Vec<(String, Any)>,
    /// The scope's name.
    pub scope: String,
    /// The records.
    pub records: Vec<Record>,
}

/// `LogRecord`.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Record {
    /// `time_unix_nano`; 0 when it is not known.
    pub time: u64,
    /// `observed_time_unix_nano`; 0 when it is not known.
    pub observed: u64,
    /// `severity_number`: 1 to 24; 0 when it is not given.
    pub severity: i64,
    /// `severity_text`
    pub severity_text: String,
    /// `event_name`
    pub name: String,
    /// `body`
    pub body: Any,
    /// `attributes`
    pub attributes: Vec<(String, Any)>,
    /// `trace_id`: 16 bytes, or none.
    pub trace_id: Vec<u8>,
    /// `span_id`: 8 bytes, or none.
    pub span_id: Vec<u8>,
}

/// Counts what a request holds while it is read.
#[derive(Default)]
pub(crate) struct Budget {
    records: usize,
    values: usize,
}

impl Budget {
    pub(crate) fn record(&mut self) -> Result<(), OtlpError> {
        self.records += 1;
        if self.records > MAX_EVENTS { Err(OtlpError::TooMany) } else { Ok(()) }
    }

    pub(crate) fn value(&mut self) -> Result<(), OtlpError> {
        self.values += 1;
        if self.values > MAX_VALUES { Err(OtlpError::TooMany) } else { Ok(()) }
    }
}
