//! Blobs as files of a folder: `<folder>/3f/3f…`, one each, for nobody else to read.
//!
//! Nothing is held open between two operations, so no number of blobs takes descriptors. A folder that outlives the
//! process belongs to a store that does; any other is made when it is first needed and goes with the process, or with
//! the next one when the process was killed.

use crate::lasting;
use hookflow_runtime::{Chance, fault_point};
use hookflow_trigger::{BlobFault, Blobs};
use std::fs::{self, DirBuilder, DirEntry, File, OpenOptions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::runtime::Handle;

/// How many bytes all blobs together may take, when nobody says otherwise.
pub const BLOB_BYTES: u64 = 10 << 30;

/// What the folders of processes are named.
const PREFIX: &str = "hookflow-blobs-";
/// The file in such a folder that its process holds locked.
const LOCK: &str = "lock";
/// How many characters an ID has.
const ID: usize = 32;

/// Blobs as files.
#[derive(Debug)]
pub struct BlobFolder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    limit: u64,
    taken: AtomicU64,
    chance: Chance,
    /// Where files are removed, if there was one when it was opened.
    runtime: Option<Handle>,
    life: Life,
}

#[derive(Debug)]
enum Life {
    /// Outlives the process.
    Kept,
    /// Goes with the process, which holds its lock once the folder is there.
    Process(Mutex<Option<File>>),
}

impl BlobFolder {
    /// The folder of a store that outlives the process. The folder above it lasts already.
    pub fn open(root: impl Into<PathBuf>, limit: u64, chance: Chance) -> io::Result<Self> {
        let root = root.into();
        lasting::make_folder_within(&root)?;
        let folder = Self::new(root, limit, chance, Life::Kept);
        let mut taken = 0;
        folder.0.each_file(|_, entry| {
            taken += entry.metadata()?.len();
            Ok(())
        })?;
        folder.0.taken.store(taken, Ordering::Relaxed);
        Ok(folder)
    }

    /// The same to read from, beside the process whose it is or without one. Nothing fits in, and nothing is looked at.
    pub fn to_read(root: impl Into<PathBuf>, chance: Chance) -> Self {
        Self::new(root.into(), 0, chance, Life::Kept)
    }

    /// A folder beside others in `parent`, which goes with the process. It is made when it is first needed; what
    /// processes that were killed have left there is removed now.
    pub fn of_process(parent: &Path, limit: u64, chance: Chance) -> Self {
        let root = parent.join(format!("{PREFIX}{}", name(&chance)));
        let folder = Self::new(root, limit, chance, Life::Process(Mutex::default()));
        if let Ok(uid) = fs::metadata("/proc/self").map(|process| process.uid()) {
            // What cannot be looked at is somebody else's.
            for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
                remove_orphan(&entry, uid);
            }
        }
        folder
    }

    fn new(root: PathBuf, limit: u64, chance: Chance, life: Life) -> Self {
        let (taken, runtime) = (AtomicU64::new(0), Handle::try_current().ok());
        Self(Arc::new(Inner { root, limit, taken, chance, runtime, life }))
    }

    /// How many bytes all blobs take.
    pub fn taken(&self) -> u64 {
        self.0.taken.load(Ordering::Relaxed)
    }

    /// Whether a blob is there, and whole.
    pub fn holds(&self, id: &str, bytes: u64) -> bool {
        self.0.path(id).and_then(fs::metadata).is_ok_and(|file| file.len() == bytes)
    }

    /// Removes the blobs that nobody has `named`, before anybody writes one: later they may be on their way to be named.
    pub fn sweep(&self, named: impl Fn(&str) -> bool) -> io::Result<()> {
        let mut orphans = Vec::new();
        self.0.each_file(|id, _| {
            if !named(id) {
                orphans.push(id.to_owned());
            }
            Ok(())
        })?;
        for id in &orphans {
            self.0.remove_now(id);
        }
        Ok(())
    }

    /// Ends it: what goes with the process goes now.
    pub fn close(&self) {
        if let Life::Process(lock) = &self.0.life
            && let Some(lock) = lock.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            // The next process finds what is left.
            drop((fs::remove_dir_all(&self.0.root), lock));
        }
    }
}

impl Drop for BlobFolder {
    fn drop(&mut self) {
        self.close();
    }
}

impl Blobs for BlobFolder {
    fn create(&self) -> Result<Arc<str>, BlobFault> {
        let inner = &self.0;
        if inner.taken.load(Ordering::Relaxed) >= inner.limit {
            return Err(BlobFault::Full { limit: inner.limit });
        }
        inner.prepare()?;
        let id = name(&inner.chance);
        let path = inner.path(&id)?;
        match new_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                make_folder(path.parent().unwrap_or(&inner.root))?;
                new_file(&path)?;
            }
            made => drop(made?),
        }
        Ok(id.into())
    }

    fn append(&self, id: &str, pieces: &[&[u8]]) -> Result<(), BlobFault> {
        let inner = &self.0;
        let more: u64 = pieces.iter().map(|piece| piece.len() as u64).sum();
        let grown = |taken: u64| taken.checked_add(more).filter(|all| *all <= inner.limit);
        let fits = inner.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
        fits.map_err(|_| BlobFault::Full { limit: inner.limit })?;
        let written = inner.path(id).and_then(|path| write(&path, pieces));
        if written.is_err() {
            inner.give_back(more);
        }
        fault_point("blob.appended");
        Ok(written?)
    }

    fn read(&self, id: &str, at: u64, into: &mut [u8]) -> Result<usize, BlobFault> {
        let file = File::open(self.0.path(id)?).map_err(|error| self.0.missing(error))?;
        loop {
            match file.read_at(into, at) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                read => return Ok(read?),
            }
        }
    }

    fn sync(&self, id: &str) -> Result<(), BlobFault> {
        if let Life::Process(_) = self.0.life {
            return Ok(());
        }
        let path = self.0.path(id)?;
        File::open(&path)?.sync_all()?;
        // Its entry, and that of the folder it is in.
        for folder in path.ancestors().skip(1).take(2) {
            File::open(folder)?.sync_all()?;
        }
        fault_point("blob.synced");
        Ok(())
    }

    fn remove(&self, id: &str) {
        let (inner, id) = (Arc::clone(&self.0), id.to_owned());
        // Freeing a large file takes a while, and whoever drops the last event that names it may be in a hurry, or be the
        // thread that writes for all.
        match &self.0.runtime {
            Some(runtime) => drop(runtime.spawn_blocking(move || inner.remove_now(&id))),
            None => inner.remove_now(&id),
        }
    }

    fn limit(&self) -> u64 {
        self.0.limit
    }
}

impl Inner {
    /// Makes the folder of this process, if that is not done yet.
    fn prepare(&self) -> io::Result<()> {
        let Life::Process(lock) = &self.life else { return Ok(()) };
        let mut lock = lock.lock().unwrap_or_else(PoisonError::into_inner);
        if lock.is_none() {
            DirBuilder::new().mode(0o700).create(&self.root)?;
            let file = new_file(&self.root.join(LOCK))?;
            file.try_lock()?;
            *lock = Some(file);
        }
        Ok(())
    }

    /// Where a blob lies. An ID that is none leads nowhere.
    fn path(&self, id: &str) -> io::Result<PathBuf> {
        let shard = id.get(..2).filter(|_| is_id(id)).ok_or(ErrorKind::InvalidInput)?;
        Ok(self.root.join(shard).join(id))
    }

    /// A file that is not in the folder is gone; without the folder nobody knows.
    fn missing(&self, error: io::Error) -> BlobFault {
        if error.kind() == ErrorKind::NotFound && self.root.is_dir() {
            BlobFault::Gone(error.to_string())
        } else {
            error.into()
        }
    }

    fn remove_now(&self, id: &str) {
        let Ok(path) = self.path(id) else { return };
        let Ok(length) = fs::metadata(&path).map(|file| file.len()) else { return };
        fault_point("blob.removing");
        // What cannot be removed now is an orphan for the next start.
        if fs::remove_file(&path).is_ok() {
            self.give_back(length);
        }
    }

    fn give_back(&self, bytes: u64) {
        let less = |taken: u64| Some(taken.saturating_sub(bytes));
        // It always gives a number.
        let (Ok(_) | Err(_)) = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
    }

    fn each_file(&self, mut see: impl FnMut(&str, &DirEntry) -> io::Result<()>) -> io::Result<()> {
        for shard in fs::read_dir(&self.root)? {
            let shard = shard?;
            if !shard.file_type()?.is_dir() {
                continue;
            }
            for entry in fs::read_dir(shard.path())? {
                let entry = entry?;
                if let Some(id) = entry.file_name().to_str().filter(|name| is_id(name)) {
                    see(id, &entry)?;
                }
            }
        }
        Ok(())
    }
}

/// Removes the folder of a process of the same user that has ended.
fn remove_orphan(entry: &DirEntry, uid: u32) {
    let is_ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX))
        && entry.metadata().is_ok_and(|folder| folder.is_dir() && folder.uid() == uid);
    let lock = entry.path().join(LOCK);
    if is_ours
        && fs::symlink_metadata(&lock).is_ok_and(|lock| lock.is_file())
        && File::open(&lock).is_ok_and(|lock| lock.try_lock().is_ok())
    {
        // What stays, the next start tries again.
        drop(fs::remove_dir_all(entry.path()));
    }
}

/// 128 bits by which nobody finds it.
fn name(chance: &Chance) -> String {
    format!("{:032x}", u128::from_be_bytes(chance.bytes()))
}

fn is_id(name: &str) -> bool {
    name.len() == ID && name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn make_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(path)
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)
}

/// Adds all of it or nothing.
fn write(path: &Path, pieces: &[&[u8]]) -> io::Result<()> {
    let mut file = OpenOptions::new().append(true).open(path)?;
    let before = file.metadata()?.len();
    let written = pieces.iter().try_for_each(|piece| file.write_all(piece));
    if written.is_err() {
        file.set_len(before)?;
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_runtime::Clock;
    use hookflow_trigger::{Blob, Body, Gathering};
    use std::os::unix::fs::PermissionsExt as _;
    use std::time::Duration;

    fn chance() -> Chance {
        Chance::system(Clock::system())
    }

    fn spool(blobs: &Arc<BlobFolder>, bytes: &[u8]) -> Result<Blob, BlobFault> {
        let mut gathering = Gathering::new(Some(Arc::clone(blobs) as Arc<dyn Blobs>));
        for piece in bytes.chunks(10_000) {
            gathering.add(piece.to_vec().into())?;
        }
        gathering.finish().map(|body| body.spooled().unwrap().clone())
    }

    fn read(blob: &Blob) -> Vec<u8> {
        Body::Spooled(blob.clone()).whole().unwrap().to_vec()
    }

    fn files(root: &Path) -> Vec<PathBuf> {
        let shards = fs::read_dir(root).into_iter().flatten().flatten().filter(|it| it.path().is_dir());
        shards.flat_map(|shard| fs::read_dir(shard.path()).unwrap()).map(|it| it.unwrap().path()).collect()
    }

    #[test]
    fn a_kept_blob_outlives_the_process_and_others_do_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("data/blobs");
        let bytes: Vec<u8> = (0..=255).cycle().take(200_000).collect();
        let blobs = Arc::new(BlobFolder::open(&root, 1 << 20, chance()).unwrap());
        let (kept, dropped) = (spool(&blobs, &bytes).unwrap(), spool(&blobs, &bytes).unwrap());
        kept.sync().unwrap();
        kept.keep();
        assert_eq!((read(&kept), read(&dropped), blobs.taken()), (bytes.clone(), bytes.clone(), 400_000));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert!(files(&root).iter().all(|file| mode(file) == 0o600 && mode(file.parent().unwrap()) == 0o700));
        let (id, len) = (Arc::clone(kept.id()), kept.len());
        drop((kept, dropped));
        assert_eq!((files(&root).len(), blobs.taken()), (1, 200_000));
        drop(blobs);
        let blobs = Arc::new(BlobFolder::open(&root, 1 << 20, chance()).unwrap());
        assert_eq!(blobs.taken(), 200_000);
        let dynamic = Arc::clone(&blobs) as Arc<dyn Blobs>;
        assert_eq!(read(&Blob::kept(&dynamic, Arc::clone(&id), len)), bytes);
        blobs.remove(&id);
        assert_eq!((files(&root).len(), blobs.taken()), (0, 0));
        let gone = Body::Spooled(Blob::kept(&dynamic, Arc::clone(&id), len)).whole();
        assert!(matches!(gone, Err(BlobFault::Gone(_))), "{gone:?}");
        fs::remove_dir_all(&root).unwrap();
        let nowhere = Body::Spooled(Blob::kept(&dynamic, id, len)).whole();
        assert!(matches!(nowhere, Err(BlobFault::Unavailable(_))), "{nowhere:?}");
    }

    #[test]
    fn a_sweep_takes_what_nobody_names() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(BlobFolder::open(folder.path(), 1 << 20, chance()).unwrap());
        let (named, orphan) =
            (spool(&blobs, &vec![1; 70_000]).unwrap(), spool(&blobs, &vec![2; 70_000]).unwrap());
        blobs.sweep(|id| *id == **named.id()).unwrap();
        assert_eq!((files(folder.path()).len(), blobs.taken(), read(&named).len()), (1, 70_000, 70_000));
        drop(orphan);
        assert_eq!(blobs.taken(), 70_000);
    }

    #[test]
    fn all_together_have_a_bound() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(BlobFolder::open(folder.path(), 100_000, chance()).unwrap());
        let first = spool(&blobs, &vec![1; 80_000]).unwrap();
        assert_eq!(spool(&blobs, &vec![2; 80_000]).unwrap_err(), BlobFault::Full { limit: 100_000 });
        assert_eq!((files(folder.path()).len(), blobs.taken()), (1, 80_000));
        drop(first);
        assert_eq!(spool(&blobs, &vec![2; 100_000]).unwrap().len(), 100_000);
    }

    #[test]
    fn an_id_is_not_a_path() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = BlobFolder::open(folder.path().join("in"), 1 << 20, chance()).unwrap();
        let outside = folder.path().join("f".repeat(ID));
        fs::write(&outside, "x").unwrap();
        for id in ["", "..", "../ffffffffffffffffffffffffffffff", &"F".repeat(ID), &"é".repeat(16)] {
            assert!(blobs.read(id, 0, &mut [0; 9]).is_err(), "{id}");
            assert!(blobs.append(id, &[b"x"]).is_err(), "{id}");
            blobs.remove(id);
        }
        assert_eq!((fs::read(outside).unwrap(), blobs.taken()), (b"x".to_vec(), 0));
    }

    #[test]
    fn the_folder_of_a_process_comes_when_needed_and_goes_with_it() {
        let parent = tempfile::tempdir().unwrap();
        let count = || fs::read_dir(parent.path()).unwrap().count();
        let first = Arc::new(BlobFolder::of_process(parent.path(), 1 << 20, chance()));
        assert_eq!(count(), 0);
        let blob = spool(&first, &vec![1; 70_000]).unwrap();
        // One that was killed leaves its folder and its lock, which nobody holds.
        let killed = parent.path().join(format!("{PREFIX}killed"));
        fs::create_dir(&killed).unwrap();
        fs::write(killed.join(LOCK), "").unwrap();
        let strange = parent.path().join(format!("{PREFIX}strange"));
        fs::create_dir(&strange).unwrap();
        fs::write(parent.path().join("hookflow-other"), "").unwrap();
        let second = BlobFolder::of_process(parent.path(), 1 << 20, chance());
        assert!(!killed.exists() && strange.exists(), "only what has an unheld lock");
        assert_eq!((count(), read(&blob).len()), (3, 70_000), "the living keep theirs");
        drop((second, blob));
        assert_eq!((files(&first.0.root).len(), first.taken()), (0, 0));
        first.close();
        assert_eq!(count(), 2);
    }

    #[tokio::test]
    async fn removal_is_no_work_of_who_drops() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Arc::new(BlobFolder::open(folder.path(), 1 << 20, chance()).unwrap());
        drop(spool(&blobs, &vec![1; 70_000]).unwrap());
        let removed = async {
            while !files(folder.path()).is_empty() || blobs.taken() > 0 {
                tokio::task::yield_now().await;
            }
        };
        Clock::system().timeout(Duration::from_secs(10), removed).await.unwrap();
    }
}
