//! The time that goes into what is made, so that it can be made again: <https://reproducible-builds.org/specs/source-date-epoch/>.

use pkix::Time;

use crate::failure::Failure;

const VARIABLE: &str = "SOURCE_DATE_EPOCH";

/// The time that was given, else that of the environment, else now.
pub(super) fn made(given: Option<jiff::Timestamp>) -> Result<Time, Failure> {
    match (given, of_the_source()?) {
        (Some(given), _) => Ok(Time(given.as_second())),
        (None, Some(epoch)) => Ok(epoch),
        (None, None) => Ok(Time(jiff::Timestamp::now().as_second())),
    }
}

/// The time of the environment.
pub(super) fn of_the_source() -> Result<Option<Time>, Failure> {
    let Some(text) = std::env::var_os(VARIABLE).filter(|text| !text.is_empty()) else { return Ok(None) };
    let seconds = text.to_str().and_then(|text| text.parse::<u32>().ok()).ok_or_else(|| {
        let what = format!("{VARIABLE} is `{}`, and no number of seconds since 1970", text.to_string_lossy());
        Failure::input(anyhow::anyhow!(what))
            .hint("set it as `git log -1 --format=%ct` prints it, or unset it")
    })?;
    Ok(Some(Time(i64::from(seconds))))
}
