//! What an evaluation takes in, and what bounds it.

use crate::eval_error::Failure;
use crate::lookup::Lookup;
use hookflow_text::Span;
use minijinja::value::{Object, ObjectRepr};
use minijinja::{Error, State, Value};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The largest value or text that an expression may make, in bytes. A value that is only passed on is not counted.
pub const MAX_OUTPUT: usize = 16 << 20;

/// How much work one evaluation of an expression, a template or a text may do; a unit is some ten nanoseconds.
const FUEL: u64 = 10_000_000;

/// The name under which functions find the evaluation; no expression can write it.
pub(crate) const EVALUATION: &str = "_evaluation";

/// All an evaluation takes in besides the program.
#[derive(Debug, Clone)]
pub struct Env {
    /// Where names are looked up.
    pub scope: Arc<dyn Lookup>,
    /// What `now()` gives.
    pub now: jiff::Timestamp,
    /// What `uuid()` and `random()` are made of. The same bytes give the same values at the same place of a file,
    /// so whoever evaluates one place twice (a loop) passes other bytes each time.
    pub chance: [u8; 32],
}

/// One evaluation: its input and what is left of its fuel.
#[derive(Debug)]
pub(crate) struct Evaluation {
    pub(crate) env: Env,
    fuel: AtomicU64,
    /// Where in the file it stands: two places do not draw the same chance.
    place: usize,
    drawn: AtomicU64,
}

impl Evaluation {
    pub(crate) fn new(env: &Env, span: &Span) -> Arc<Self> {
        Arc::new(Self {
            env: env.clone(),
            fuel: AtomicU64::new(FUEL),
            place: span.range.start,
            drawn: AtomicU64::new(0),
        })
    }

    /// The evaluation that a function was called in.
    pub(crate) fn of(state: &State<'_, '_>) -> Result<Arc<Self>, Error> {
        state
            .lookup(EVALUATION)
            .and_then(|value| value.downcast_object::<Self>())
            .ok_or_else(|| Failure::failed("called outside of an evaluation").into())
    }

    /// Pays for work.
    pub(crate) fn charge(&self, units: usize) -> Result<(), Failure> {
        let units = u64::try_from(units).unwrap_or(u64::MAX);
        self.fuel
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(units))
            .map(|_| ())
            .map_err(|_| Failure::fuel())
    }

    /// Pays for handling a value, by its size.
    pub(crate) fn charge_for(&self, value: &Value) -> Result<(), Failure> {
        self.charge(match value.as_str().map(str::len).or_else(|| value.as_bytes().map(<[u8]>::len)) {
            Some(bytes) => 1 + bytes / 16,
            None => 1 + value.len().unwrap_or(0),
        })
    }

    /// Fresh bytes of chance.
    pub(crate) fn draw(&self) -> [u8; 32] {
        let nth = self.drawn.fetch_add(1, Ordering::Relaxed);
        let mut hash = Sha256::new();
        hash.update(self.env.chance);
        hash.update(self.place.to_le_bytes());
        hash.update(nth.to_le_bytes());
        hash.finalize().into()
    }
}

impl Object for Evaluation {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }
}
