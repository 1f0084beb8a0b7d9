//! The log of attempts: a view of the facts that are tries of calls. An attempt is written with its fact and goes with it.

use hookflow_flow::Fact;
use jiff::Timestamp;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// Which attempts to look for; nothing set: all.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AttemptFilter {
    /// Of this run.
    pub run: Option<Arc<str>>,
    /// Of this flow.
    pub flow: Option<Arc<str>>,
    /// That went by this integration.
    pub integration: Option<Arc<str>>,
    /// Only those that failed.
    pub failed: bool,
    /// Begun then or later.
    pub since: Option<Timestamp>,
    /// Begun before.
    pub until: Option<Timestamp>,
}

/// A place in the log, which is in the order of the attempts' beginnings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AttemptCursor {
    /// When it began.
    pub began_at: Timestamp,
    /// The position of its run.
    pub position: u64,
    /// Which of the run's facts it is, from 1.
    pub number: u64,
}

/// An attempt in the log.
#[derive(Debug, Clone)]
pub struct AttemptLine {
    /// Its place.
    pub at: AttemptCursor,
    /// The run's ID.
    pub run: Arc<str>,
    /// The flow's ID.
    pub flow: Arc<str>,
    /// The version that the run is on.
    pub version: Arc<str>,
    /// The fact that it is.
    pub fact: Arc<Fact>,
}

/// Attempts of a list.
#[derive(Debug, Clone, Default)]
pub struct AttemptPage {
    /// The latest first.
    pub attempts: Vec<AttemptLine>,
    /// Where the next page begins; `None`: there is nothing more.
    pub next: Option<AttemptCursor>,
}

impl fmt::Display for AttemptCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}~{}~{}", self.began_at.as_nanosecond(), self.position, self.number)
    }
}

impl FromStr for AttemptCursor {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('~');
        let (Some(at), Some(position), Some(number), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(());
        };
        let at = at.parse().ok().and_then(|at| Timestamp::from_nanosecond(at).ok());
        Ok(Self {
            began_at: at.ok_or(())?,
            position: position.parse().map_err(drop)?,
            number: number.parse().map_err(drop)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_is_read_as_it_is_written() {
        let cursor = AttemptCursor { began_at: Timestamp::UNIX_EPOCH, position: 7, number: 2 };
        assert_eq!(cursor.to_string().parse(), Ok(cursor));
        for text in ["", "1", "1~2", "1~2~3~4", "x~2~3", "1~-2~3", "99999999999999999999999999999999~1~1"] {
            assert_eq!(text.parse::<AttemptCursor>(), Err(()), "{text}");
        }
    }
}
