//! Contents that are too large for memory, as far as the core knows them: written once, read in pieces, gone when nobody
//! names them any more. Where they lie the store decides.

use std::fmt;
use std::io::{self, BufReader, Read};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much of a blob is read at a time.
const PIECE: usize = 64 << 10;

/// A place for blobs. Every operation may wait for a disk, and none keeps anything open behind it.
pub trait Blobs: Send + Sync + fmt::Debug {
    /// Makes an empty blob, whose ID nobody can guess.
    fn create(&self) -> Result<Arc<str>, BlobFault>;

    /// Adds to a blob, all of it or nothing.
    fn append(&self, id: &str, pieces: &[&[u8]]) -> Result<(), BlobFault>;

    /// Reads from a place in a blob; 0 behind its end.
    fn read(&self, id: &str, at: u64, into: &mut [u8]) -> Result<usize, BlobFault>;

    /// Sees to it that a blob outlives a crash, where blobs outlive the process.
    fn sync(&self, id: &str) -> Result<(), BlobFault>;

    /// Removes a blob, now or soon. One that is not there is removed.
    fn remove(&self, id: &str);

    /// How many bytes all blobs together may take.
    fn limit(&self) -> u64;
}

/// Why a blob could not be read or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlobFault {
    /// There is no room for more of them.
    #[error("all blobs together take at most {limit} bytes")]
    Full {
        /// The most they may take.
        limit: u64,
    },
    /// The place itself does not work.
    #[error("a blob cannot be read or written: {0}")]
    Unavailable(String),
    /// It, or a part of it, is not there, although its place is. Another try does not help.
    #[error("a blob is gone: {0}")]
    Gone(String),
}

impl From<io::Error> for BlobFault {
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(fault) => fault,
            Err(error) => Self::Unavailable(error.to_string()),
        }
    }
}

/// A blob that is being written. Dropped before it is finished, nothing of it stays.
#[derive(Debug)]
pub(crate) struct Spool {
    whole: Whole,
    len: u64,
}

impl Spool {
    pub(crate) fn begin(blobs: &Arc<dyn Blobs>) -> Result<Self, BlobFault> {
        let id = blobs.create()?;
        Ok(Self { whole: Whole { id, blobs: Arc::clone(blobs), kept: AtomicBool::new(false) }, len: 0 })
    }

    pub(crate) fn append(&mut self, pieces: &[&[u8]]) -> Result<(), BlobFault> {
        self.whole.blobs.append(&self.whole.id, pieces)?;
        self.len += pieces.iter().map(|piece| piece.len() as u64).sum::<u64>();
        Ok(())
    }

    pub(crate) fn finish(self) -> Blob {
        Blob { whole: Arc::new(self.whole), start: 0, len: self.len }
    }
}

/// A blob that is written, or a part of one. It is removed with the last that names it, unless the store keeps it.
#[derive(Clone)]
pub struct Blob {
    whole: Arc<Whole>,
    start: u64,
    len: u64,
}

struct Whole {
    id: Arc<str>,
    blobs: Arc<dyn Blobs>,
    kept: AtomicBool,
}

impl Blob {
    /// A whole blob that the store keeps.
    pub fn kept(blobs: &Arc<dyn Blobs>, id: Arc<str>, len: u64) -> Self {
        let whole = Whole { id, blobs: Arc::clone(blobs), kept: AtomicBool::new(true) };
        Self { whole: Arc::new(whole), start: 0, len }
    }

    /// The ID of the whole.
    pub fn id(&self) -> &Arc<str> {
        &self.whole.id
    }

    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Where it begins in the whole.
    pub(crate) fn start(&self) -> u64 {
        self.start
    }

    /// A part of it; what lies behind its end is none.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        let end = range.end.min(self.len);
        let start = range.start.min(end);
        Self { whole: Arc::clone(&self.whole), start: self.start + start, len: end - start }
    }

    /// Reads it from its beginning.
    pub fn reader(&self) -> BufReader<BlobReader> {
        BufReader::with_capacity(PIECE, BlobReader { blob: self.clone(), at: 0 })
    }

    /// Sees to it that the whole outlives a crash: before the commit that names it.
    pub fn sync(&self) -> Result<(), BlobFault> {
        self.whole.blobs.sync(&self.whole.id)
    }

    /// Leaves its removal to the store: after the commit that names it.
    pub fn keep(&self) {
        self.whole.kept.store(true, Ordering::Release);
    }

    /// Whether its removal is the store's.
    pub fn is_kept(&self) -> bool {
        self.whole.kept.load(Ordering::Acquire)
    }

    /// How many bytes all blobs beside it may take.
    pub fn limit(&self) -> u64 {
        self.whole.blobs.limit()
    }
}

impl Drop for Whole {
    fn drop(&mut self) {
        if !*self.kept.get_mut() {
            self.blobs.remove(&self.id);
        }
    }
}

impl fmt::Debug for Blob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Blob").field("id", &self.whole.id).field("len", &self.len).finish_non_exhaustive()
    }
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

/// Reads a blob piece by piece.
#[derive(Debug)]
pub struct BlobReader {
    blob: Blob,
    at: u64,
}

impl Read for BlobReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let Blob { whole, start, len } = &self.blob;
        let left = usize::try_from(len - self.at).unwrap_or(usize::MAX).min(into.len());
        let into = into.get_mut(..left).unwrap_or_default();
        if into.is_empty() {
            return Ok(0);
        }
        let read = whole.blobs.read(&whole.id, start + self.at, into).map_err(io::Error::other)?;
        if read == 0 {
            return Err(io::Error::other(BlobFault::Gone("it is shorter than it was".into())));
        }
        self.at += read as u64;
        Ok(read)
    }
}
