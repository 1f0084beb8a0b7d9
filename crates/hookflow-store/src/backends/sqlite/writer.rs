//! The one thread that writes. It takes everything that waits into one transaction, so that many share one wait for
//! the disk and nobody waits longer than for one commit of others.

use super::failure::Failure;
use super::file::File;
use super::ledger::Ledger;
use super::waiting::{Taken, Waiting};
use crate::StoreError;
use hookflow_runtime::fault_point;
use rusqlite::Connection;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How many operations wait at most; beyond, they are answered that the store is unavailable.
const WAITING: usize = 65_536;
/// How many operations are in one transaction at most.
const COMMITTED_AT_ONCE: usize = 1_024;
/// With so many changed rows the log goes into the file in the first pause, with fewer after a longer one.
const MANY_CHANGES: u64 = 2_000;
const PAUSE: Duration = Duration::from_millis(10);
const LONGER_PAUSE: Duration = Duration::from_secs(1);
/// Nothing has to be done before something comes.
const FOR_EVER: Duration = Duration::from_hours(1);

/// An operation on its way through the writer.
pub(super) trait Operation: Send {
    /// Writes. It may be asked again, when another operation of the same transaction could not be written.
    fn perform(&mut self, ledger: &mut Ledger) -> Result<(), Failure>;
    /// It is not asked again in this transaction, for this reason.
    fn refuse(&mut self, error: StoreError);
    /// After the commit, or when there is none.
    fn tell(self: Box<Self>, lost: Option<StoreError>);
}

struct Handed<T, P, A> {
    perform: P,
    outcome: Option<Result<T, StoreError>>,
    answer: A,
}

impl<T, P, A> Operation for Handed<T, P, A>
where
    T: Send,
    P: FnMut(&mut Ledger) -> Result<T, Failure> + Send,
    A: FnOnce(Result<T, StoreError>) + Send,
{
    fn perform(&mut self, ledger: &mut Ledger) -> Result<(), Failure> {
        self.outcome = match (self.perform)(ledger) {
            Ok(value) => Some(Ok(value)),
            Err(Failure::Refused(error)) => Some(Err(error)),
            Err(failure) => return Err(failure),
        };
        Ok(())
    }

    fn refuse(&mut self, error: StoreError) {
        self.outcome = Some(Err(error));
    }

    fn tell(self: Box<Self>, lost: Option<StoreError>) {
        let Self { outcome, answer, .. } = *self;
        let unknown = || Err(StoreError::Unavailable("it was not come to".into()));
        answer(lost.map_or_else(|| outcome.unwrap_or_else(unknown), Err));
    }
}

/// The way to the writer.
pub(super) struct Writer {
    waiting: Waiting<Box<dyn Operation>>,
    /// What was wrong with the last commit.
    trouble: Mutex<Option<StoreError>>,
    probing: AtomicBool,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self { waiting: Waiting::new(WAITING), trouble: Mutex::default(), probing: AtomicBool::new(false) }
    }

    /// Hands an operation over. The answer comes from the writer's thread after the commit, in the order of commits.
    pub(super) fn hand<T: Send + 'static>(
        &self,
        perform: impl FnMut(&mut Ledger) -> Result<T, Failure> + Send + 'static,
        answer: impl FnOnce(Result<T, StoreError>) + Send + 'static,
    ) {
        let handed = Box::new(Handed { perform, outcome: None, answer });
        if let Err(back) = self.waiting.push(handed) {
            back.tell(Some(StoreError::Unavailable("too much waits to be written".into())));
        }
    }

    pub(super) fn close(&self) {
        self.waiting.close();
    }

    /// How the last commit went. After one that failed each question tries another.
    pub(super) fn check(self: &Arc<Self>) -> Result<(), StoreError> {
        let Some(trouble) = self.trouble().clone() else { return Ok(()) };
        if !self.probing.swap(true, Ordering::Relaxed) {
            let writer = Arc::clone(self);
            self.hand(Ledger::probe, move |_| writer.probing.store(false, Ordering::Relaxed));
        }
        Err(trouble)
    }

    fn trouble(&self) -> std::sync::MutexGuard<'_, Option<StoreError>> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The thread's work, until the way is closed and everything on it is written.
    pub(super) fn work(&self, file: &File, first: Connection) {
        let mut desk = Desk { file, ledger: Ledger::new(first).ok(), broken: false, swept: 0 };
        loop {
            match self.waiting.take(COMMITTED_AT_ONCE, desk.patience()) {
                Taken::Closed => return,
                Taken::Idle => desk.tidy(),
                Taken::Some(mut batch) => {
                    let lost = desk.commit(&mut batch).err().map(Failure::told);
                    self.trouble().clone_from(&lost);
                    for operation in batch {
                        let lost = lost.clone();
                        // Whoever is told is not the store's; what fails there must not end the store.
                        drop(catch_unwind(AssertUnwindSafe(|| operation.tell(lost))));
                    }
                }
            }
        }
    }
}

/// Where the writer works.
struct Desk<'f> {
    file: &'f File,
    ledger: Option<Ledger>,
    /// After a failure, until the file can be opened again. The old connection stays until then: as long as one is open,
    /// what counts in the log is what was committed. With none, the next would read it again, and find there what was
    /// written and not synced: an event whose sender was told that it is not kept, and that nobody takes up.
    broken: bool,
    /// How many rows had been changed when the log last went into the file.
    swept: u64,
}

impl Desk<'_> {
    fn commit(&mut self, batch: &mut [Box<dyn Operation>]) -> Result<(), Failure> {
        let done = self.transact(batch);
        if let Err(failure) = &done {
            let keep = matches!(failure, Failure::File { keep: true, .. });
            let usable = self.ledger.as_mut().is_some_and(|ledger| ledger.roll_back().is_ok());
            self.broken |= !(keep && usable);
        }
        done
    }

    fn transact(&mut self, batch: &mut [Box<dyn Operation>]) -> Result<(), Failure> {
        self.file.in_place()?;
        let mut refused = vec![false; batch.len()];
        let ledger = self.open()?;
        loop {
            ledger.begin()?;
            match perform(ledger, batch, &refused) {
                Ok(()) => {
                    fault_point("store.before-commit");
                    ledger.commit()?;
                    fault_point("store.after-commit");
                    return Ok(());
                }
                Err((n, Failure::Row(why))) => {
                    ledger.roll_back()?;
                    if let (Some(operation), Some(refused)) = (batch.get_mut(n), refused.get_mut(n)) {
                        operation.refuse(StoreError::Damaged(why));
                        *refused = true;
                    }
                }
                Err((_, failure)) => return Err(failure),
            }
        }
    }

    fn open(&mut self) -> Result<&mut Ledger, Failure> {
        if self.ledger.is_none() || self.broken {
            let connection = self.file.writing(false).map_err(|why| Failure::File { why, keep: false })?;
            self.ledger = Some(Ledger::new(connection)?);
            (self.broken, self.swept) = (false, 0);
        }
        self.ledger.as_mut().ok_or_else(|| Failure::damaged("the file"))
    }

    fn patience(&self) -> Duration {
        match self.ledger.as_ref().map_or(0, |ledger| ledger.changes().saturating_sub(self.swept)) {
            0 => FOR_EVER,
            changes if changes < MANY_CHANGES => LONGER_PAUSE,
            _ => PAUSE,
        }
    }

    /// In a pause, so that no commit has to wait for it. A failure shows at the next commit.
    fn tidy(&mut self) {
        if let Some(ledger) = &self.ledger {
            self.swept = ledger.changes();
            fault_point("store.before-checkpoint");
            drop(ledger.checkpoint());
            fault_point("store.after-checkpoint");
        }
    }
}

/// Performs all but the refused, up to the first that cannot be written.
fn perform(
    ledger: &mut Ledger,
    batch: &mut [Box<dyn Operation>],
    refused: &[bool],
) -> Result<(), (usize, Failure)> {
    for (n, (operation, _)) in
        batch.iter_mut().zip(refused).enumerate().filter(|(_, (_, refused))| !**refused)
    {
        let performed = catch_unwind(AssertUnwindSafe(|| operation.perform(ledger)));
        performed
            .unwrap_or_else(|_| Err(Failure::Row("the store has a bug".into())))
            .map_err(|it| (n, it))?;
    }
    Ok(())
}
