//! A data subject on the command line: `KIND:ID`.

use audit::vault::Subject;

/// Reads `customer:4711`.
pub(crate) fn parse(text: &str) -> Result<Subject, String> {
    let (kind, id) = text.split_once(':').ok_or("it is not KIND:ID, as `customer:4711`")?;
    if kind.is_empty() || id.is_empty() {
        return Err("it is not KIND:ID, as `customer:4711`".into());
    }
    Ok(Subject { kind: kind.to_owned(), id: id.to_owned() })
}
