//! What becomes of an event at the engine's edge.

use crate::engine::Inner;
use crate::queue::{Caller, Item, QueuePlace, Work};
use crate::relaxed::Owed;
use crate::ticket::{Accepted, Ticket};
use crate::{Conclusion, Duplicate, Engine, LiveFlow};
use hookflow_flow::Durability;
use hookflow_runtime::{fault_point, is_planted};
use hookflow_store::{Admitted, StoreError};
use hookflow_trigger::Event;
use std::sync::Arc;
use tokio::sync::oneshot;

/// What became of an event.
#[derive(Debug)]
pub enum Admission {
    /// The flow answers; this is the place to wait. The event is kept before anything of the run leaves the node.
    Waiting(Ticket),
    /// The event is kept and its run will come.
    Queued {
        /// The run's ID.
        run: Arc<str>,
    },
    /// The event repeats another; nothing of it is kept.
    Duplicate(Duplicate),
    /// It is not taken, and nothing of it is kept.
    Refused(AdmitRefusal),
}

/// Why an event is not taken now. Another try may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AdmitRefusal {
    /// The flow is paused, and its caller would wait for nothing.
    Paused,
    /// The store cannot be written to.
    StoreUnavailable,
    /// The service is going down.
    ShuttingDown,
}

impl Engine {
    /// Takes an event in. The future may be dropped at any time: then the event is either admitted whole or not at all.
    pub async fn admit(&self, live: &Arc<LiveFlow>, event: Event, place: QueuePlace) -> Admission {
        let engine = &self.0;
        if engine.soft.is_set() {
            return Admission::Refused(AdmitRefusal::ShuttingDown);
        }
        let accepted = engine.accept(live, event, &place);
        if let Some(relaxed) = &accepted.relaxed
            && let Err(first) = relaxed.claim(&accepted.event, &accepted.run, accepted.started_at)
        {
            return engine.repeated(live, accepted, first);
        }
        if !live.flow.plan.is_sync() {
            let run = Arc::clone(&accepted.run);
            let place = match engine.queue_in_memory(live, &accepted, place) {
                Ok(()) => return Admission::Queued { run },
                Err(place) => place,
            };
            let outcome = engine.keep_and_queue(live, accepted, place, None);
            if is_planted("answer-too-early") {
                return Admission::Queued { run };
            }
            return match outcome.await {
                Ok(Ok(Admitted::Kept { .. })) => Admission::Queued { run },
                Ok(Ok(Admitted::Duplicate(duplicate))) => Admission::Duplicate(duplicate),
                Ok(Err(_)) | Err(_) => Admission::Refused(AdmitRefusal::StoreUnavailable),
            };
        }
        let (sender, conclusion) = oneshot::channel();
        let caller = Some(Caller { flow: Arc::clone(&live.flow), sender });
        let ticket =
            Ticket::new(Arc::clone(engine), Arc::clone(&accepted), Arc::clone(&live.queue), conclusion);
        if accepted.order.is_some() {
            if live.is_paused() {
                return Admission::Refused(AdmitRefusal::Paused);
            }
            // It may have to wait for others, so it is kept before it begins. The ticket hears of it.
            drop(engine.keep_and_queue(live, accepted, place, caller));
        } else {
            let item = Item { work: Work::Fresh(accepted), caller, place };
            if live.queue.push(engine, item).is_err() {
                return Admission::Refused(AdmitRefusal::Paused);
            }
            live.queue.series().accepted.inc();
        }
        Admission::Waiting(ticket)
    }
}

impl Inner {
    fn accept(&self, live: &LiveFlow, event: Event, place: &QueuePlace) -> Arc<Accepted> {
        let now = self.clock.now();
        let dedupe = live.flow.webhook.as_ref().and_then(|webhook| webhook.dedupe.as_ref());
        let dedupe = dedupe.and_then(|dedupe| {
            let key = dedupe.key(&event, now);
            if key.is_none() {
                live.queue.without_key();
            }
            key.map(|key| (key.into(), dedupe.window))
        });
        let order = live.flow.order.as_ref().and_then(|order| order.key(&event, now)).map(Into::into);
        // Whoever looks at runs that are tested finds them in the store.
        let is_relaxed = live.flow.durability == Durability::Relaxed && self.stand_in.is_none();
        let mut accepted = Accepted::new(
            self.chance.id_at(now),
            self.chance.bytes(),
            now,
            Arc::new(event),
            place.bytes(),
            Arc::clone(&live.flow.id),
        );
        accepted.dedupe = dedupe.filter(|_| !is_planted("forget-claims"));
        accepted.order = order.filter(|_| !is_planted("forget-order"));
        accepted.relaxed = is_relaxed.then(|| Arc::clone(live.queue.relaxed()));
        Arc::new(accepted)
    }

    /// Promises an event of a relaxed flow that nobody waits for, without the store. Gives its place back when it has to be
    /// kept first: in any other flow, when it has an order or is held, and when others before it are in the store only.
    fn queue_in_memory(
        self: &Arc<Self>,
        live: &LiveFlow,
        accepted: &Arc<Accepted>,
        place: QueuePlace,
    ) -> Result<(), QueuePlace> {
        if accepted.relaxed.is_none() || accepted.order.is_some() {
            return Err(place);
        }
        let owed = Owed::new(self, &live.queue, Arc::clone(accepted));
        let item = Item { work: Work::Owed(owed), caller: None, place };
        match live.queue.push(self, item) {
            Ok(()) => {
                live.queue.series().accepted.inc();
                Ok(())
            }
            Err(Item { work, place, .. }) => {
                // Nothing is owed until it is kept.
                accepted.begin_keeping();
                drop(work);
                Err(place)
            }
        }
    }

    /// What whoever repeats an event of a relaxed flow hears.
    fn repeated(self: &Arc<Self>, live: &LiveFlow, accepted: Arc<Accepted>, first: Duplicate) -> Admission {
        if !live.flow.plan.is_sync() {
            return Admission::Duplicate(first);
        }
        let (sender, conclusion) = oneshot::channel();
        // The receiver is there.
        drop(sender.send(Conclusion::Duplicate(first)));
        Admission::Waiting(Ticket::new(Arc::clone(self), accepted, Arc::clone(&live.queue), conclusion))
    }

    /// The store's side moves the event into the queue, so it does not matter whether anybody still waits for the answer.
    pub(crate) fn keep_and_queue(
        self: &Arc<Self>,
        live: &LiveFlow,
        accepted: Arc<Accepted>,
        place: QueuePlace,
        caller: Option<Caller>,
    ) -> oneshot::Receiver<Result<Admitted, StoreError>> {
        let new_run = accepted.new_run(live.queue.nothing_yet());
        let (sender, answer) = oneshot::channel();
        let (engine, queue) = (Arc::clone(self), Arc::clone(&live.queue));
        let settled = Box::new(move |outcome: Result<Admitted, StoreError>| {
            match (&outcome, caller) {
                (Ok(Admitted::Kept { turn, behind }), caller) => {
                    fault_point("engine.admitted");
                    accepted.set_kept();
                    queue.series().accepted.inc();
                    let item = Item { work: Work::Fresh(accepted), caller, place };
                    queue.kept(&engine, *turn, *behind, item);
                }
                (Ok(Admitted::Duplicate(duplicate)), Some(caller)) => {
                    caller.tell(Conclusion::Duplicate(duplicate.clone()));
                }
                (Err(error), caller) => {
                    tracing::error!(run = &*accepted.run, %error, "an event could not be kept");
                    // Who waits hears that it is as if the event had never come.
                    if let Some(caller) = caller {
                        caller.tell(Conclusion::NotKept);
                    }
                }
                (Ok(Admitted::Duplicate(_)), None) => {}
            }
            // Nobody listens when the caller's future was dropped.
            drop(sender.send(outcome));
        });
        self.store.admit(&self.owner, self.clock.now(), vec![(new_run, settled)]);
        answer
    }
}
