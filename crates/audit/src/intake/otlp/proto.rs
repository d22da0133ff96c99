//! The protobuf encoding: opentelemetry/proto/collector/logs/v1/logs_service.proto and the messages below it. The
//! numbers are those of the fields there.

use super::model::{Any, Budget, Group, MAX_DEPTH, OtlpError, Record};
use super::wire::{Content, Message};

pub(super) fn decode(body: &[u8]) -> Result<Vec<Group>, OtlpError> {
    let mut budget = Budget::default();
    let mut groups = Vec::new();
    each(Message::new(body), |number, content| match (number, content) {
        (1, Content::Bytes(message)) => resource_logs(message, &mut groups, &mut budget),
        _ => Ok(()),
    })?;
    Ok(groups)
}

/// Hands every field of a message to `take`.
fn each<'a>(
    mut message: Message<'a>,
    mut take: impl FnMut(u64, Content<'a>) -> Result<(), OtlpError>,
) -> Result<(), OtlpError> {
    while let Some((number, content)) = message.next()? {
        take(number, content)?;
    }
    Ok(())
}

fn resource_logs(
    message: Message<'_>,
    groups: &mut Vec<Group>,
    budget: &mut Budget,
) -> Result<(), OtlpError> {
    let mut resource = Vec::new();
    let first = groups.len();
    each(message, |number, content| match (number, content) {
        (1, Content::Bytes(message)) => each(message, |number, content| match (number, content) {
            (1, Content::Bytes(pair)) => attribute(pair, &mut resource, MAX_DEPTH, budget),
            _ => Ok(()),
        }),
        (2, Content::Bytes(message)) => {
            budget.value()?; // an empty group takes memory too
            groups.push(scope_logs(message, budget)?);
            Ok(())
        }
        _ => Ok(()),
    })?;
    // The resource may stand behind its records.
    for group in &mut groups[first..] {
        (0..resource.len()).try_for_each(|_| budget.value())?;
        group.resource.clone_from(&resource);
    }
    Ok(())
}

fn scope_logs(message: Message<'_>, budget: &mut Budget) -> Result<Group, OtlpError> {
    let mut group = Group::default();
    each(message, |number, content| match (number, content) {
        (1, Content::Bytes(scope)) => each(scope, |number, content| match (number, content) {
            (1, Content::Bytes(name)) => {
                group.scope = name.text()?;
                Ok(())
            }
            _ => Ok(()),
        }),
        (2, Content::Bytes(message)) => {
            budget.record()?;
            group.records.push(record(message, budget)?);
            Ok(())
        }
        _ => Ok(()),
    })?;
    Ok(group)
}

fn record(message: Message<'_>, budget: &mut Budget) -> Result<Record, OtlpError> {
    let mut record = Record::default();
    each(message, |number, content| {
        match (number, content) {
            (1, Content::Fixed64(time)) => record.time = time,
            (11, Content::Fixed64(time)) => record.observed = time,
            (2, Content::Varint(number)) => record.severity = number.cast_signed(),
            (3, Content::Bytes(text)) => record.severity_text = text.text()?,
            (5, Content::Bytes(value)) => record.body = any(value, MAX_DEPTH, budget)?,
            (6, Content::Bytes(pair)) => attribute(pair, &mut record.attributes, MAX_DEPTH, budget)?,
            (9, Content::Bytes(id)) => record.trace_id = id.bytes.to_vec(),
            (10, Content::Bytes(id)) => record.span_id = id.bytes.to_vec(),
            (12, Content::Bytes(name)) => record.name = name.text()?,
            _ => {}
        }
        Ok(())
    })?;
    Ok(record)
}

fn attribute(
    message: Message<'_>,
    into: &mut Vec<(String, Any)>,
    depth: usize,
    budget: &mut Budget,
) -> Result<(), OtlpError> {
    let (mut key, mut value) = (String::new(), Any::None);
    each(message, |number, content| {
        match (number, content) {
            (1, Content::Bytes(text)) => key = text.text()?,
            (2, Content::Bytes(message)) => value = any(message, depth, budget)?,
            _ => {}
        }
        Ok(())
    })?;
    budget.value()?;
    into.push((key, value));
    Ok(())
}

fn any(message: Message<'_>, depth: usize, budget: &mut Budget) -> Result<Any, OtlpError> {
    let depth = depth.checked_sub(1).ok_or_else(|| message.wrong("values are nested too deeply"))?;
    budget.value()?;
    let mut value = Any::None;
    each(message, |number, content| {
        match (number, content) {
            (1, Content::Bytes(text)) => value = Any::Text(text.text()?),
            (2, Content::Varint(bit)) => value = Any::Bool(bit != 0),
            (3, Content::Varint(number)) => value = Any::Int(number.cast_signed()),
            (4, Content::Fixed64(bits)) => value = Any::Double(f64::from_bits(bits)),
            (5, Content::Bytes(list)) => {
                let mut values = Vec::new();
                each(list, |number, content| match (number, content) {
                    (1, Content::Bytes(message)) => {
                        values.push(any(message, depth, budget)?);
                        Ok(())
                    }
                    _ => Ok(()),
                })?;
                value = Any::List(values);
            }
            (6, Content::Bytes(list)) => {
                let mut members = Vec::new();
                each(list, |number, content| match (number, content) {
                    (1, Content::Bytes(pair)) => attribute(pair, &mut members, depth, budget),
                    _ => Ok(()),
                })?;
                value = Any::Map(members);
            }
            (7, Content::Bytes(bytes)) => value = Any::Bytes(bytes.bytes.to_vec()),
            _ => {}
        }
        Ok(())
    })?;
    Ok(value)
}
