//! Points where a program that is made for it dies on demand, so that a proof can kill it between any two of its
//! promises: `cargo xtask crash`.
//!
//! Without the feature `fault-points`, which nothing that is shipped has, all of this is empty.

/// Every point, in order.
pub const FAULT_POINTS: &[&str] = &[
    "blob.appended",
    "blob.removing",
    "blob.synced",
    "engine.admitted",
    "engine.answering",
    "engine.before-send",
    "engine.delivered",
    "engine.due",
    "engine.parked",
    "engine.posted",
    "engine.recovering",
    "engine.refilling",
    "engine.sent",
    "store.admitting",
    "store.after-checkpoint",
    "store.after-commit",
    "store.after-migration",
    "store.before-checkpoint",
    "store.before-commit",
    "store.before-migration",
    "store.emitting",
    "store.ending",
    "store.forgetting",
    "store.forgotten",
    "store.migrating",
    "store.posting",
    "store.recording",
    "store.registered",
    "store.settling",
    "store.suspecting",
];

/// Mistakes that the program makes on demand, to show that the proof finds them. In order.
pub const PLANTS: &[&str] = &[
    "answer-too-early",
    "forget-claims",
    "forget-deliveries",
    "forget-order",
    "forget-seeds",
    "forget-what-left",
];

/// Ends the process here when it was asked to.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub fn fault_point(_: &'static str) {}

/// Whether the program is to make this mistake.
#[cfg(not(feature = "fault-points"))]
#[inline]
pub fn is_planted(_: &'static str) -> bool {
    false
}

#[cfg(feature = "fault-points")]
pub use armed::{arm_faults, fault_point, is_planted};

#[cfg(feature = "fault-points")]
mod armed {
    use super::{FAULT_POINTS, PLANTS};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    static ARMED: OnceLock<Armed> = OnceLock::new();

    #[derive(Debug, PartialEq)]
    enum Armed {
        /// The point, and how many more times it is passed by.
        Point(String, Passes),
        Plant(String),
    }

    #[derive(Debug)]
    struct Passes(AtomicU64);

    impl PartialEq for Passes {
        fn eq(&self, other: &Self) -> bool {
            self.0.load(Ordering::Relaxed) == other.0.load(Ordering::Relaxed)
        }
    }

    /// Takes an order: `name:nth` to die at the nth time that a point is reached, or the name of a mistake to make.
    /// The first order counts.
    ///
    /// # Errors
    /// When there is no such point or mistake.
    pub fn arm_faults(order: &str) -> Result<(), String> {
        let armed = read(order).ok_or_else(|| format!("no fault is called `{order}`"))?;
        ARMED.set(armed).map_err(|_| "a fault is armed already".to_owned())
    }

    fn read(order: &str) -> Option<Armed> {
        if PLANTS.contains(&order) {
            return Some(Armed::Plant(order.to_owned()));
        }
        let (name, nth) = order.split_once(':')?;
        let passes = nth.parse::<u64>().ok()?.checked_sub(1)?;
        FAULT_POINTS.contains(&name).then(|| Armed::Point(name.to_owned(), Passes(AtomicU64::new(passes))))
    }

    /// Ends the process here when it was asked to.
    pub fn fault_point(name: &'static str) {
        let Some(Armed::Point(armed, passes)) = ARMED.get() else { return };
        let one_less = |passes: u64| passes.checked_sub(1);
        if armed == name && passes.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_less).is_err() {
            eprintln!("fault point {name}");
            std::process::abort();
        }
    }

    /// Whether the program is to make this mistake.
    pub fn is_planted(name: &'static str) -> bool {
        matches!(ARMED.get(), Some(Armed::Plant(planted)) if planted == name)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn orders_are_read_and_strange_ones_refused() {
            let point = Armed::Point("engine.sent".into(), Passes(AtomicU64::new(2)));
            assert_eq!(read("engine.sent:3"), Some(point));
            assert_eq!(read("forget-order"), Some(Armed::Plant("forget-order".into())));
            for strange in
                ["", "engine.sent", "engine.sent:0", "engine.sent:x", "engine.set:1", "forget-order:1"]
            {
                assert_eq!(read(strange), None, "{strange}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_lists_are_in_order() {
        assert!(FAULT_POINTS.is_sorted() && PLANTS.is_sorted());
    }
}
