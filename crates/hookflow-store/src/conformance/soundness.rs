//! Whether a file is whole.

use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// What is wrong in a file of the backend `sqlite` and the log beside it, page by page; nothing when all is as it should
/// be. It brings the log into the file, so it is for a copy.
///
/// # Errors
/// When it cannot be looked at at all.
pub fn faults_of_file(path: &Path) -> Result<Vec<String>, String> {
    let told = |error: rusqlite::Error| error.to_string();
    let connection = Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(told)?;
    let mut statement = connection.prepare("PRAGMA integrity_check").map_err(told)?;
    let lines = statement.query_map((), |row| row.get(0)).map_err(told)?;
    let lines: Vec<String> = lines.collect::<Result<_, _>>().map_err(told)?;
    Ok(lines.into_iter().filter(|line| line != "ok").collect())
}
