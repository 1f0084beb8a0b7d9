//! Everything a flow may ask of the world, on one page.
//!
//! The core only describes effects; the engine's `perform` is the one place that matches on them and does them.

use crate::{CallBody, CallUrl, Fact, Fault, FaultKind, FileRef, Outcome, Place, StatusSet};
use bytes::Bytes;
use hookflow_expr::Path;
use hookflow_text::{Code, Json};
use hookflow_trigger::{Auth, Event, Methods, decode_xml, to_base64};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use jiff::Timestamp;
use std::sync::Arc;
use std::time::Duration;

/// What a run wants done.
#[derive(Debug, Clone)]
pub enum Effect {
    /// An outgoing HTTP call; its outcome comes back as exactly one fact.
    Call(Ask, Box<HttpCall>),
    /// Nothing, until `not_before`.
    Sleep(Ask),
    /// A call of the step's own URL.
    Wait(Ask, Arc<Waiting>),
    /// A run of another flow.
    Run(Ask, Box<SubRun>),
    /// An event for whoever has subscribed to it. It has no outcome.
    Emit(Emission),
    /// The answer to the caller. It has no outcome and is sent at most once.
    /// Its body is the file, where there is one: whoever performs this [fills it in](Reply::filled).
    Reply(Reply, Option<FileRef>),
    /// A line in the log. It has no outcome.
    Log(LogLine),
}

impl Effect {
    /// The ask of an effect that has an outcome.
    pub fn ask(&self) -> Option<&Ask> {
        match self {
            Self::Call(ask, _) | Self::Sleep(ask) | Self::Wait(ask, _) | Self::Run(ask, _) => Some(ask),
            Self::Emit(_) | Self::Reply(..) | Self::Log(_) => None,
        }
    }
}

/// What every effect with an outcome has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Where its outcome belongs.
    pub place: Place,
    /// The verb that asks, as the fact will name it.
    pub verb: &'static str,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// When it was asked, by the machine's own time.
    pub at: Timestamp,
    /// Not before this moment (backoff, `sleep`).
    pub not_before: Option<Timestamp>,
    /// Not beyond this moment: every enclosing timeout, folded into one.
    pub deadline: Option<Timestamp>,
    /// The step's ID, or its path, for logs.
    pub step: Arc<str>,
}

impl Ask {
    /// The one fact that answers this ask.
    pub fn fact(self, at: Timestamp, outcome: Outcome) -> Fact {
        Fact {
            place: self.place,
            verb: self.verb.to_owned(),
            attempt: self.attempt,
            at,
            outcome,
            left: None,
            tried: None,
        }
    }
}

/// An outgoing HTTP call, ready to be sent.
#[derive(Debug, Clone)]
pub struct HttpCall {
    /// The method.
    pub method: Method,
    /// Where it goes.
    pub url: CallUrl,
    /// The integration that it goes by; what that adds is in no fact and no view.
    pub via: Option<Via>,
    /// As the flow wrote them.
    pub headers: HeaderMap,
    /// Empty for none.
    pub body: CallBody,
    /// From the first byte sent to the last byte read.
    pub timeout: Duration,
    /// How the answer's body is read.
    pub response: ResponseFormat,
    /// How many redirects are followed, when the call says so itself.
    pub redirects: Option<u8>,
    /// Which answers are good.
    pub ok: StatusSet,
    /// What is kept of the answer under a name of its own.
    pub capture: Arc<[(String, Path)]>,
    /// Whether it carries an ID by which the other side knows it again.
    pub transactional: bool,
    /// The credential that its request is signed with, when it leaves.
    pub sign: Option<Arc<str>>,
}

/// The integration that a call goes by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Via {
    /// Its name.
    pub integration: Arc<str>,
    /// Which of its webhooks, when it is one.
    pub webhook: Option<Arc<str>>,
    /// The headers of the integration that this call goes without.
    pub without: Arc<[HeaderName]>,
    /// The content type when neither the call nor the integration names one.
    pub content_type: Option<&'static str>,
}

/// How an answer's body becomes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResponseFormat {
    /// By its content type: JSON, else text.
    #[default]
    Auto,
    /// JSON; anything else is a `parse` fault.
    Json,
    /// Text.
    Text,
    /// XML; anything else is a `parse` fault.
    Xml,
    /// What came, in base64.
    Bytes,
}

impl HttpCall {
    /// Whether the other side is not harmed when it is sent twice.
    pub fn is_repeatable(&self) -> bool {
        self.transactional || self.method.is_safe()
    }

    /// The outcome of an answer: its body read, its captures taken. Pure, so that the fact holds all of it.
    pub fn answered(&self, status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Outcome {
        let value = match self.read_body(headers, body) {
            Ok(value) => value,
            Err(message) if self.ok.contains(status.as_u16()) => {
                return Outcome::Failed { kind: FaultKind::Parse, message };
            }
            Err(_) => String::from_utf8_lossy(body).into_owned().into(),
        };
        let captures = self
            .capture
            .iter()
            .map(|(name, path)| (name.clone(), path.find(&value).cloned().unwrap_or(Json::Null)))
            .collect();
        let mut kept = serde_json::Map::new();
        for (name, value) in headers {
            let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
            match kept.get_mut(name.as_str()) {
                Some(Json::String(before)) => {
                    before.push_str(", ");
                    before.push_str(&text);
                }
                _ => drop(kept.insert(name.as_str().to_owned(), Json::String(text))),
            }
        }
        Outcome::Answered { status: status.as_u16(), headers: kept, body: value, captures }
    }

    fn read_body(&self, headers: &HeaderMap, body: &[u8]) -> Result<Json, String> {
        let media_type =
            headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
        let essence = media_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        let is_json = essence == "application/json" || essence.ends_with("+json");
        match self.response {
            _ if body.is_empty() => Ok(Json::Null),
            ResponseFormat::Auto if !is_json => Ok(String::from_utf8_lossy(body).into_owned().into()),
            ResponseFormat::Text => Ok(String::from_utf8_lossy(body).into_owned().into()),
            ResponseFormat::Bytes => Ok(to_base64(body).into()),
            ResponseFormat::Xml => decode_xml(media_type, body)
                .map_err(|why| format!("the answer is not XML that is taken: {why}")),
            ResponseFormat::Auto | ResponseFormat::Json => serde_json::from_slice(body).map_err(|error| {
                format!("the answer is not JSON: line {} column {}", error.line(), error.column())
            }),
        }
    }
}

/// A stop in the middle of a run, until its URL is called. The same for every run: a call that comes before the step
/// does is judged by it too.
#[derive(Debug)]
pub struct Waiting {
    /// The methods that wake it.
    pub methods: Methods,
    /// Who may call.
    pub auth: Auth,
    /// What the caller is answered.
    pub reply: Reply,
    /// How long it waits.
    pub timeout: Duration,
    /// Whether the run goes on when nobody has called in time.
    pub goes_on: bool,
}

/// A run of another flow.
#[derive(Debug, Clone, PartialEq)]
pub struct SubRun {
    /// The flow's ID.
    pub flow: Arc<str>,
    /// What it sees as `webhook.body`.
    pub with: Json,
    /// Whether it runs on its own: then nobody waits for its end.
    pub detach: bool,
}

/// An event that a flow sends.
#[derive(Debug, Clone, PartialEq)]
pub struct Emission {
    /// Its name.
    pub event: Arc<str>,
    /// What it carries.
    pub data: Json,
    /// Where in the run it was sent: with the run's ID, what it is known again by.
    pub place: Place,
    /// The step's ID, or its path.
    pub step: Arc<str>,
}

/// An answer to the caller, whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// 200 to 599.
    pub status: StatusCode,
    /// In the order of the flow.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Empty for none.
    pub body: Bytes,
}

impl Reply {
    /// The answer with a file of the event as its body, in memory. Waits for a disk where the file was spooled.
    ///
    /// # Errors
    /// When the file is not there or cannot be read.
    pub fn filled(mut self, file: &FileRef, event: &Event) -> Result<Self, Fault> {
        let unreadable = |why: &str| {
            let message = format!("the file that is answered cannot be read: {why}");
            Fault::new(FaultKind::Expression, Code("file.unreadable"), message)
        };
        let content = event.file(&file.sha256).ok_or_else(|| unreadable("it did not come with the event"))?;
        self.body = content.whole().map_err(|why| unreadable(&why.to_string()))?;
        Ok(self)
    }
}

/// A line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// How loud.
    pub level: LogLevel,
    /// What.
    pub text: String,
    /// More, by name.
    pub fields: serde_json::Map<String, Json>,
    /// The step's ID, or its path.
    pub step: Arc<str>,
}

/// How loud a log line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogLevel {
    /// For who looks closely.
    Debug,
    /// For who looks.
    #[default]
    Info,
    /// Somebody should look.
    Warn,
    /// Somebody must look.
    Error,
}
