//! A body: held in memory while it is small, spooled to a blob when it is not.

use crate::{Blob, BlobFault, Blobs, DecodeRefusal, blob::Spool};
use bytes::Bytes;
use std::io::{BufRead, Read as _};
use std::ops::Range;
use std::sync::Arc;

/// The largest body that is held; what works on a larger one belongs beside the threads that serve connections.
pub const SPOOL_ABOVE: usize = 64 << 10;

/// The bytes of a body.
#[derive(Debug, Clone)]
pub enum Body {
    /// In memory.
    Held(Bytes),
    /// In a blob.
    Spooled(Blob),
}

impl Body {
    /// How many bytes it has.
    pub fn len(&self) -> u64 {
        match self {
            Self::Held(bytes) => bytes.len() as u64,
            Self::Spooled(blob) => blob.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The bytes, when they are in memory.
    pub fn held(&self) -> Option<&Bytes> {
        match self {
            Self::Held(bytes) => Some(bytes),
            Self::Spooled(_) => None,
        }
    }

    /// The blob, when it is in one.
    pub fn spooled(&self) -> Option<&Blob> {
        match self {
            Self::Held(_) => None,
            Self::Spooled(blob) => Some(blob),
        }
    }

    /// Reads it from its beginning.
    pub fn reader(&self) -> Box<dyn BufRead + '_> {
        match self {
            Self::Held(bytes) => Box::new(&**bytes),
            Self::Spooled(blob) => Box::new(blob.reader()),
        }
    }

    /// All of it in memory; who asks has seen to the room.
    pub fn whole(&self) -> Result<Bytes, BlobFault> {
        match self {
            Self::Held(bytes) => Ok(bytes.clone()),
            Self::Spooled(blob) => {
                let mut whole = Vec::with_capacity(usize::try_from(blob.len()).unwrap_or_default());
                blob.reader().read_to_end(&mut whole)?;
                Ok(whole.into())
            }
        }
    }

    /// A part of it, not copied; what lies behind its end is none.
    pub(crate) fn slice(&self, range: Range<u64>) -> Self {
        match self {
            Self::Held(bytes) => {
                let end = usize::try_from(range.end).unwrap_or(usize::MAX).min(bytes.len());
                let start = usize::try_from(range.start).unwrap_or(usize::MAX).min(end);
                Self::Held(bytes.slice(start..end))
            }
            Self::Spooled(blob) => Self::Spooled(blob.slice(range)),
        }
    }
}

impl<B: Into<Bytes>> From<B> for Body {
    fn from(bytes: B) -> Self {
        Self::Held(bytes.into())
    }
}

/// Shows a whole body to `see`, piece by piece.
pub(crate) fn each_piece(mut reader: impl BufRead, mut see: impl FnMut(&[u8])) -> Result<(), BlobFault> {
    loop {
        let piece = reader.fill_buf()?;
        if piece.is_empty() {
            return Ok(());
        }
        see(piece);
        let length = piece.len();
        reader.consume(length);
    }
}

/// A body that is arriving: held up to [`SPOOL_ABOVE`], from then on written away as it comes.
#[derive(Debug)]
pub struct Gathering {
    /// Without it everything is held.
    blobs: Option<Arc<dyn Blobs>>,
    /// What came in one piece is not copied.
    first: Bytes,
    more: Vec<u8>,
    spool: Option<Spool>,
}

impl Gathering {
    /// Nothing yet.
    pub const fn new(blobs: Option<Arc<dyn Blobs>>) -> Self {
        Self { blobs, first: Bytes::new(), more: Vec::new(), spool: None }
    }

    /// Whether adding this many bytes waits for a disk.
    pub fn writes(&self, more: usize) -> bool {
        self.blobs.is_some() && self.first.len() + self.more.len() + more > SPOOL_ABOVE
    }

    /// Whether finishing waits for a disk.
    pub fn is_spooled(&self) -> bool {
        self.spool.is_some()
    }

    /// How many bytes of memory it takes.
    pub fn room(&self) -> u64 {
        (self.first.len() + self.more.capacity()) as u64
    }

    /// Adds what has come.
    pub fn add(&mut self, data: Bytes) -> Result<(), BlobFault> {
        if self.writes(data.len()) {
            return self.write(&data);
        }
        if self.more.is_empty() && self.first.is_empty() && self.spool.is_none() {
            self.first = data;
        } else {
            let first = std::mem::take(&mut self.first);
            self.make_room(first.len() + data.len());
            self.more.extend_from_slice(&first);
            self.more.extend_from_slice(&data);
        }
        Ok(())
    }

    /// Room for so many bytes more: never for more than twice of what has come, nor than is held at most.
    fn make_room(&mut self, more: usize) {
        let needed = self.more.len() + more;
        if needed > self.more.capacity() {
            let most = if self.blobs.is_some() { SPOOL_ABOVE } else { usize::MAX };
            let room = needed.saturating_mul(2).min(most).max(needed);
            self.more.reserve_exact(room - self.more.len());
        }
    }

    fn write(&mut self, data: &[u8]) -> Result<(), BlobFault> {
        let spool = match (&mut self.spool, &self.blobs) {
            (Some(spool), _) => spool,
            (none, Some(blobs)) => none.insert(Spool::begin(blobs)?),
            (None, None) => return Ok(()),
        };
        spool.append(&[&self.first, &self.more, data])?;
        self.first = Bytes::new();
        self.more.clear();
        Ok(())
    }

    /// All that came.
    pub fn finish(mut self) -> Result<Body, BlobFault> {
        if self.spool.is_some() {
            self.write(&[])?;
        }
        Ok(match self.spool {
            Some(spool) => Body::Spooled(spool.finish()),
            None if self.more.is_empty() => Body::Held(self.first),
            None => Body::Held(self.more.into()),
        })
    }
}

/// What the decoding of a body may use: a place for large contents, and memory that others want too.
pub struct Means<'m> {
    pub(crate) blobs: Option<Arc<dyn Blobs>>,
    /// Takes so many bytes more, if there is room.
    room: Option<&'m mut dyn FnMut(u64) -> bool>,
}

impl<'m> Means<'m> {
    /// Large contents go to `blobs`, and `room` is asked for memory.
    pub fn new(blobs: Arc<dyn Blobs>, room: &'m mut dyn FnMut(u64) -> bool) -> Self {
        Self { blobs: Some(blobs), room: Some(room) }
    }

    /// Everything in memory: for bodies that the operator's own files hold.
    pub const fn memory() -> Self {
        Self { blobs: None, room: None }
    }

    /// All of a body in memory. One that is held was counted before.
    pub(crate) fn whole(&mut self, body: &Body) -> Result<Bytes, DecodeRefusal> {
        if let (Self { room: Some(room), .. }, Body::Spooled(blob)) = (&mut *self, body)
            && !room(blob.len())
        {
            return Err(DecodeRefusal::NoRoom);
        }
        Ok(body.whole()?)
    }
}

#[cfg(test)]
pub(crate) mod tests;
