//! How many bytes of bodies there are at the door, before anything else counts them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The room for all bodies that are being read, or whose requests are not answered.
#[derive(Debug)]
pub(crate) struct Memory {
    limit: u64,
    taken: AtomicU64,
}

/// One body's part of it, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Share {
    memory: Arc<Memory>,
    bytes: u64,
}

impl Memory {
    pub(crate) fn new(limit: u64) -> Arc<Self> {
        Arc::new(Self { limit, taken: AtomicU64::new(0) })
    }

    /// A share of nothing yet.
    pub(crate) fn share(self: &Arc<Self>) -> Share {
        Share { memory: Arc::clone(self), bytes: 0 }
    }
}

#[cfg(test)]
impl Memory {
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Ordering::Relaxed)
    }
}

impl Share {
    /// A share of nothing of the same memory takes its place.
    pub(crate) fn take(&mut self) -> Self {
        let empty = self.memory.share();
        std::mem::replace(self, empty)
    }

    /// Makes the share larger by `bytes`, if there is room.
    #[must_use]
    pub(crate) fn grow_by(&mut self, bytes: u64) -> bool {
        self.grow_to(self.bytes.saturating_add(bytes))
    }

    /// Makes the share as large as `bytes`, if there is room. A body that is alone always has room, or one that is larger
    /// than all of it could never be taken.
    #[must_use]
    pub(crate) fn grow_to(&mut self, bytes: u64) -> bool {
        let more = bytes.saturating_sub(self.bytes);
        let grown = |taken: u64| {
            let all = taken.saturating_add(more);
            (all <= self.memory.limit || taken == self.bytes || more == 0).then_some(all)
        };
        let fits = self.memory.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown).is_ok();
        if fits {
            self.bytes += more;
        }
        fits
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.taken.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_grow_while_there_is_room_and_are_given_back() {
        let memory = Memory::new(10);
        let (mut first, mut second) = (memory.share(), memory.share());
        assert!(first.grow_to(4) && second.grow_to(5) && first.grow_to(5));
        assert!(!first.grow_to(6) && !second.grow_to(u64::MAX));
        assert!(first.grow_to(5) && first.grow_to(1), "what it has is no more");
        assert_eq!(memory.taken(), 10);
        assert!(!first.grow_by(1));
        let mut moved = second.take();
        drop(second);
        assert!(memory.taken() == 10 && moved.grow_by(0));
        drop(moved);
        assert!(first.grow_to(1_000), "one that is alone always has room");
        assert!(!memory.share().grow_to(1) && memory.share().grow_to(0));
        drop(first);
        assert_eq!(memory.taken(), 0);
    }
}
