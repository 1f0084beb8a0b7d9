//! Folders that a power cut does not take. A file that was synced is lost with the name of a folder above it that was not.

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

/// Makes a folder that only the service's own user looks into, and those above it that are missing. All names on the way
/// to it are on the disk then, also those that another start made and did not come to sync.
pub(crate) fn make_folder(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    create(&path)?;
    path.ancestors().skip(1).try_for_each(sync_names)
}

/// The same in a folder that lasts already: each sync is a wait for the disk.
pub(crate) fn make_folder_within(path: &Path) -> io::Result<()> {
    let path = std::path::absolute(path)?;
    create(&path)?;
    path.parent().map_or(Ok(()), sync_names)
}

fn create(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)
}

fn sync_names(folder: &Path) -> io::Result<()> {
    match File::open(folder).and_then(|it| it.sync_all()) {
        // Who may not look into a folder has made nothing in it, and some systems of files have no names to sync.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::InvalidInput) => Ok(()),
        synced => synced,
    }
}
