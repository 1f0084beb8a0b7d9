//! What an operator has done about the file: looking whether it is whole, and moving it away when it is not.

use super::beside;
use super::failure::{Failure, is_damage};
use super::file::{File, lock};
use super::reading::{one, rows};
use super::rows::uint;
use crate::backends::{OpenFault, Opening};
use crate::blobs::BlobFolder;
use jiff::Timestamp;
use rusqlite::Connection;
use std::fs::{self, DirBuilder};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// How many problems of one kind are told.
const TOLD: usize = 100;

/// How many folders of one second there may be.
const SAME_SECOND: usize = 100;

/// What is wrong with a file and its blobs. Nothing is changed.
pub(super) fn check(opening: &Opening) -> Result<Vec<String>, OpenFault> {
    let fault = |why| OpenFault { path: opening.path.clone(), why };
    let file = match File::to_read(&opening.path) {
        Ok(file) => file,
        Err(fault) if is_damage(&fault.why) => return Ok(vec![fault.why]),
        Err(fault) => return Err(fault),
    };
    let blobs = BlobFolder::to_read(beside(&opening.path), opening.chance.clone());
    let found = file.reading().and_then(|connection| problems(&connection, &blobs));
    found.or_else(|failure| match failure.why() {
        why if is_damage(&why) => Ok(vec![why]),
        why => Err(fault(why)),
    })
}

fn problems(connection: &Connection, blobs: &BlobFolder) -> Result<Vec<String>, Failure> {
    let mut problems: Vec<String> =
        rows(connection, &format!("PRAGMA integrity_check({TOLD})"), (), |row| Ok(row.get(0)?))?;
    problems.retain(|problem| problem != "ok");
    if !problems.is_empty() {
        // What the tables say cannot be relied on.
        return Ok(problems);
    }
    let lost = "SELECT count(*) FROM (SELECT seq FROM events EXCEPT SELECT seq FROM open EXCEPT SELECT seq FROM ends)";
    let lost: i64 = one(connection, lost, (), |row| row.get(0))?.unwrap_or_default();
    if lost > 0 {
        problems.push(format!("{lost} runs neither go on nor have ended"));
    }
    let named = "SELECT id, max(bytes) FROM blobs GROUP BY id";
    let named: Vec<(String, u64)> = rows(connection, named, (), |row| Ok((row.get(0)?, uint(row.get(1)?))))?;
    let missing = named.into_iter().filter(|(id, bytes)| !blobs.holds(id, *bytes));
    for (id, bytes) in missing.take(TOLD) {
        // Unless it has been forgotten since it was named.
        if one(connection, "SELECT 1 FROM blobs WHERE id = ?1", (&id,), |_| Ok(()))?.is_some() {
            problems.push(format!("the body {id}, of {bytes} bytes, is missing or has another length"));
        }
    }
    Ok(problems)
}

/// Moves the file and what belongs to it into a new folder beside it, which is named after it and the moment.
pub(super) fn set_aside(path: &Path, now: Timestamp) -> Result<PathBuf, OpenFault> {
    let fault = |why: String| OpenFault { path: path.to_owned(), why };
    let path = &std::path::absolute(path).map_err(|error| fault(error.to_string()))?;
    let parts = [named(path, "-wal"), named(path, "-shm"), beside(path), path.to_owned()];
    if !parts.iter().any(|part| part.exists()) {
        return Err(fault("there is no such file".into()));
    }
    let _held = lock(path).map_err(fault)?;
    let aside = new_folder(&named(path, &format!(".aside-{}", now.strftime("%Y%m%dT%H%M%SZ"))));
    let aside = aside.map_err(|error| fault(format!("a folder beside it cannot be made: {error}")))?;
    move_all(&parts, &aside).map_err(|error| fault(format!("it cannot be moved away: {error}")))?;
    Ok(aside)
}

/// A folder that was not there before.
fn new_folder(path: &Path) -> io::Result<PathBuf> {
    let others = (2..=SAME_SECOND).map(|number| named(path, &format!("-{number}")));
    for folder in std::iter::once(path.to_owned()).chain(others) {
        match DirBuilder::new().mode(0o700).create(&folder) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            made => return made.map(|()| folder),
        }
    }
    Err(ErrorKind::AlreadyExists.into())
}

/// All of them, or none. The database goes last: whoever starts meanwhile finds it, or nothing.
fn move_all(parts: &[PathBuf], into: &Path) -> io::Result<()> {
    let mut moved = Vec::new();
    for part in parts {
        let Some(to) = part.file_name().map(|name| into.join(name)) else { continue };
        match fs::rename(part, &to) {
            Ok(()) => moved.push((part, to)),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => {
                for (from, to) in moved {
                    fs::rename(to, from)?;
                }
                fs::remove_dir(into)?;
                return Err(error);
            }
        }
    }
    fs::File::open(into)?.sync_all()?;
    into.parent().map_or(Ok(()), |parent| fs::File::open(parent)?.sync_all())
}

fn named(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
