//! `/api/attempts`: the tries of calls that are kept, a page as JSON or all of them as a stream.

use crate::answer::{fault_of_history, json};
use crate::asked::{Asked, Wrong};
use crate::console::Desk;
use crate::endpoint::Endpoint;
use crate::history::ExportFormat;
use axum::body::{Body, Bytes};
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use hookflow_store::AttemptFilter;
use hyper::body::Frame;
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::sync::mpsc;

/// How many attempts are read at a time.
const SLICE: usize = 200;
/// How long a client may take to read a slice.
const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const API_ATTEMPTS: Endpoint = Endpoint {
    path: "/api/attempts",
    summary: "The tries of calls that are kept, latest first; `?run=`, `?flow=`, `?integration=`, `?failed=true`, `?since=` and `?until=` narrow \
              the list, `?limit=` and `?before=` page through it; `?format=csv` or `?format=ndjson` streams all of them.",
    routes: || get(attempts),
};

async fn attempts(
    State(desk): State<Arc<Desk>>,
    Query(mut query): Query<BTreeMap<String, String>>,
) -> Response {
    let Some(format) = query.remove("format").filter(|format| format != "json") else {
        return match desk.history.attempts(query, desk.clock.now()).await {
            Ok(page) => json(StatusCode::OK, &page),
            Err(fault) => fault_of_history(&fault),
        };
    };
    match read(&format, query, &desk) {
        Ok((format, filter)) => export(&desk, format, filter),
        Err(wrong) => wrong.into_problem(),
    }
}

fn read(
    format: &str,
    query: BTreeMap<String, String>,
    desk: &Desk,
) -> Result<(ExportFormat, AttemptFilter), Wrong> {
    let mut asked = Asked::query(query);
    let format = Asked::one_of("format", format, &ExportFormat::ALL)?;
    let filter = asked.attempts(desk.clock.now())?;
    asked.finish()?;
    Ok((format, filter))
}

/// Streams what there is: one slice is on its way while the next one is read, and no more than that is held.
fn export(desk: &Arc<Desk>, format: ExportFormat, filter: AttemptFilter) -> Response {
    let (sender, slices) = mpsc::channel(1);
    let reader = Arc::clone(desk);
    desk.tasks.spawn("attempts-export", async move {
        let mut soft = reader.tasks.soft();
        tokio::select! {
            () = soft.wait() => drop(sender.try_send(Err("the service shuts down".into()))),
            () = send(&reader, format, &filter, &sender) => {}
        }
    });
    let name = match format {
        ExportFormat::Csv => "attachment; filename=\"attempts.csv\"",
        ExportFormat::Ndjson => "attachment; filename=\"attempts.ndjson\"",
    };
    let head = [(header::CONTENT_TYPE, format.media_type()), (header::CONTENT_DISPOSITION, name)];
    (head, Body::new(Slices(slices))).into_response()
}

type Slice = Result<String, String>;

async fn send(desk: &Desk, format: ExportFormat, filter: &AttemptFilter, sender: &mpsc::Sender<Slice>) {
    let (mut text, mut before) = (format.head(), None);
    loop {
        let next = match desk.history.page_of_attempts(filter, before, SLICE).await {
            Ok((items, next)) => {
                text.extend(items.iter().map(|item| format.line(item)));
                next
            }
            Err(fault) => {
                tracing::error!(target: "console", %fault, "an export of attempts breaks off");
                drop(desk.clock.timeout(PATIENCE, sender.send(Err(fault.to_string()))).await);
                return;
            }
        };
        // A slice may hold nothing that fits.
        if !text.is_empty() {
            let sent = desk.clock.timeout(PATIENCE, sender.send(Ok(std::mem::take(&mut text)))).await;
            if !matches!(sent, Ok(Ok(()))) {
                return;
            }
        }
        if next.is_none() {
            return;
        }
        before = next;
    }
}

/// What is sent. A fault breaks the connection off, so nobody takes a part for the whole.
struct Slices(mpsc::Receiver<Slice>);

impl hyper::body::Body for Slices {
    type Data = Bytes;
    type Error = String;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, String>>> {
        let slice = ready!(self.get_mut().0.poll_recv(cx));
        Poll::Ready(slice.map(|slice| slice.map(|text| Frame::data(text.into()))))
    }
}
