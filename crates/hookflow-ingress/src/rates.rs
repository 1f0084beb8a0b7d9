//! How often a flow may be called, by everybody and from one address.
//!
//! What is remembered of each is one moment: when, at its rate, everything taken so far would be through (the generic
//! cell rate algorithm). It belongs to the flow's ID and not to a generation, so no change of a file refills it.

use crate::origin::subscriber;
use hookflow_text::Rate;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How many addresses are remembered, over all flows. Those beyond share one allowance in each flow.
const ADDRESSES: usize = 100_000;
/// How often the whole list is looked through for what need not be remembered any more.
const SWEEP: Duration = Duration::from_secs(1);

/// What has been taken lately.
#[derive(Debug, Default)]
pub(crate) struct Rates(Mutex<Taken>);

#[derive(Debug, Default)]
struct Taken {
    /// When everything taken would be through. One that has passed says nothing any more.
    through: HashMap<(Arc<str>, Who), Instant>,
    swept: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Who {
    Everybody,
    At(IpAddr),
    /// All addresses that are not remembered by themselves.
    Others,
}

impl Rates {
    /// Takes one event from `ip` to `flow`, or says how long to wait. One that is refused counts for nothing.
    pub(crate) fn take(
        &self,
        flow: &Arc<str>,
        ip: IpAddr,
        (all, per_address): (Option<Rate>, Option<Rate>),
        now: impl FnOnce() -> Instant,
    ) -> Result<(), Duration> {
        if all.is_none() && per_address.is_none() {
            return Ok(());
        }
        let now = now();
        let mut taken = self.lock();
        let who =
            if per_address.is_some() { taken.place(flow, Who::At(subscriber(ip)), now) } else { Who::Others };
        let wanted = [(who, per_address), (Who::Everybody, all)];
        let mut steps = Vec::with_capacity(wanted.len());
        for (who, rate) in wanted {
            let Some(rate) = rate else { continue };
            let key = (Arc::clone(flow), who);
            let through = step(taken.through.get(&key).copied(), rate, now)?;
            steps.push((key, through));
        }
        taken.through.extend(steps);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Taken {
    /// Under which name an address is remembered: its own while there is room.
    fn place(&mut self, flow: &Arc<str>, who: Who, now: Instant) -> Who {
        if self.through.len() < ADDRESSES || self.through.contains_key(&(Arc::clone(flow), who)) {
            return who;
        }
        if self.swept.is_none_or(|swept| now.saturating_duration_since(swept) >= SWEEP) {
            self.swept = Some(now);
            self.through.retain(|_, through| *through > now);
        }
        if self.through.len() < ADDRESSES { who } else { Who::Others }
    }
}

/// When everything would be through with one more, or how long until one more fits.
fn step(through: Option<Instant>, rate: Rate, now: Instant) -> Result<Instant, Duration> {
    // A rate that has just been made quicker is not held to what the slower one had stretched.
    let latest = now.checked_add(rate.per).unwrap_or(now);
    let from = through.unwrap_or(now).clamp(now, latest);
    let next = from.checked_add(rate.per / rate.count).unwrap_or(from);
    let over = next.saturating_duration_since(latest);
    if over.is_zero() { Ok(next) } else { Err(over) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hookflow_runtime::Clock;
    use jiff::Timestamp;

    const MINUTE: Rate = Rate { count: 3, per: Duration::from_mins(1) };

    fn ip(n: u32) -> IpAddr {
        IpAddr::V4(n.into())
    }

    #[test]
    fn so_many_at_once_and_then_at_the_rate() {
        let (clock, rates, flow) =
            (Clock::turned(Timestamp::UNIX_EPOCH), Rates::default(), Arc::from("shop"));
        let take = |n| rates.take(&flow, ip(n), (None, Some(MINUTE)), || clock.monotonic());
        for _ in 0..3 {
            assert_eq!(take(1), Ok(()));
        }
        for _ in 0..9 {
            assert_eq!(take(1), Err(Duration::from_secs(20)), "what is refused counts for nothing");
        }
        assert_eq!(take(2), Ok(()), "another address has its own");
        clock.advance(Duration::from_secs(19));
        assert_eq!(take(1), Err(Duration::from_secs(1)));
        clock.advance(Duration::from_secs(1));
        assert_eq!((take(1), take(1)), (Ok(()), Err(Duration::from_secs(20))));
        clock.advance(Duration::from_hours(1));
        for _ in 0..3 {
            assert_eq!(take(1), Ok(()), "no more than the rate is saved up");
        }
        assert!(take(1).is_err());
    }

    #[test]
    fn who_is_refused_by_one_limit_uses_up_nothing_of_the_other() {
        let (clock, rates, flow) =
            (Clock::turned(Timestamp::UNIX_EPOCH), Rates::default(), Arc::from("shop"));
        let one = Rate { count: 1, per: Duration::from_mins(1) };
        let take = |n| rates.take(&flow, ip(n), (Some(MINUTE), Some(one)), || clock.monotonic());
        assert_eq!(take(1), Ok(()));
        assert!((0..9).all(|_| take(1).is_err()));
        assert_eq!((take(2), take(3)), (Ok(()), Ok(())));
        assert_eq!(take(4), Err(Duration::from_secs(20)));
        clock.advance(Duration::from_secs(20));
        assert_eq!(take(4), Ok(()), "its own allowance was not used up");
        let other: Arc<str> = "other".into();
        assert_eq!(rates.take(&other, ip(1), (Some(one), Some(one)), || clock.monotonic()), Ok(()));
    }

    #[test]
    fn a_quicker_rate_holds_at_once() {
        let (clock, rates, flow) =
            (Clock::turned(Timestamp::UNIX_EPOCH), Rates::default(), Arc::from("shop"));
        let day = Rate { count: 1, per: Duration::from_hours(24) };
        let take = |rate| rates.take(&flow, ip(1), (Some(rate), None), || clock.monotonic());
        assert_eq!(take(day), Ok(()));
        assert_eq!(take(day), Err(Duration::from_hours(24)));
        assert_eq!(take(MINUTE), Err(Duration::from_secs(20)));
    }

    #[test]
    fn addresses_beyond_the_bound_share_one_allowance_until_there_is_room() {
        let (clock, rates, flow) =
            (Clock::turned(Timestamp::UNIX_EPOCH), Rates::default(), Arc::from("shop"));
        let one = Rate { count: 1, per: Duration::from_mins(1) };
        let take = |n| rates.take(&flow, ip(n), (None, Some(one)), || clock.monotonic());
        let most = u32::try_from(ADDRESSES).unwrap();
        assert!((0..most).all(|n| take(n).is_ok()));
        assert_eq!(take(most), Ok(()));
        assert!(take(most + 1).is_err(), "the others share one");
        assert!(rates.lock().through.len() <= ADDRESSES + 1);
        clock.advance(Duration::from_mins(1));
        assert_eq!((take(most), take(most + 1)), (Ok(()), Ok(())));
        assert!(rates.lock().through.len() < 10, "what is over is forgotten");
    }
}
