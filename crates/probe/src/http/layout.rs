//! Where net/http keeps what is told of a request: offsets of fields, from the type data of the target itself, which
//! stripping leaves in place.

use gobinary::{Type, Types};

use crate::engine::Constant;
use crate::error::{Error, Result};

/// The offset of a field.
fn field(of: &Type, name: &str) -> Result<u32> {
    let found = of.fields.iter().find(|f| f.name == name).and_then(|f| u32::try_from(f.offset).ok());
    found.ok_or_else(|| Error::Missing { what: format!("the field `{name}` of `{}`", of.qualified()) })
}

fn named<'t>(types: &'t Types, name: &str) -> Result<&'t Type> {
    types.named(name).ok_or_else(|| Error::Missing { what: format!("the type `{name}`") })
}

fn fields(of: &Type, wanted: &[(&'static str, &str)]) -> Result<Vec<Constant>> {
    wanted.iter().map(|(constant, name)| Ok(Constant::Word(constant, field(of, name)?))).collect()
}

/// What every request needs.
pub(super) fn request(types: &Types) -> Result<Vec<Constant>> {
    let request = named(types, "net/http.Request")?;
    let mut constants = fields(
        request,
        &[
            ("request_method", "Method"),
            ("request_url", "URL"),
            ("request_major", "ProtoMajor"),
            ("request_minor", "ProtoMinor"),
            ("request_headers", "Header"),
            ("request_length", "ContentLength"),
            ("request_host", "Host"),
            ("request_remote", "RemoteAddr"),
            ("request_uri", "RequestURI"),
            ("request_tls", "TLS"),
        ],
    )?;
    // `request` of struct room has 512 bytes, and offsets below 256 are read from it.
    let last = constants.iter().filter_map(Constant::word).max().unwrap_or(0);
    if last > 240 {
        return Err(Error::Missing { what: "a layout of `net/http.Request` that is understood".to_owned() });
    }
    constants.push(Constant::Word("request_bytes", last + 16));
    constants.extend(fields(named(types, "net/url.URL")?, &[("url_host", "Host"), ("url_path", "Path")])?);
    Ok(constants)
}

/// Responses over HTTP/1.
pub(super) fn response(types: &Types) -> Result<Vec<Constant>> {
    let response = named(types, "net/http.response")?;
    fields(response, &[("response_status", "status"), ("response_written", "written")])
}

/// Responses over HTTP/2, of the server whose types begin with `prefix`.
pub(super) fn stream(types: &Types, prefix: &str) -> Result<Vec<Constant>> {
    let mut constants =
        fields(named(types, &format!("{prefix}responseWriter"))?, &[("writer_state", "rws")])?;
    let state = named(types, &format!("{prefix}responseWriterState"))?;
    constants.extend(fields(state, &[("state_status", "status"), ("state_written", "wroteBytes")])?);
    Ok(constants)
}

/// Responses that a client gets.
pub(super) fn reply(types: &Types) -> Result<Vec<Constant>> {
    let response = named(types, "net/http.Response")?;
    fields(response, &[("reply_status", "StatusCode"), ("reply_length", "ContentLength")])
}

/// Headers: a map from a name to values. `None` when no layout is understood: then no trace is told.
pub(super) fn headers(types: &Types) -> Option<Vec<Constant>> {
    if let Some(group) = types.named("map.group[string][]string") {
        return groups(types, group);
    }
    let bucket = types.named("map.bucket[string][]string")?;
    let map = types.named("runtime.hmap")?;
    let word = |name, value| Constant::Word(name, value);
    let mut constants = vec![word("map_kind", 2), word("group_bytes", u32::try_from(bucket.size).ok()?)];
    constants
        .extend(fields(map, &[("map_used", "count"), ("map_pointer", "buckets"), ("map_length", "B")]).ok()?);
    let of = [("group_keys", "keys"), ("group_elements", "elems"), ("group_overflow", "overflow")];
    constants.extend(fields(bucket, &of).ok()?);
    // A string has two words, a slice three.
    constants.extend([word("group_key_stride", 16), word("group_element_stride", 24)]);
    (bucket.size <= 504).then_some(constants)
}

/// internal/runtime/maps/group.go: eight slots, or eight keys and eight elements.
fn groups(types: &Types, group: &Type) -> Option<Vec<Constant>> {
    let map = types.named("internal/runtime/maps.Map")?;
    let table = types.named("internal/runtime/maps.table")?;
    let word = |name, value| Constant::Word(name, value);
    let mut constants = vec![word("map_kind", 1), word("group_bytes", u32::try_from(group.size).ok()?)];
    let of = [("map_used", "used"), ("map_pointer", "dirPtr"), ("map_length", "dirLen")];
    constants.extend(fields(map, &of).ok()?);
    constants.extend(fields(table, &[("table_groups", "groups")]).ok()?);
    if let Ok(slots) = field(group, "slots") {
        // { key string; elem []string }
        constants.extend([
            word("group_keys", slots),
            word("group_key_stride", 40),
            word("group_elements", slots + 16),
            word("group_element_stride", 40),
        ]);
    } else {
        constants.extend(fields(group, &[("group_keys", "keys"), ("group_elements", "elems")]).ok()?);
        constants.extend([word("group_key_stride", 16), word("group_element_stride", 24)]);
    }
    (group.size <= 504).then_some(constants)
}
