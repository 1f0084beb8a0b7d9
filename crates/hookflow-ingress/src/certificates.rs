//! The certificates that SNS and PayPal name in their requests: fetched once, kept for a while.
//!
//! Whoever names one is not known yet, so everything is bounded: how many are fetched at a time and in a minute, how
//! many URLs are remembered, and how soon a URL that failed is tried again. Requests for one URL share one fetch, and it
//! goes on when they go away.

use crate::outside::Outside;
use hookflow_runtime::{Clock, Tasks};
use hookflow_trigger::Certificate;
use http::StatusCode;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// The largest answer that can be a certificate.
pub const CERTIFICATE_BYTES: u64 = 64 << 10;
/// How many URLs are remembered.
const REMEMBERED: usize = 256;
/// How many are fetched at a time …
const AT_ONCE: usize = 8;
/// … and how many are begun within a minute.
const A_MINUTE: u32 = 60;
/// How long a certificate is used without being fetched again; less when its own time ends before.
const KEEP: Duration = Duration::from_hours(24);
/// How long a URL that failed is not tried again.
const KEEP_FAILED: Duration = Duration::from_secs(10);

/// Fetches certificates and keeps them.
pub(crate) struct Certificates {
    outside: Arc<dyn Outside>,
    clock: Clock,
    tasks: Tasks,
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    by_url: HashMap<String, Coming>,
    /// When the minute began, and how many were begun in it.
    minute: Option<(Instant, u32)>,
}

/// `None` while it is being fetched.
type Coming = watch::Receiver<Option<Kept>>;

#[derive(Debug, Clone)]
struct Kept {
    outcome: Result<Arc<Certificate>, Arc<str>>,
    until: Instant,
}

/// Why there is no certificate, and when to ask again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Unfetched {
    pub(crate) why: String,
    pub(crate) retry_after: Duration,
}

impl Certificates {
    pub(crate) fn new(outside: Arc<dyn Outside>, clock: Clock, tasks: Tasks) -> Self {
        let (slots, state) = (Arc::new(Semaphore::new(AT_ONCE)), Mutex::default());
        Self { outside, clock, tasks, slots, state }
    }

    /// The certificate behind a URL that was judged.
    pub(crate) async fn get(&self, url: &str) -> Result<Arc<Certificate>, Unfetched> {
        let mut coming = self.coming(url).map_err(|why| unfetched(why, KEEP_FAILED))?;
        // The fetch has a deadline, and whoever waits hears when it ends without a word.
        let kept = coming.wait_for(Option::is_some).await.ok().and_then(|kept| kept.clone());
        let Some(Kept { outcome, until }) = kept else {
            return Err(unfetched("the service shuts down", KEEP_FAILED));
        };
        outcome.map_err(|why| {
            unfetched(&format!("{url}: {why}"), until.saturating_duration_since(self.clock.monotonic()))
        })
    }

    /// What is kept or on its way, else it is begun.
    fn coming(&self, url: &str) -> Result<Coming, &'static str> {
        let now = self.clock.monotonic();
        let mut state = self.lock();
        if let Some(coming) = state.by_url.get(url).filter(|coming| is_of_use(coming, now)) {
            return Ok(coming.clone());
        }
        let Ok(slot) = Arc::clone(&self.slots).try_acquire_owned() else {
            return Err("too many certificates are being fetched");
        };
        state.begin(now)?;
        state.make_room(url, now)?;
        let (tell, coming) = watch::channel(None);
        state.by_url.insert(url.to_owned(), coming.clone());
        drop(state);
        let (outside, clock, url) = (Arc::clone(&self.outside), self.clock.clone(), url.to_owned());
        self.tasks.spawn("certificate-fetch", async move {
            let outcome = fetch_certificate(&*outside, &url).await;
            if let Err(why) = &outcome {
                tracing::warn!(target: "door", url, why, "a sender's certificate could not be fetched");
            }
            tell.send_replace(Some(kept(outcome, &clock)));
            drop(slot);
        });
        Ok(coming)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts one, unless the minute has had as many as it may.
    fn begin(&mut self, now: Instant) -> Result<(), &'static str> {
        let running =
            self.minute.filter(|(began, _)| now.saturating_duration_since(*began) < Duration::from_mins(1));
        let (began, count) = running.unwrap_or((now, 0));
        if count >= A_MINUTE {
            return Err("too many certificates were fetched within a minute");
        }
        self.minute = Some((began, count + 1));
        Ok(())
    }

    /// Forgets one that is of no use, or of the least, when all places are taken.
    fn make_room(&mut self, url: &str, now: Instant) -> Result<(), &'static str> {
        if self.by_url.len() < REMEMBERED || self.by_url.contains_key(url) {
            return Ok(());
        }
        let worth = |kept: &Kept| (kept.outcome.is_ok() && kept.until > now, kept.until);
        let ended =
            self.by_url.iter().filter_map(|(url, coming)| Some((worth(coming.borrow().as_ref()?), url)));
        let least = ended.min().map(|(_, url)| url.clone());
        let least = least.ok_or("too many certificates are being fetched")?;
        self.by_url.remove(&least);
        Ok(())
    }
}

/// Whether it is being fetched, or was and is not too old.
fn is_of_use(coming: &Coming, now: Instant) -> bool {
    match &*coming.borrow() {
        Some(kept) => kept.until > now,
        None => coming.has_changed().is_ok(),
    }
}

fn kept(outcome: Result<Certificate, String>, clock: &Clock) -> Kept {
    let keep = match &outcome {
        // One whose time is over is not fetched for each request either.
        Ok(certificate) => {
            let left = clock.now().duration_until(certificate.until());
            Duration::try_from(left).unwrap_or_default().clamp(KEEP_FAILED, KEEP)
        }
        Err(_) => KEEP_FAILED,
    };
    Kept { outcome: outcome.map(Arc::new).map_err(Into::into), until: clock.monotonic() + keep }
}

fn unfetched(why: &str, retry_after: Duration) -> Unfetched {
    Unfetched { why: why.to_owned(), retry_after }
}

/// Fetches a certificate from a URL that was judged.
///
/// # Errors
/// Says why there is none.
pub async fn fetch_certificate(outside: &dyn Outside, url: &str) -> Result<Certificate, String> {
    let answer = outside.get(url).await.map_err(|fault| fault.to_string())?;
    if answer.status() != StatusCode::OK {
        return Err(format!("it was answered with {}", answer.status().as_u16()));
    }
    if answer.body().len() as u64 > CERTIFICATE_BYTES {
        return Err(format!("more than {CERTIFICATE_BYTES} bytes are no certificate"));
    }
    Certificate::read(answer.body()).ok_or_else(|| "there is no certificate with an RSA key".into())
}

#[cfg(test)]
mod tests;
