//! How many connections there are, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The connections that are open.
#[derive(Debug)]
pub(crate) struct Seats {
    limit: usize,
    limit_per_address: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

/// One connection's place, given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    seats: Arc<Seats>,
    ip: Option<IpAddr>,
}

impl Seats {
    pub(crate) fn new(limit: usize, limit_per_address: usize) -> Arc<Self> {
        Arc::new(Self { limit, limit_per_address, taken: Mutex::default() })
    }

    /// A place for a connection from `ip`, if there is one; without an address it is bound by the limit in all only.
    pub(crate) fn take(self: &Arc<Self>, ip: Option<IpAddr>) -> Option<Seat> {
        let mut taken = self.lock();
        if taken.all >= self.limit {
            return None;
        }
        if let Some(ip) = ip {
            let here = taken.by_address.get(&ip).copied().unwrap_or_default();
            if here >= self.limit_per_address {
                return None;
            }
            taken.by_address.insert(ip, here + 1);
        }
        taken.all += 1;
        Some(Seat { seats: Arc::clone(self), ip })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing under the lock can panic half way.
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock();
        taken.all -= 1;
        let Some(ip) = self.ip else { return };
        if let Some(here) = taken.by_address.get_mut(&ip) {
            *here -= 1;
            if *here == 0 {
                taken.by_address.remove(&ip);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seats_are_counted_and_given_back() {
        let seats = Seats::new(3, 2);
        let [a, b]: [Option<IpAddr>; 2] = [Some([127, 0, 0, 1].into()), Some([127, 0, 0, 2].into())];
        let first = seats.take(a).unwrap();
        let _second = seats.take(a).unwrap();
        assert!(seats.take(a).is_none(), "two from one address");
        let _third = seats.take(b).unwrap();
        assert!(seats.take(b).is_none(), "three in all");
        assert!(seats.take(None).is_none(), "a proxy too");
        drop(first);
        let again = seats.take(a);
        assert!(again.is_some());
        drop(again);
        drop(seats.take(None).unwrap());
        assert_eq!(seats.lock().by_address.len(), 2);
        assert_eq!(seats.lock().all, 2);
    }
}
