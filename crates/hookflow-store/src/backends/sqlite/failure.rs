//! Why something was not done, and whose fault that is.

use crate::StoreError;
use rusqlite::ErrorCode;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// It was judged, and nothing of it was written.
    Refused(StoreError),
    /// This one cannot be written or read; others can.
    Row(String),
    /// The file cannot be written to or read. Whether the connection is worth keeping.
    File { why: String, keep: bool },
}

impl Failure {
    pub(super) fn damaged(what: &str) -> Self {
        Self::Row(format!("what is stored cannot be read: {what}"))
    }

    /// The reason alone.
    pub(super) fn why(self) -> String {
        match self {
            Self::Refused(error) => error.to_string(),
            Self::Row(why) | Self::File { why, .. } => why,
        }
    }

    /// What the caller is told.
    pub(super) fn told(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Row(why) => StoreError::Damaged(why),
            Self::File { why, .. } => StoreError::Unavailable(why),
        }
    }
}

/// What is said of a file that cannot be read as it should.
pub(super) fn told_damage(why: String) -> String {
    if is_damage(&why) && !why.contains(DAMAGED) {
        return format!(
            "{DAMAGED} ({why}). Nothing was changed: `hookflow store check` says what is wrong with it, `hookflow store set-aside` \
             moves it away, and then a start begins with an empty one or with the backup that was put in its place"
        );
    }
    why
}

/// Whether that is what is wrong.
pub(super) fn is_damage(why: &str) -> bool {
    ["malformed", "not a database", DAMAGED].iter().any(|word| why.contains(word))
}

const DAMAGED: &str = "it is damaged";

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        let why = error.to_string();
        match error.sqlite_error_code() {
            None | Some(ErrorCode::ConstraintViolation | ErrorCode::TooBig | ErrorCode::TypeMismatch) => {
                Self::Row(why)
            }
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                Self::File { why: told_damage(why), keep: false }
            }
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => Self::File { why, keep: true },
            Some(_) => Self::File { why, keep: false },
        }
    }
}
