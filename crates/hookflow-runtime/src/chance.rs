//! Random bytes and IDs: from the system, or from a seed so that a test can be run again.

use crate::Clock;
use jiff::Timestamp;
use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::{Builder, Uuid};

/// Makes what must not be guessed or repeated. Cheap to clone; clones of a seeded one share its sequence.
#[derive(Debug, Clone)]
pub struct Chance {
    clock: Clock,
    source: Source,
}

#[derive(Debug, Clone)]
enum Source {
    System,
    Seeded(Arc<AtomicU64>),
}

impl Chance {
    /// From the system's secure source.
    pub const fn system(clock: Clock) -> Self {
        Self { clock, source: Source::System }
    }

    /// The same seed and clock give the same sequence. For tests: anybody can guess it.
    pub fn seeded(clock: Clock, seed: u64) -> Self {
        Self { clock, source: Source::Seeded(Arc::new(AtomicU64::new(seed))) }
    }

    /// An ID that sorts by the millisecond it was made in.
    pub fn uuid_v7(&self) -> Uuid {
        self.uuid_v7_at(self.clock.now())
    }

    /// The same for whoever knows the time already.
    pub fn uuid_v7_at(&self, now: Timestamp) -> Uuid {
        let millis = u64::try_from(now.as_millisecond()).unwrap_or_default();
        Builder::from_unix_timestamp_millis(millis, &self.bytes()).into_uuid()
    }

    /// The same as text, which is how most of them are needed.
    pub fn id_at(&self, now: Timestamp) -> Arc<str> {
        Arc::from(&*self.uuid_v7_at(now).hyphenated().encode_lower(&mut Uuid::encode_buffer()))
    }

    /// A seed or a secret.
    pub fn seed(&self) -> [u8; 32] {
        self.bytes()
    }

    /// So many random bytes.
    ///
    /// # Panics
    /// When the system has none, which a running Linux never says.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut bytes = [0; N];
        match &self.source {
            Source::System => fill(&mut bytes),
            Source::Seeded(state) => {
                for chunk in bytes.chunks_mut(8) {
                    for (byte, random) in chunk.iter_mut().zip(split_mix(state).to_le_bytes()) {
                        *byte = random;
                    }
                }
            }
        }
        bytes
    }
}

/// How many bytes a thread asks the system for at a time: a call for each ID costs more than the rest of the ID.
const STOCK: usize = 4096;

thread_local! {
    static FRESH: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Fills `bytes` from this thread's stock of the system's random bytes. Each byte is handed out once.
#[expect(clippy::expect_used, reason = "without random bytes no ID is unique and no secret is one")]
fn fill(bytes: &mut [u8]) {
    FRESH.with_borrow_mut(|fresh| {
        if fresh.len() < bytes.len() {
            fresh.resize(STOCK.max(bytes.len()), 0);
            getrandom::fill(fresh).expect("the system has no random bytes");
        }
        let rest = fresh.len() - bytes.len();
        let Some((_, random)) = fresh.split_at_checked(rest) else { return };
        bytes.copy_from_slice(random);
        fresh.truncate(rest);
    });
}

/// `SplitMix64`, a step of it.
fn split_mix(state: &AtomicU64) -> u64 {
    const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
    let mut z = state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_seed_repeats_and_the_system_does_not() {
        let clock = Clock::turned(Timestamp::from_second(1_700_000_000).unwrap());
        let sequence = |seed| {
            let chance = Chance::seeded(clock.clone(), seed);
            (chance.seed(), chance.uuid_v7(), chance.uuid_v7())
        };
        assert_eq!(sequence(1), sequence(1));
        assert_ne!(sequence(1), sequence(2));
        assert_ne!(sequence(1).1, sequence(1).2);
        // The first output of the published generator for seed 0.
        assert_eq!(Chance::seeded(clock.clone(), 0).bytes::<8>(), 0xe220_a839_7b1d_cdaf_u64.to_le_bytes());
        let system = Chance::system(clock);
        assert_ne!(system.seed(), system.seed());
    }

    #[test]
    fn ids_sort_by_time() {
        let clock = Clock::turned(Timestamp::from_second(1_700_000_000).unwrap());
        let chance = Chance::system(clock.clone());
        let first = chance.uuid_v7();
        clock.advance(Duration::from_millis(1));
        let second = chance.uuid_v7();
        assert!(first.to_string() < second.to_string());
        assert_eq!(first.get_version_num(), 7);
        assert!(first.to_string().starts_with("018bcfe5-6800-7"));
    }
}
