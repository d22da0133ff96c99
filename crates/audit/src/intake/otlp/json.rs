//! The JSON encoding: protobuf's mapping to JSON with the exceptions of OTLP (opentelemetry.io/docs/specs/otlp,
//! "JSON Protobuf Encoding"): lower camel case only, ids in hexadecimal, enumerations as numbers, 64-bit numbers as
//! decimal strings or numbers.

use base64::Engine as _;
use serde::{Deserialize, Deserializer};

use super::model::{Any, Budget, Group, MAX_DEPTH, OtlpError, Record};

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct Request {
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ResourceLogs {
    resource: Option<Resource>,
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Resource {
    attributes: Vec<KeyValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct ScopeLogs {
    scope: Option<Scope>,
    log_records: Vec<LogRecord>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Scope {
    name: String,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct LogRecord {
    time_unix_nano: Number,
    observed_time_unix_nano: Number,
    severity_number: i64,
    severity_text: String,
    event_name: String,
    body: Option<AnyValue>,
    attributes: Vec<KeyValue>,
    #[serde(deserialize_with = "id")]
    trace_id: Vec<u8>,
    #[serde(deserialize_with = "id")]
    span_id: Vec<u8>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValue {
    key: String,
    value: Option<AnyValue>,
}

#[derive(Deserialize, Default)]
#[serde(default, rename_all = "camelCase")]
struct AnyValue {
    string_value: Option<String>,
    bool_value: Option<bool>,
    int_value: Option<Number>,
    double_value: Option<Double>,
    array_value: Option<ArrayValue>,
    kvlist_value: Option<KeyValueList>,
    bytes_value: Option<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct ArrayValue {
    values: Vec<AnyValue>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct KeyValueList {
    values: Vec<KeyValue>,
}

/// A 64-bit number, signed or not, as a string or as a number.
#[derive(Clone, Copy, Default)]
struct Number(i128);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Unsigned(u64),
            Signed(i64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Unsigned(number) => Ok(Self(number.into())),
            Either::Signed(number) => Ok(Self(number.into())),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

/// A double, or the name of one that JSON cannot write.
struct Double(f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Either {
            Number(f64),
            Text(String),
        }
        match Either::deserialize(deserializer)? {
            Either::Number(number) => Ok(Self(number)),
            Either::Text(text) => text.parse().map(Self).map_err(serde::de::Error::custom),
        }
    }
}

fn id<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
    let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
    hex::decode(&*text).map_err(serde::de::Error::custom)
}

pub(super) fn decode(body: &[u8]) -> Result<Vec<Group>, OtlpError> {
    let request: Request = serde_json::from_slice(body).map_err(|e| wrong(&e.to_string()))?;
    let mut budget = Budget::default();
    let mut groups = Vec::new();
    for logs in request.resource_logs {
        let resource = members(logs.resource.unwrap_or_default().attributes, MAX_DEPTH, &mut budget)?;
        for scope in logs.scope_logs {
            (0..=resource.len()).try_for_each(|_| budget.value())?;
            let mut group = Group {
                resource: resource.clone(),
                scope: scope.scope.unwrap_or_default().name,
                records: Vec::new(),
            };
            for record in scope.log_records {
                budget.record()?;
                group.records.push(read(record, &mut budget)?);
            }
            groups.push(group);
        }
    }
    Ok(groups)
}

fn wrong(why: &str) -> OtlpError {
    OtlpError::Json { why: why.chars().take(200).collect() }
}

fn read(record: LogRecord, budget: &mut Budget) -> Result<Record, OtlpError> {
    let time = |number: Number| u64::try_from(number.0).map_err(|_| wrong("a time is not of 64 bits"));
    Ok(Record {
        time: time(record.time_unix_nano)?,
        observed: time(record.observed_time_unix_nano)?,
        severity: record.severity_number,
        severity_text: record.severity_text,
        name: record.event_name,
        body: any(record.body.unwrap_or_default(), MAX_DEPTH, budget)?,
        attributes: members(record.attributes, MAX_DEPTH, budget)?,
        trace_id: record.trace_id,
        span_id: record.span_id,
    })
}

fn members(pairs: Vec<KeyValue>, depth: usize, budget: &mut Budget) -> Result<Vec<(String, Any)>, OtlpError> {
    pairs
        .into_iter()
        .map(|pair| {
            budget.value()?;
            Ok((pair.key, any(pair.value.unwrap_or_default(), depth, budget)?))
        })
        .collect()
}

fn any(value: AnyValue, depth: usize, budget: &mut Budget) -> Result<Any, OtlpError> {
    let depth = depth.checked_sub(1).ok_or_else(|| wrong("values are nested too deeply"))?;
    budget.value()?;
    Ok(match value {
        AnyValue { string_value: Some(text), .. } => Any::Text(text),
        AnyValue { bool_value: Some(bit), .. } => Any::Bool(bit),
        AnyValue { int_value: Some(Number(number)), .. } => {
            Any::Int(i64::try_from(number).map_err(|_| wrong("a number is not of 64 bits"))?)
        }
        AnyValue { double_value: Some(Double(number)), .. } => Any::Double(number),
        AnyValue { bytes_value: Some(text), .. } => Any::Bytes(
            base64::engine::general_purpose::STANDARD
                .decode(text)
                .map_err(|_| wrong("bytes are not base64"))?,
        ),
        AnyValue { array_value: Some(list), .. } => Any::List(
            list.values.into_iter().map(|value| any(value, depth, budget)).collect::<Result<_, _>>()?,
        ),
        AnyValue { kvlist_value: Some(list), .. } => Any::Map(members(list.values, depth, budget)?),
        _ => Any::None,
    })
}
