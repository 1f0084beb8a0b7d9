//! Durations, sizes and rates as words: `500ms 5s 2m 24h 30d`, `64KiB 10MiB`, `8/s 100/m`.

use std::fmt;
use std::time::Duration;

/// The longest duration a file may name: 100 years, so that no sum of durations overflows a clock.
const LONGEST: Duration = Duration::from_hours(100 * 365 * 24);

const DURATION_UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
const SIZE_UNITS: [(&str, u64); 7] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Reads `500ms`, `5s`, `2m`, `24h` or `30d`.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let expected =
        || format!("expected a duration such as `500ms`, `5s`, `2m`, `24h` or `30d`, found `{text}`");
    let (number, unit) = split(text).ok_or_else(expected)?;
    let (_, factor) = DURATION_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
    number
        .checked_mul(*factor)
        .map(Duration::from_millis)
        .filter(|duration| *duration <= LONGEST)
        .ok_or_else(|| format!("`{text}` is longer than 100 years"))
}

/// A duration as a file would write it: `3d`, `28h`, `500ms`.
pub fn duration_in_words(duration: Duration) -> String {
    let millis = duration.as_millis();
    let unit = DURATION_UNITS.iter().rev().find(|(_, factor)| millis.is_multiple_of(u128::from(*factor)));
    match unit {
        Some((unit, factor)) if millis > 0 => format!("{}{unit}", millis / u128::from(*factor)),
        _ => "0s".into(),
    }
}

/// Reads `64KiB`, `10MiB`, `1GiB`, `512B` (and the decimal `KB MB GB`) as a number of bytes.
///
/// # Errors
/// A sentence that says what was expected.
pub fn parse_size(text: &str) -> Result<u64, String> {
    let expected = || format!("expected a size such as `512B`, `64KiB` or `10MiB`, found `{text}`");
    let (number, unit) = split(text).ok_or_else(expected)?;
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(expected)?;
    number.checked_mul(*factor).ok_or_else(|| format!("`{text}` is too large"))
}

/// So many per so long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many; at least 1.
    pub count: u32,
    /// In which time.
    pub per: Duration,
}

impl Rate {
    /// Reads `8/s`, `100/m`, `5000/h` or `20000/d`.
    ///
    /// # Errors
    /// A sentence that says what was expected.
    pub fn parse(text: &str) -> Result<Self, String> {
        let expected = || format!("expected a rate such as `8/s` or `100/m`, found `{text}`");
        let (count, unit) = text.split_once('/').ok_or_else(expected)?;
        let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(expected)?;
        let (_, factor) =
            DURATION_UNITS.iter().skip(1).find(|(name, _)| *name == unit).ok_or_else(expected)?;
        Ok(Self { count, per: Duration::from_millis(*factor) })
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = DURATION_UNITS
            .iter()
            .find(|(_, factor)| Duration::from_millis(*factor) == self.per)
            .map_or("?", |(unit, _)| unit);
        write!(f, "{}/{unit}", self.count)
    }
}

fn split(text: &str) -> Option<(u64, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, unit) = text.split_at_checked(digits)?;
    Some((number.parse().ok()?, unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_is_written_as_it_is_read() {
        for text in ["0s", "500ms", "90s", "2m", "28h", "3d"] {
            assert_eq!(duration_in_words(parse_duration(text).unwrap()), text);
        }
        assert_eq!(duration_in_words(Duration::from_hours(48)), "2d");
        assert_eq!(duration_in_words(Duration::from_nanos(1)), "0s");
    }

    #[test]
    fn words_become_amounts() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("30d"), Ok(Duration::from_hours(30 * 24)));
        assert_eq!(parse_size("64KiB"), Ok(65_536));
        assert_eq!(parse_size("0B"), Ok(0));
        assert_eq!(Rate::parse("100/m"), Ok(Rate { count: 100, per: Duration::from_mins(1) }));
        assert_eq!(Rate::parse("8/s").map(|rate| rate.to_string()), Ok("8/s".into()));
    }

    #[test]
    fn anything_else_is_refused_with_an_example() {
        for bad in ["", "5", "s", "5 s", "-5s", "1.5h", "5sec", "99999999999999999999s", "36501d"] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
        for bad in ["64k", "MiB", "1.5MiB", "99999999999GiB"] {
            assert!(parse_size(bad).is_err(), "{bad}");
        }
        for bad in ["0/s", "8", "8/ms", "/s", "8/week"] {
            assert!(Rate::parse(bad).is_err(), "{bad}");
        }
    }
}
