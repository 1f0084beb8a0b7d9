use super::*;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

/// Blobs of tests, in memory, with a bound.
#[derive(Debug)]
pub(crate) struct Shelf {
    pub(crate) blobs: Mutex<BTreeMap<String, Vec<u8>>>,
    limit: u64,
    /// How much it gives at a time.
    step: usize,
}

impl Shelf {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { blobs: Mutex::default(), limit, step: 1_000 })
    }

    /// A body on a shelf that gives so much at a time, however small it is.
    pub(crate) fn spooled(bytes: &[u8], step: usize) -> Body {
        let blobs = Arc::new(Self { blobs: Mutex::default(), limit: u64::MAX, step }) as Arc<dyn Blobs>;
        let mut spool = Spool::begin(&blobs).unwrap();
        spool.append(&[bytes]).unwrap();
        Body::Spooled(spool.finish())
    }

    pub(crate) fn count(&self) -> usize {
        self.lock().len()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Vec<u8>>> {
        self.blobs.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs for Shelf {
    fn create(&self) -> Result<Arc<str>, BlobFault> {
        let mut blobs = self.lock();
        let id = format!("b{}", blobs.len());
        blobs.insert(id.clone(), Vec::new());
        Ok(id.into())
    }

    fn append(&self, id: &str, pieces: &[&[u8]]) -> Result<(), BlobFault> {
        let mut blobs = self.lock();
        let all: usize = blobs.values().map(Vec::len).sum::<usize>() + pieces.concat().len();
        if all as u64 > self.limit {
            return Err(BlobFault::Full { limit: self.limit });
        }
        blobs.get_mut(id).unwrap().extend(pieces.concat());
        Ok(())
    }

    fn read(&self, id: &str, at: u64, into: &mut [u8]) -> Result<usize, BlobFault> {
        let blobs = self.lock();
        let blob = blobs.get(id).ok_or_else(|| BlobFault::Unavailable("it is gone".into()))?;
        let rest = blob.get(usize::try_from(at).unwrap()..).unwrap_or_default();
        // Short reads are what disks give too.
        let length = rest.len().min(into.len()).min(self.step);
        into[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn sync(&self, _: &str) -> Result<(), BlobFault> {
        Ok(())
    }

    fn remove(&self, id: &str) {
        self.lock().remove(id);
    }

    fn limit(&self) -> u64 {
        self.limit
    }
}

/// `bytes` as they come in pieces of this size.
pub(crate) fn gather(shelf: &Arc<Shelf>, bytes: &[u8], piece: usize) -> Result<Body, BlobFault> {
    let mut gathering = Gathering::new(Some(Arc::clone(shelf) as Arc<dyn Blobs>));
    for piece in bytes.chunks(piece) {
        gathering.add(Bytes::copy_from_slice(piece))?;
        assert!(gathering.room() <= SPOOL_ABOVE as u64);
    }
    gathering.finish()
}

#[test]
fn what_is_larger_than_the_bound_is_spooled_and_comes_back() {
    let shelf = Shelf::new(1 << 20);
    let bytes: Vec<u8> = (0..=250).cycle().take(3 * SPOOL_ABOVE + 7).collect();
    for length in [0, 1, SPOOL_ABOVE - 1, SPOOL_ABOVE, SPOOL_ABOVE + 1, 2 * SPOOL_ABOVE, bytes.len()] {
        for piece in [999, SPOOL_ABOVE - 1, SPOOL_ABOVE, SPOOL_ABOVE + 1, bytes.len()] {
            let body = gather(&shelf, &bytes[..length], piece).unwrap();
            assert_eq!(body.held().is_none(), length > SPOOL_ABOVE, "{length} by {piece}");
            assert_eq!(shelf.count(), usize::from(length > SPOOL_ABOVE));
            assert_eq!((body.len(), &body.whole().unwrap()[..]), (length as u64, &bytes[..length]));
            let part = body.slice(5..9).slice(1..100);
            assert_eq!(part.whole().unwrap(), bytes[..length].get(6..9).unwrap_or_default());
            let mut seen = Vec::new();
            each_piece(body.reader(), |piece| seen.extend_from_slice(piece)).unwrap();
            assert_eq!(seen, bytes[..length]);
            drop(body);
            assert_eq!(
                shelf.count(),
                usize::from(length > SPOOL_ABOVE && !part.is_empty()),
                "a part keeps it"
            );
        }
        assert_eq!(shelf.count(), 0, "nobody names it any more");
    }
}

#[test]
fn nothing_stays_of_what_does_not_fit_or_breaks_off() {
    let shelf = Shelf::new(100_000);
    let bytes = vec![1; 100_001];
    assert_eq!(gather(&shelf, &bytes, 1_000).unwrap_err(), BlobFault::Full { limit: 100_000 });
    let mut broken = Gathering::new(Some(Arc::clone(&shelf) as Arc<dyn Blobs>));
    broken.add(bytes[..80_000].to_vec().into()).unwrap();
    assert_eq!(shelf.count(), 1);
    drop(broken);
    assert_eq!(shelf.count(), 0);
    let body = gather(&shelf, &bytes[..80_000], 1_000).unwrap();
    body.spooled().unwrap().keep();
    drop(body);
    assert_eq!(shelf.count(), 1, "the store keeps it");
}

#[test]
fn a_blob_that_is_gone_or_cut_is_a_fault() {
    let shelf = Shelf::new(1 << 20);
    let body = gather(&shelf, &vec![7; 70_000], 70_000).unwrap();
    shelf.blobs.lock().unwrap().values_mut().for_each(|blob| blob.truncate(10));
    assert!(matches!(body.whole(), Err(BlobFault::Gone(why)) if why.contains("shorter")));
    shelf.blobs.lock().unwrap().clear();
    assert_eq!(body.whole(), Err(BlobFault::Unavailable("it is gone".into())));
}
