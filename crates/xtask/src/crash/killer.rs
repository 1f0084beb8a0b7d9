//! When and where the service is killed, and how often that was done.

use super::chance::Chance;
use super::service::Death;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of so many kills that could be at a point, one is at random all the same.
const AT_RANDOM: u64 = 4;
/// After one in so many kills the service ends in order for once.
const IN_ORDER: u64 = 10;
/// How long the service lives when it is killed at random.
const LIFE: (u64, u64) = (30, 900);
/// How long a point is waited for.
const PATIENCE: Duration = Duration::from_millis(2_500);
/// The same for what is not done all the time: what has ended is forgotten every five seconds, and the log goes into the
/// file after some thousand changes.
const MORE_PATIENCE: Duration = Duration::from_secs(8);
const SELDOM: [&str; 5] = [
    "blob.removing",
    "store.after-checkpoint",
    "store.before-checkpoint",
    "store.forgetting",
    "store.forgotten",
];

/// Points that are passed only on a new folder, in an order in which all of them can be.
const OF_A_NEW_FOLDER: [&str; 4] =
    ["store.before-migration:1", "store.migrating:1", "store.migrating:2", "store.after-migration:1"];
/// Points that are passed often: there, it is not always the first time that counts.
const BUSY: [&str; 11] = [
    "blob.appended",
    "engine.admitted",
    "engine.answering",
    "engine.before-send",
    "engine.sent",
    "store.admitting",
    "store.after-commit",
    "store.before-commit",
    "store.ending",
    "store.recording",
    "engine.parked",
];
const BUSY_PASSES: u64 = 60;
const OTHER_PASSES: u64 = 3;

/// The next kill.
#[derive(Debug, PartialEq)]
pub(super) struct Kill {
    /// The point, when it is at one.
    pub(super) point: Option<String>,
    pub(super) order: Option<String>,
    /// How long the service lives at most.
    pub(super) life: Duration,
}

/// All kills of a proof.
pub(super) struct Killer {
    chance: Chance,
    /// How often each point was hit.
    pub(super) hits: BTreeMap<String, u64>,
    pub(super) at_random: u64,
    /// Points that were waited for in vain: next time the first passing counts.
    shy: BTreeMap<String, bool>,
}

impl Killer {
    pub(super) fn new(points: &[String], chance: Chance) -> Self {
        let hits = points.iter().map(|point| (point.clone(), 0)).collect();
        Self { chance, hits, at_random: 0, shy: BTreeMap::new() }
    }

    pub(super) fn kills(&self) -> u64 {
        self.hits.values().sum::<u64>() + self.at_random
    }

    /// How long the service lives before it ends in order, if it is to.
    pub(super) fn end_in_order(&mut self) -> Option<Duration> {
        self.chance.one_in(IN_ORDER).then(|| self.chance.millis(LIFE.0, LIFE.1))
    }

    /// The kills that only a new folder allows, in order.
    pub(super) fn first(&self) -> Vec<Kill> {
        let at = |order: &&str| {
            let point = order.split(':').next().map(str::to_owned);
            Kill { point, order: Some((*order).to_owned()), life: PATIENCE }
        };
        let known = |kill: &Kill| kill.point.as_ref().is_some_and(|point| self.hits.contains_key(point));
        OF_A_NEW_FOLDER.iter().map(at).filter(known).collect()
    }

    /// The next kill: mostly at the point that was hit least.
    pub(super) fn next(&mut self) -> Kill {
        let of_new = |point: &str| OF_A_NEW_FOLDER.iter().any(|order| order.split(':').next() == Some(point));
        let start = self.chance.next();
        let rarest = self.hits.iter().filter(|(point, _)| !of_new(point));
        // Among equals another one each time.
        let rarest = rarest.min_by_key(|(point, hits)| {
            let mixed = point.bytes().fold(start, |mixed, byte| mixed.rotate_left(5) ^ u64::from(byte));
            (**hits, Chance::new(mixed).next())
        });
        let point = rarest.map(|(point, _)| point.clone());
        let Some(point) = point.filter(|_| !self.chance.one_in(AT_RANDOM)) else {
            return Kill { point: None, order: None, life: self.chance.millis(LIFE.0, LIFE.1) };
        };
        let passes = if BUSY.contains(&&*point) { BUSY_PASSES } else { OTHER_PASSES };
        let is_shy = self.shy.get(&point).copied().unwrap_or_default();
        let nth = if is_shy { 1 } else { 1 + self.chance.below(passes) };
        let life = if SELDOM.contains(&&*point) { MORE_PATIENCE } else { PATIENCE };
        Kill { order: Some(format!("{point}:{nth}")), point: Some(point), life }
    }

    /// Counts a kill by what came of it.
    pub(super) fn count(&mut self, kill: &Kill, death: Death) {
        match (&kill.point, death) {
            (Some(point), Death::AtPoint) => {
                *self.hits.entry(point.clone()).or_default() += 1;
                self.shy.insert(point.clone(), false);
            }
            (point, _) => {
                self.at_random += 1;
                if let Some(point) = point {
                    self.shy.insert(point.clone(), true);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_gets_its_share() {
        let points = ["engine.sent", "store.forgotten", "store.migrating"].map(str::to_owned);
        let mut killer = Killer::new(&points, Chance::new(1));
        assert_eq!(killer.first().len(), 2);
        for _ in 0..100 {
            let kill = killer.next();
            let death = if kill.point.is_some() { Death::AtPoint } else { Death::Killed };
            killer.count(&kill, death);
        }
        assert!(
            killer.hits["engine.sent"].abs_diff(killer.hits["store.forgotten"]) <= 1,
            "{:?}",
            killer.hits
        );
        assert_eq!((killer.hits["store.migrating"], killer.kills()), (0, 100));
        assert!(killer.at_random > 0);
    }

    #[test]
    fn what_did_not_come_is_waited_for_at_once() {
        let mut killer = Killer::new(&["engine.sent".to_owned()], Chance::new(1));
        let kill = Kill { point: Some("engine.sent".into()), order: None, life: PATIENCE };
        killer.count(&kill, Death::Killed);
        let next = (0..20).map(|_| killer.next()).find(|kill| kill.point.is_some()).unwrap();
        assert_eq!(next.order.as_deref(), Some("engine.sent:1"));
    }
}
