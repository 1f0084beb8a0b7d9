//! An outside for tests: what lies on a shelf, handed out when the test lets it.

use super::{Getting, Outside};
use bytes::Bytes;
use hookflow_outbound::{CallFault, CallFaultKind};
use http::Response;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::sync::Semaphore;

/// Answers with what was put there, else with a fault.
pub(crate) struct Shelf {
    answers: Mutex<HashMap<String, (u16, Vec<u8>)>>,
    asked: AtomicUsize,
    /// One permit for each answer that may be given.
    pub(crate) answering: Semaphore,
}

impl Shelf {
    /// Empty, and free to answer.
    pub(crate) fn new() -> Arc<Self> {
        let answering = Semaphore::new(Semaphore::MAX_PERMITS);
        Arc::new(Self { answers: Mutex::default(), asked: AtomicUsize::new(0), answering })
    }

    /// One that answers nothing until `answering` gets permits.
    pub(crate) fn silent() -> Arc<Self> {
        Arc::new(Self { answers: Mutex::default(), asked: AtomicUsize::new(0), answering: Semaphore::new(0) })
    }

    pub(crate) fn put(&self, url: &str, status: u16, body: &[u8]) {
        self.answers.lock().unwrap().insert(url.to_owned(), (status, body.to_vec()));
    }

    /// How often it was asked.
    pub(crate) fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

impl Outside for Shelf {
    fn get<'u>(&'u self, url: &'u str) -> Getting<'u> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            self.answering.acquire().await.unwrap().forget();
            match self.answers.lock().unwrap().get(url) {
                Some((status, body)) => {
                    Ok(Response::builder().status(*status).body(Bytes::from(body.clone())).unwrap())
                }
                None => Err(CallFault {
                    kind: CallFaultKind::Connect,
                    message: "there is nobody".into(),
                    sent: false,
                }),
            }
        })
    }
}
