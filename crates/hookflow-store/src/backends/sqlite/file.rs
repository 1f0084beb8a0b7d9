//! The file: opening it, and who may.

use super::failure::{Failure, told_damage};
use super::schema;
use crate::backends::OpenFault;
use crate::lasting;
use rusqlite::{Connection, OpenFlags};
use std::fs::{self, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long somebody else's hold on the file is waited for, such as an operator's `sqlite3`.
const BUSY: Duration = Duration::from_secs(2);
/// How many statements a connection keeps prepared.
const STATEMENTS: usize = 64;

/// What every connection is set to; then what is the writer's alone. Commits reach the disk before they are answered.
const SETTINGS: &str = "PRAGMA foreign_keys = OFF; PRAGMA trusted_schema = OFF; PRAGMA temp_store = MEMORY;";
const WRITING: &str = "PRAGMA synchronous = FULL; PRAGMA fullfsync = ON; PRAGMA checkpoint_fullfsync = ON;
    PRAGMA wal_autocheckpoint = 8000; PRAGMA journal_size_limit = 67108864;";

/// A database that was opened once and is known again.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    identity: (u64, u64),
    /// Held for as long as this process serves from it. The system lets go of it when the process ends, however it does.
    _lock: Option<fs::File>,
}

impl File {
    /// Makes the file or brings it to this version, for the one server that writes to it.
    pub(super) fn to_serve(path: &Path) -> Result<(Self, Connection), OpenFault> {
        let fault = |why: String| OpenFault { path: path.to_owned(), why };
        let absolute = std::path::absolute(path).map_err(|error| fault(error.to_string()))?;
        // Whoever wrote to the file has made its folder last before.
        if !fs::metadata(&absolute).is_ok_and(|file| file.len() > 0) {
            make_folder(&absolute).map_err(|error| fault(format!("its folder cannot be made: {error}")))?;
        }
        let lock = lock(&absolute).map_err(fault)?;
        let create = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&absolute);
        match create {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(fault(error.to_string())),
            _ => {}
        }
        let file = Self::known(absolute, Some(lock)).map_err(|error| fault(error.to_string()))?;
        let connection = file.writing(true).map_err(|error| fault(told_damage(error)))?;
        Ok((file, connection))
    }

    /// A file of this version, beside the server that writes to it or without one.
    pub(super) fn to_read(path: &Path) -> Result<Self, OpenFault> {
        let fault = |why: String| OpenFault { path: path.to_owned(), why };
        let known = std::path::absolute(path).and_then(|absolute| Self::known(absolute, None));
        let file = known.map_err(|error| match error.kind() {
            ErrorKind::NotFound => fault("there is no such file: nothing has been served yet".into()),
            _ => fault(error.to_string()),
        })?;
        let connection = file.reading().map_err(|failure| fault(failure.why()))?;
        schema::is_current(&connection).map_err(|error| fault(told_damage(error)))?;
        Ok(file)
    }

    fn known(path: PathBuf, lock: Option<fs::File>) -> io::Result<Self> {
        let identity = identity(&path)?;
        Ok(Self { path, identity, _lock: lock })
    }

    /// That the file is still where it was: what is written to one that was moved or removed would be lost in silence.
    pub(super) fn in_place(&self) -> Result<(), Failure> {
        let why = match identity(&self.path) {
            Ok(identity) if identity == self.identity => return Ok(()),
            Ok(_) => "another file has taken its place: restart the service".into(),
            Err(error) => format!("its file has gone: {error}"),
        };
        Err(Failure::File { why, keep: true })
    }

    /// The connection of the writer.
    pub(super) fn writing(&self, first: bool) -> Result<Connection, String> {
        let told = |error: rusqlite::Error| error.to_string();
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = self.connect(flags).map_err(told)?;
        if first {
            schema::judge(&connection)?;
        }
        let mode: String =
            connection.query_row("PRAGMA journal_mode = WAL", (), |row| row.get(0)).map_err(told)?;
        if mode != "wal" {
            return Err("its file system cannot share memory between processes: use a local disk".into());
        }
        connection.execute_batch(WRITING).map_err(told)?;
        schema::migrate(&mut connection)?;
        Ok(connection)
    }

    /// A connection of a reader.
    pub(super) fn reading(&self) -> Result<Connection, Failure> {
        Ok(self.connect(OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX)?)
    }

    fn connect(&self, flags: OpenFlags) -> rusqlite::Result<Connection> {
        let connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        connection.set_prepared_statement_cache_capacity(STATEMENTS);
        connection.execute_batch(SETTINGS)?;
        Ok(connection)
    }
}

/// Only the service's own user sees what is kept, and no version control takes it along.
fn make_folder(file: &Path) -> io::Result<()> {
    let Some(folder) = file.parent() else { return Ok(()) };
    let was_there = folder.exists();
    // SQLite sees to it that a power cut does not take the file's name, but not the folder's.
    lasting::make_folder(folder)?;
    if was_there { Ok(()) } else { fs::write(folder.join(".gitignore"), "*\n") }
}

/// Holds the file for this process alone.
pub(super) fn lock(file: &Path) -> Result<fs::File, String> {
    let mut name = file.as_os_str().to_owned();
    name.push(".lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&name);
    let lock = lock.map_err(|error| format!("its lock file cannot be made: {error}"))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err("another service is running on it; a file has one".into()),
        Err(TryLockError::Error(error)) => Err(format!("it cannot be locked: {error}")),
    }
}

fn identity(path: &Path) -> io::Result<(u64, u64)> {
    let metadata = fs::metadata(path)?;
    Ok((metadata.dev(), metadata.ino()))
}
