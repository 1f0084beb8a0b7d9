//! Requests that were refused, the oldest first.

use crate::{Rejected, RejectedPage};
use jiff::Timestamp;
use std::collections::VecDeque;

/// How many are kept in all: memory has better uses.
const REJECTED_KEPT: usize = crate::REJECTED_KEPT / 10;
/// How many of one flow, or of those that are for none.
const REJECTED_PER_FLOW: usize = crate::REJECTED_PER_FLOW / 10;

#[derive(Default)]
pub(super) struct Refusals {
    kept: VecDeque<(u64, Rejected)>,
    last: u64,
}

impl Refusals {
    pub(super) fn keep(&mut self, rejected: Vec<Rejected>) {
        for rejected in rejected {
            self.last += 1;
            let alike = self.kept.iter().filter(|(_, other)| other.flow == rejected.flow);
            if alike.count() >= REJECTED_PER_FLOW {
                let oldest = self.kept.iter().position(|(_, other)| other.flow == rejected.flow);
                drop(oldest.and_then(|at| self.kept.remove(at)));
            } else if self.kept.len() >= REJECTED_KEPT {
                self.kept.pop_front();
            }
            self.kept.push_back((self.last, rejected));
        }
    }

    pub(super) fn list(&self, flow: Option<&str>, before: Option<u64>, limit: usize) -> RejectedPage {
        let before = before.unwrap_or(u64::MAX);
        let mut found = self.kept.iter().rev().filter(|(position, rejected)| {
            *position < before && flow.is_none_or(|flow| rejected.flow.as_deref() == Some(flow))
        });
        let rejected = found.by_ref().take(limit).map(|(_, rejected)| rejected.clone()).collect();
        RejectedPage { rejected, next: found.next().map(|(position, _)| position + 1) }
    }

    pub(super) fn forget(&mut self, flow: Option<&str>, before: Timestamp) -> u64 {
        let were = self.kept.len();
        self.kept.retain(|(_, rejected)| {
            rejected.at >= before || flow.is_some_and(|flow| rejected.flow.as_deref() != Some(flow))
        });
        u64::try_from(were - self.kept.len()).unwrap_or(u64::MAX)
    }
}
