//! A body on its way out: what is in memory leaves as it is, what lies in a blob is read a piece at a time while it leaves.

use bytes::Bytes;
use hookflow_trigger::{BlobFault, BlobReader, Body};
use hyper::body::{self, Frame, SizeHint};
use std::collections::VecDeque;
use std::io::{self, Read as _};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use tokio::task::JoinHandle;

/// How much of a blob is in memory at a time.
const PIECE: usize = 64 << 10;

/// A body that leaves, its length known from the start.
#[derive(Debug)]
pub struct Outgoing {
    /// What has not begun to leave.
    rest: VecDeque<Body>,
    /// How many bytes have not left.
    left: u64,
    reading: Option<Reading>,
}

/// A blob that is being read.
#[derive(Debug)]
enum Reading {
    Idle(BlobReader),
    /// Beside the threads that serve connections. Dropped, it ends by itself.
    Busy(JoinHandle<(BlobReader, io::Result<Bytes>)>),
}

impl Outgoing {
    /// Bodies, one after the other.
    pub fn new(pieces: impl IntoIterator<Item = Body>) -> Self {
        let rest: VecDeque<_> = pieces.into_iter().filter(|piece| !piece.is_empty()).collect();
        let left = rest.iter().map(Body::len).sum();
        Self { rest, left, reading: None }
    }

    /// What is left, when it is one stretch in memory.
    pub fn held(&self) -> Option<Bytes> {
        match (self.rest.front(), self.rest.len()) {
            (None, _) if self.left == 0 => Some(Bytes::new()),
            (Some(Body::Held(bytes)), 1) if self.reading.is_none() => Some(bytes.clone()),
            _ => None,
        }
    }

    /// Reads on in a blob; nothing at its end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        loop {
            match self.reading.take() {
                None => return Poll::Ready(None),
                Some(Reading::Idle(reader)) => {
                    self.reading = Some(Reading::Busy(tokio::task::spawn_blocking(move || read(reader))));
                }
                Some(Reading::Busy(mut busy)) => match Pin::new(&mut busy).poll(cx) {
                    Poll::Pending => {
                        self.reading = Some(Reading::Busy(busy));
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok((reader, Ok(piece)))) if !piece.is_empty() => {
                        self.reading = Some(Reading::Idle(reader));
                        return Poll::Ready(Some(Ok(piece)));
                    }
                    Poll::Ready(Ok((_, Ok(_)))) => return Poll::Ready(None),
                    Poll::Ready(Ok((_, Err(error)))) => return Poll::Ready(Some(Err(error))),
                    Poll::Ready(Err(error)) => return Poll::Ready(Some(Err(io::Error::other(error)))),
                },
            }
        }
    }
}

fn read(mut reader: BlobReader) -> (BlobReader, io::Result<Bytes>) {
    let mut piece = Vec::with_capacity(PIECE);
    let read = (&mut reader).take(PIECE as u64).read_to_end(&mut piece);
    (reader, read.map(|_| piece.into()))
}

impl body::Body for Outgoing {
    type Data = Bytes;
    type Error = BlobFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BlobFault>>> {
        let piece = loop {
            match ready!(self.poll_read(cx)) {
                Some(Ok(piece)) => break piece,
                Some(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                None => {}
            }
            match self.rest.pop_front() {
                None => return Poll::Ready(None),
                Some(Body::Held(bytes)) => break bytes,
                Some(Body::Spooled(blob)) => self.reading = Some(Reading::Idle(blob.reader().into_inner())),
            }
        };
        self.left = self.left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl From<Bytes> for Outgoing {
    fn from(bytes: Bytes) -> Self {
        Self::new([Body::Held(bytes)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_trigger::{Blob, Blobs};
    use http_body_util::BodyExt as _;
    use std::sync::{Arc, Mutex};

    /// One blob, of the same byte all over, that ends early.
    #[derive(Debug)]
    struct Disk {
        length: u64,
        reads: Mutex<Vec<(u64, usize)>>,
    }

    impl Blobs for Disk {
        fn create(&self) -> Result<Arc<str>, BlobFault> {
            Err(BlobFault::Full { limit: 0 })
        }

        fn append(&self, _: &str, _: &[&[u8]]) -> Result<(), BlobFault> {
            Err(BlobFault::Full { limit: 0 })
        }

        fn read(&self, _: &str, at: u64, into: &mut [u8]) -> Result<usize, BlobFault> {
            let length = usize::try_from(self.length - at).unwrap().min(into.len());
            into[..length].fill(7);
            self.reads.lock().unwrap().push((at, into.len()));
            Ok(length)
        }

        fn sync(&self, _: &str) -> Result<(), BlobFault> {
            Ok(())
        }

        fn remove(&self, _: &str) {}

        fn limit(&self) -> u64 {
            0
        }
    }

    fn blob(length: u64, told: u64) -> (Arc<Disk>, Body) {
        let disk = Arc::new(Disk { length, reads: Mutex::default() });
        let blobs = Arc::clone(&disk) as Arc<dyn Blobs>;
        (disk, Body::Spooled(Blob::kept(&blobs, "b".into(), told)))
    }

    #[tokio::test]
    async fn pieces_leave_in_their_order_and_a_blob_is_never_whole_in_memory() {
        let (disk, large) = blob(200_001, 200_001);
        let pieces = [Body::from("head "), Body::from(""), large, Body::from(" tail")];
        let mut outgoing = Outgoing::new(pieces);
        assert_eq!((body::Body::size_hint(&outgoing).exact(), outgoing.held()), (Some(200_011), None));
        let mut lengths = Vec::new();
        let mut all = Vec::new();
        while let Some(frame) = outgoing.frame().await {
            let data = frame.unwrap().into_data().unwrap();
            lengths.push(data.len());
            all.extend_from_slice(&data);
        }
        assert_eq!(lengths, [5, 65_536, 65_536, 65_536, 3_393, 5]);
        assert_eq!(all, [b"head ".as_slice(), &vec![7; 200_001], b" tail"].concat());
        assert!(body::Body::is_end_stream(&outgoing));
        assert!(disk.reads.lock().unwrap().iter().all(|(_, most)| *most <= PIECE));
    }

    #[tokio::test]
    async fn what_is_shorter_than_it_was_told_is_an_error_and_no_short_body() {
        let (_, short) = blob(10, 11);
        let error = Outgoing::new([short]).frame().await.unwrap().unwrap_err();
        assert!(matches!(error, BlobFault::Gone(_)), "{error}");
    }

    #[test]
    fn what_is_in_memory_is_known_at_once() {
        assert_eq!(Outgoing::from(Bytes::new()).held(), Some(Bytes::new()));
        assert_eq!(Outgoing::from(Bytes::from("a")).held(), Some("a".into()));
        assert_eq!(Outgoing::new([Body::from("a"), Body::from("b")]).held(), None);
    }
}
