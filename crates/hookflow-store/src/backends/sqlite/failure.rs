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

    /// What the caller is told.
    pub(super) fn told(self) -> StoreError {
        match self {
            Self::Refused(error) => error,
            Self::Row(why) | Self::File { why, .. } => StoreError::Unavailable(why),
        }
    }
}

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
            Some(ErrorCode::DiskFull | ErrorCode::DatabaseBusy) => Self::File { why, keep: true },
            Some(_) => Self::File { why, keep: false },
        }
    }
}
