//! What hookflow counts of the measured flow, read from its `/metrics`.

/// Events and runs since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) accepted: u64,
    /// However they ended.
    pub(super) ended: u64,
    pub(super) succeeded: u64,
}

impl Counts {
    /// A series that is not there yet has counted nothing.
    pub(super) fn read(metrics: &str) -> Self {
        let sum = |series: &str| {
            let value =
                |line: &str| line.strip_prefix(series)?.rsplit_once(' ')?.1.trim().parse::<u64>().ok();
            metrics.lines().filter_map(value).sum()
        };
        Self {
            accepted: sum("hookflow_events_accepted_total{flow=\"door\"}"),
            ended: sum("hookflow_runs_total{flow=\"door\","),
            succeeded: sum("hookflow_runs_total{flow=\"door\",outcome=\"succeeded\"}"),
        }
    }

    /// Whether each of `acknowledged` answers stands for an event whose run succeeded, and no other event is left. A few
    /// more events were accepted: those whose answer came when the load had ended.
    pub(super) fn cover(&self, acknowledged: u64) -> bool {
        acknowledged <= self.accepted && self.accepted == self.succeeded && self.ended == self.succeeded
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const METRICS: &str = "# TYPE hookflow_runs counter\n\
        hookflow_events_accepted_total{flow=\"door\"} 12\n\
        hookflow_events_accepted_total{flow=\"other-1\"} 70\n\
        hookflow_runs_total{flow=\"door\",outcome=\"succeeded\"} 9\n\
        hookflow_runs_total{flow=\"door\",outcome=\"failed\"} 2\n\
        # EOF\n";

    #[test]
    fn the_doors_events_and_runs_are_counted() {
        assert_eq!(Counts::read(METRICS), Counts { accepted: 12, ended: 11, succeeded: 9 });
        assert_eq!(Counts::read(""), Counts { accepted: 0, ended: 0, succeeded: 0 });
    }

    #[test]
    fn an_acknowledged_event_without_a_run_that_succeeded_is_noticed() {
        let counts = |accepted, ended, succeeded| Counts { accepted, ended, succeeded };
        assert!(counts(12, 12, 12).cover(10));
        assert!(!counts(12, 12, 12).cover(13));
        assert!(!counts(12, 11, 11).cover(10));
        assert!(!counts(12, 12, 11).cover(10));
    }
}
