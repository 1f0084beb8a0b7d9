//! Dates. A date is a text (RFC 3339) or a number of seconds or milliseconds since 1970; results are RFC 3339.

use crate::arguments::Arguments;
use crate::eval_error::Failure;
use crate::function::Function;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};
use jiff::{SignedDuration, Span, Timestamp, Zoned};
use minijinja::Value;

/// A number above this counts milliseconds; as seconds it would be the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

pub(super) const ADD_DAYS: Function = Function {
    name: "add_days",
    aliases: &["addDays"],
    parameters: &["date", "days"],
    summary: "A date so many days later, or earlier when negative.",
    example: "'2024-02-28T12:00:00Z' | addDays(2)",
    result: "\"2024-03-01T12:00:00Z\"",
    required: 2,
    covers_missing: false,
    call: |arguments| add(arguments, |count| Span::new().try_days(count)),
};

pub(super) const ADD_HOURS: Function = Function {
    name: "add_hours",
    aliases: &["addHours"],
    parameters: &["date", "hours"],
    summary: "A date so many hours later, or earlier when negative.",
    example: "'2024-02-28T12:00:00Z' | addHours(-13)",
    result: "\"2024-02-27T23:00:00Z\"",
    required: 2,
    covers_missing: false,
    call: |arguments| add(arguments, |count| Span::new().try_hours(count)),
};

pub(super) const ADD_MINUTES: Function = Function {
    name: "add_minutes",
    aliases: &["addMinutes"],
    parameters: &["date", "minutes"],
    summary: "A date so many minutes later, or earlier when negative.",
    example: "'2024-02-28T12:00:00Z' | addMinutes(90)",
    result: "\"2024-02-28T13:30:00Z\"",
    required: 2,
    covers_missing: false,
    call: |arguments| add(arguments, |count| Span::new().try_minutes(count)),
};

pub(super) const ADD_MONTHS: Function = Function {
    name: "add_months",
    aliases: &["addMonths"],
    parameters: &["date", "months"],
    summary: "A date so many months later, at the last day of the month when it is too short.",
    example: "'2024-01-31T12:00:00Z' | addMonths(1)",
    result: "\"2024-02-29T12:00:00Z\"",
    required: 2,
    covers_missing: false,
    call: |arguments| add(arguments, |count| Span::new().try_months(count)),
};

pub(super) const ADD_SECONDS: Function = Function {
    name: "add_seconds",
    aliases: &["addSeconds"],
    parameters: &["date", "seconds"],
    summary: "A date so many seconds later, or earlier when negative.",
    example: "1709121600 | addSeconds(5)",
    result: "\"2024-02-28T12:00:05Z\"",
    required: 2,
    covers_missing: false,
    call: |arguments| add(arguments, |count| Span::new().try_seconds(count)),
};

pub(super) const DATE: Function = Function {
    name: "date",
    aliases: &["formatDateTime", "format_date"],
    parameters: &["date", "format", "zone"],
    summary: "A date in a format (`%d.%m.%Y` or `dd.MM.yyyy`) and a time zone (`+02:00` or `Europe/Berlin`).",
    example: "'2024-05-01T22:30:00Z' | date('dd.MM.yyyy HH:mm', zone='+02:00')",
    result: "\"02.05.2024 00:30\"",
    required: 1,
    covers_missing: false,
    call: date,
};

pub(super) const NOW: Function = Function {
    name: "now",
    aliases: &["utcNow", "utcnow"],
    parameters: &[],
    summary: "The time at which the run started this step; the same at a replay.",
    example: "now()",
    result: "\"2024-05-01T12:00:00Z\"",
    required: 0,
    covers_missing: false,
    call: |arguments| Ok(Value::from(arguments.evaluation.env.now.to_string())),
};

pub(super) const PARSE_DATE: Function = Function {
    name: "parse_date",
    aliases: &["parseDate"],
    parameters: &["value", "format"],
    summary: "The date that a text holds, by a format when it is not one of the usual.",
    example: "'01.05.2024 14:30' | parse_date('%d.%m.%Y %H:%M')",
    result: "\"2024-05-01T14:30:00Z\"",
    required: 1,
    covers_missing: false,
    call: parse_date,
};

pub(super) const UNIX_TIME: Function = Function {
    name: "unix_time",
    aliases: &["unixTime", "timestamp"],
    parameters: &["date"],
    summary: "A date as the number of seconds since 1970.",
    example: "'2024-02-28T12:00:00Z' | unix_time",
    result: "1709121600",
    required: 1,
    covers_missing: false,
    call: |arguments| Ok(Value::from(instant(arguments)?.as_second())),
};

fn add(arguments: &Arguments<'_>, span: fn(i64) -> Result<Span, jiff::Error>) -> Result<Value, Failure> {
    let start = instant(arguments)?.to_zoned(TimeZone::UTC);
    let span = span(arguments.integer(1)?).map_err(|error| arguments.failed(error))?;
    let end = start.checked_add(span).map_err(|error| arguments.failed(error))?;
    Ok(Value::from(end.timestamp().to_string()))
}

fn date(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    let zoned = instant(arguments)?.to_zoned(zone(arguments)?);
    let format = arguments.text_or(1, "%Y-%m-%dT%H:%M:%S%:z")?;
    let format = if format.contains('%') { format.into_owned() } else { from_letters(&format) };
    strtime::format(&format, &zoned).map(Value::from).map_err(|error| arguments.failed(error))
}

fn parse_date(arguments: &Arguments<'_>) -> Result<Value, Failure> {
    if arguments.get(1).is_none() {
        return Ok(Value::from(instant(arguments)?.to_string()));
    }
    let format = arguments.text(1)?;
    let format = if format.contains('%') { format.into_owned() } else { from_letters(&format) };
    let parts = strtime::parse(&format, arguments.text(0)?.as_bytes());
    let parts = parts.map_err(|_| arguments.failed("the text does not fit the format"))?;
    let utc = |date: DateTime| date.to_zoned(TimeZone::UTC).map(|zoned| zoned.timestamp());
    let midnight = || parts.to_date().and_then(|date| utc(date.into()));
    let instant = parts.to_timestamp().or_else(|_| parts.to_datetime().and_then(utc)).or_else(|_| midnight());
    instant.map(|instant| Value::from(instant.to_string())).map_err(|error| arguments.failed(error))
}

/// The first argument as a point in time.
fn instant(arguments: &Arguments<'_>) -> Result<Timestamp, Failure> {
    let value = arguments.need(0)?;
    if value.is_number() {
        let number = if value.is_integer() { value.as_i64() } else { None };
        let instant = match number {
            Some(number) if number.unsigned_abs() >= MILLISECONDS_FROM.unsigned_abs() => {
                Timestamp::from_millisecond(number)
            }
            Some(number) => Timestamp::from_second(number),
            None => f64::try_from(value.clone())
                .map_err(|error| Failure::of(&error))
                .and_then(|seconds| {
                    SignedDuration::try_from_secs_f64(seconds).map_err(|error| arguments.failed(error))
                })
                .map(Timestamp::from_duration)?,
        };
        return instant.map_err(|error| arguments.failed(error));
    }
    let text = arguments.text(0)?;
    let text = text.trim();
    let utc = |date: DateTime| date.to_zoned(TimeZone::UTC).ok().map(|zoned: Zoned| zoned.timestamp());
    text.parse::<Timestamp>()
        .ok()
        .or_else(|| text.parse::<DateTime>().ok().and_then(utc))
        .or_else(|| rfc2822::parse(text).ok().map(|zoned| zoned.timestamp()))
        .ok_or_else(|| arguments.failed("the text is not a date; `parse_date` reads other formats"))
}

fn zone(arguments: &Arguments<'_>) -> Result<TimeZone, Failure> {
    let name = arguments.text_or(2, "UTC")?;
    if matches!(name.as_ref(), "UTC" | "Z" | "utc") {
        return Ok(TimeZone::UTC);
    }
    if name.starts_with(['+', '-']) {
        let wrong = || arguments.failed("an offset is written like `+02:00`");
        let (hours, minutes) = name.split_once(':').ok_or_else(wrong)?;
        let hours: i32 = hours.parse().ok().filter(|hours: &i32| hours.abs() < 24).ok_or_else(wrong)?;
        let minutes: i32 =
            minutes.parse().ok().filter(|minutes| (0..60).contains(minutes)).ok_or_else(wrong)?;
        let seconds = hours * 3600 + if name.starts_with('-') { -minutes } else { minutes } * 60;
        return Offset::from_seconds(seconds).map(TimeZone::fixed).map_err(|_| wrong());
    }
    // The zones of the program, not those of the machine.
    TimeZoneDatabase::bundled().get(&name).map_err(|_| arguments.failed("there is no such time zone"))
}

/// `dd.MM.yyyy` as `%d.%m.%Y`. Text in single quotes stands for itself.
fn from_letters(format: &str) -> String {
    const LETTERS: [(&str, &str); 24] = [
        ("yyyy", "%Y"),
        ("yy", "%y"),
        ("MMMM", "%B"),
        ("MMM", "%b"),
        ("MM", "%m"),
        ("M", "%-m"),
        ("dddd", "%A"),
        ("ddd", "%a"),
        ("dd", "%d"),
        ("d", "%-d"),
        ("HH", "%H"),
        ("H", "%-H"),
        ("hh", "%I"),
        ("h", "%-I"),
        ("mm", "%M"),
        ("m", "%-M"),
        ("ss", "%S"),
        ("s", "%-S"),
        ("ffffff", "%6f"),
        ("fff", "%3f"),
        ("SSS", "%3f"),
        ("tt", "%p"),
        ("zzz", "%:z"),
        ("XXX", "%:z"),
    ];
    let mut out = String::new();
    let mut rest = format;
    while let Some(sign) = rest.chars().next() {
        if let Some((text, after)) = rest.strip_prefix('\'').and_then(|quoted| quoted.split_once('\'')) {
            out.push_str(text);
            rest = after;
            continue;
        }
        let token = LETTERS.iter().find_map(|(letters, code)| Some((code, rest.strip_prefix(letters)?)));
        if let Some((code, after)) = token {
            out.push_str(code);
            rest = after;
        } else {
            out.push(sign);
            rest = rest.get(sign.len_utf8()..).unwrap_or_default();
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_become_signs() {
        assert_eq!(from_letters("yyyy-MM-ddTHH:mm:ss.fffZ"), "%Y-%m-%dT%H:%M:%S.%3fZ");
        assert_eq!(from_letters("d. MMMM yyyy, h:mm tt"), "%-d. %B %Y, %-I:%M %p");
        assert_eq!(from_letters("dd 'day' 'ä"), "%d day 'ä");
    }
}
