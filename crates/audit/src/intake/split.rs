//! A body into the events it carries: one JSON object, a JSON array of them, or one a line.
//!
//! Only the seams are looked for; whether an element is an event, or JSON at all, is admission's to say, with the
//! element's own paths. Depth is a counter here, so that it costs no memory.

/// Events in one request.
pub const MAX_EVENTS: usize = 10_000;

/// How the events stand in the body.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// One document: an object, or an array of objects (`application/json`).
    Json,
    /// One object a line (`application/x-ndjson`).
    Lines,
}

/// Why a body has no events.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// Nothing in it.
    #[error("the body is empty")]
    Empty,
    /// More than [`MAX_EVENTS`].
    #[error("the body holds more than {MAX_EVENTS} events")]
    TooMany,
    /// The array's own commas and brackets are not where they belong.
    #[error("$[{element}] {why}")]
    Array {
        /// Which element was being read.
        element: usize,
        /// What is wrong.
        why: &'static str,
    },
}

/// The events of a body, in order, as they stand there.
///
/// # Errors
/// When the array has no form, or there are too many. Lines and elements are not judged.
pub fn split(body: &[u8], form: Form) -> Result<Vec<&[u8]>, BodyError> {
    let events = match form {
        Form::Lines => lines(body)?,
        Form::Json => match body.trim_ascii() {
            whole @ [b'[', ..] => array(whole)?,
            [] => Vec::new(),
            whole => vec![whole],
        },
    };
    if events.is_empty() { Err(BodyError::Empty) } else { Ok(events) }
}

fn lines(body: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let lines: Vec<_> = body
        .split(|&b| b == b'\n')
        .map(<[u8]>::trim_ascii)
        .filter(|line| !line.is_empty())
        .take(MAX_EVENTS + 1)
        .collect();
    if lines.len() > MAX_EVENTS { Err(BodyError::TooMany) } else { Ok(lines) }
}

/// The elements of an array. `whole` begins with its bracket.
fn array(whole: &[u8]) -> Result<Vec<&[u8]>, BodyError> {
    let mut elements = Vec::new();
    let mut at = 1;
    loop {
        let end = element_end(&whole[at..])
            .map(|length| at + length)
            .ok_or(BodyError::Array { element: elements.len(), why: "ends before the array does" })?;
        let element = whole[at..end].trim_ascii();
        let last = whole[end] == b']';
        match (element.is_empty(), last && elements.is_empty()) {
            (true, true) => {}
            (true, false) => {
                return Err(BodyError::Array { element: elements.len(), why: "is empty" });
            }
            _ if elements.len() == MAX_EVENTS => return Err(BodyError::TooMany),
            _ => elements.push(element),
        }
        at = end + 1;
        if last {
            break;
        }
    }
    if whole[at..].is_empty() {
        return Ok(elements);
    }
    Err(BodyError::Array { element: elements.len(), why: "stands behind the end of the array" })
}

/// Where the comma or bracket stands that ends the element; nothing when there is none.
fn element_end(bytes: &[u8]) -> Option<usize> {
    let (mut depth, mut quoted, mut escaped) = (0usize, false, false);
    for (at, &byte) in bytes.iter().enumerate() {
        if quoted {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => quoted = false,
                _ => {}
            }
            continue;
        }
        match byte {
            b'"' => quoted = true,
            b'{' | b'[' => depth += 1,
            b',' | b']' if depth == 0 => return Some(at),
            b'}' | b']' => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(body: &str, form: Form) -> Result<Vec<String>, BodyError> {
        let parts = split(body.as_bytes(), form)?;
        Ok(parts.into_iter().map(|part| String::from_utf8_lossy(part).into_owned()).collect())
    }

    #[test]
    fn one_object_is_one_event_and_an_array_is_its_elements() {
        assert_eq!(texts(" {\"a\":[1,2]} ", Form::Json).unwrap(), ["{\"a\":[1,2]}"]);
        let body = r#"[ {"a":"],[\"}"} , {"b":[{},{}]},7]"#;
        assert_eq!(texts(body, Form::Json).unwrap(), [r#"{"a":"],[\"}"}"#, r#"{"b":[{},{}]}"#, "7"]);
    }

    #[test]
    fn lines_are_events_whatever_ends_them() {
        assert_eq!(texts("{}\r\n\n {\"a\":1}", Form::Lines).unwrap(), ["{}", "{\"a\":1}"]);
    }

    #[test]
    fn a_broken_array_is_refused_with_its_place() {
        let refused = |body: &str| texts(body, Form::Json).unwrap_err().to_string();
        assert_eq!(refused("[{},"), "$[1] ends before the array does");
        assert_eq!(refused("[{},]"), "$[1] is empty");
        assert_eq!(refused("[,{}]"), "$[0] is empty");
        assert_eq!(refused("[{}] {}"), "$[1] stands behind the end of the array");
        assert_eq!(refused("[{\"a\":\""), "$[0] ends before the array does");
        for empty in ["", " ", "[]", "[ ]"] {
            assert_eq!(refused(empty), "the body is empty");
        }
        assert!(texts("\n \n", Form::Lines).is_err());
    }

    #[test]
    fn depth_and_count_have_bounds() {
        let deep = "[".repeat(1 << 20);
        assert!(split(deep.as_bytes(), Form::Json).is_err());
        let many = format!("[{}{{}}]", "{},".repeat(MAX_EVENTS));
        assert_eq!(split(many.as_bytes(), Form::Json), Err(BodyError::TooMany));
        assert_eq!(split("{}\n".repeat(MAX_EVENTS + 1).as_bytes(), Form::Lines), Err(BodyError::TooMany));
        let most = format!("[{}{{}}]", "{},".repeat(MAX_EVENTS - 1));
        assert_eq!(split(most.as_bytes(), Form::Json).map(|events| events.len()), Ok(MAX_EVENTS));
    }
}
