//! What is written in a row, and what is read from it.

use super::fact_row::FactRow;
use super::failure::Failure;
use crate::{Claim, Ended, NewRun, Outgoing, Parked, Progress, Sent};
use hookflow_flow::{End, Reply};
use hookflow_trigger::{Blob, BlobFault, Blobs, EventRecord};
use http::{HeaderName, HeaderValue, StatusCode};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// A run as it is written, made where it is handed over and not by the writer.
pub(super) struct RunRow {
    pub(super) run: Arc<str>,
    pub(super) flow: Arc<str>,
    pub(super) attempt: u32,
    pub(super) seed: [u8; 16],
    pub(super) started_at: i64,
    pub(super) bytes: i64,
    pub(super) claims: Vec<Claim>,
    pub(super) lane: Option<Arc<str>>,
    pub(super) replays: Option<Arc<str>>,
    pub(super) event: EventRecord,
    /// What the event names.
    pub(super) blobs: Vec<Blob>,
    pub(super) progress: ProgressRows,
}

/// Progress as it is written.
pub(super) struct ProgressRows {
    pub(super) version: Arc<str>,
    pub(super) begun_at: Option<i64>,
    pub(super) facts: Vec<FactRow>,
    pub(super) sent: Vec<String>,
    pub(super) emitted: Vec<Outgoing>,
    pub(super) reply: Option<ReplyRow>,
    pub(super) parking: Parking,
    pub(super) ended: Option<EndRow>,
}

/// Whether a run is parked, until when, and how many entries of its inbox it has heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parking {
    pub(super) parked: bool,
    pub(super) until: Option<i64>,
    pub(super) heard: usize,
}

pub(super) struct ReplyRow {
    pub(super) headers: Option<String>,
    pub(super) reply: Arc<Reply>,
}

pub(super) struct EndRow {
    pub(super) at: i64,
    pub(super) kind: i64,
    pub(super) value: Option<String>,
}

/// How a run ended: `ends.kind`.
pub(super) const SUCCEEDED: i64 = 0;
pub(super) const FAILED: i64 = 1;

impl RunRow {
    pub(super) fn of(run: NewRun, blobs: &Arc<dyn Blobs>) -> Result<Self, BlobFault> {
        Ok(Self {
            event: run.event.to_record(),
            blobs: run.event.blobs().cloned().collect(),
            progress: ProgressRows::of(&run.progress, blobs)?,
            run: run.run,
            flow: run.flow,
            attempt: run.attempt,
            seed: run.seed,
            started_at: moment(run.started_at),
            bytes: int(run.bytes),
            claims: run.claims,
            lane: run.order,
            replays: run.replays,
        })
    }
}

impl ProgressRows {
    pub(super) fn of(progress: &Progress, blobs: &Arc<dyn Blobs>) -> Result<Self, BlobFault> {
        let facts = progress.facts.iter().map(|fact| FactRow::of(fact, blobs));
        Ok(Self {
            version: Arc::clone(&progress.version),
            begun_at: progress.begun_at.map(moment),
            facts: facts.collect::<Result<_, _>>()?,
            sent: progress.sent.iter().map(text).collect(),
            emitted: progress.emitted.clone(),
            reply: progress.reply.as_ref().map(ReplyRow::of),
            parking: Parking::of(progress.parked),
            ended: progress.ended.as_ref().map(EndRow::of),
        })
    }

    /// What its facts name.
    pub(super) fn blobs(&self) -> impl Iterator<Item = &Blob> {
        self.facts.iter().filter_map(|fact| fact.blob.as_ref())
    }
}

impl Parking {
    fn of(parked: Option<Parked>) -> Self {
        Self {
            parked: parked.is_some(),
            until: parked.and_then(|parked| parked.until).map(moment),
            heard: parked.map_or(0, |parked| parked.heard),
        }
    }

    pub(super) fn parked(self) -> Result<Option<Parked>, Failure> {
        let until = self.until.map(timestamp).transpose()?;
        Ok(self.parked.then_some(Parked { until, heard: self.heard }))
    }
}

impl ReplyRow {
    fn of(reply: &Arc<Reply>) -> Self {
        // Each byte of a value as the character of that number, so that every value can be kept.
        let value = |value: &HeaderValue| value.as_bytes().iter().map(|b| char::from(*b)).collect::<String>();
        let headers: Vec<_> = reply.headers.iter().map(|(name, it)| (name.as_str(), value(it))).collect();
        Self { headers: (!headers.is_empty()).then(|| text(&headers)), reply: Arc::clone(reply) }
    }
}

impl EndRow {
    fn of(ended: &Ended) -> Self {
        let (kind, value) = match &*ended.end {
            End::Succeeded(value) if value.is_null() => (SUCCEEDED, None),
            End::Succeeded(value) => (SUCCEEDED, Some(text(value))),
            End::Failed(fault) => (FAILED, Some(text(fault))),
        };
        Self { at: moment(ended.at), kind, value }
    }
}

/// A claim within the row of its run.
#[derive(Serialize, Deserialize)]
struct ClaimText(Arc<str>, Arc<str>, Duration);

pub(super) fn claims_text(claims: &[Claim]) -> Option<String> {
    let texts =
        claims.iter().map(|claim| ClaimText(Arc::clone(&claim.scope), Arc::clone(&claim.key), claim.window));
    (!claims.is_empty()).then(|| text(&texts.collect::<Vec<_>>()))
}

pub(super) fn claims_of(text: Option<&str>) -> Result<Vec<Claim>, Failure> {
    let Some(text) = text else { return Ok(Vec::new()) };
    let claims = value::<Vec<ClaimText>>(text)?.into_iter();
    Ok(claims.map(|ClaimText(scope, key, window)| Claim { scope, key, window }).collect())
}

pub(super) fn reply_of(status: u16, headers: Option<&str>, body: Vec<u8>) -> Result<Reply, Failure> {
    let read = |(name, value): (String, String)| {
        let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(u32::from(c)).ok()).collect();
        let value = HeaderValue::from_bytes(&bytes?).ok()?;
        Some((HeaderName::from_bytes(name.as_bytes()).ok()?, value))
    };
    let headers = headers.map(value::<Vec<(String, String)>>).transpose()?.unwrap_or_default();
    let headers: Option<Vec<_>> = headers.into_iter().map(read).collect();
    let (Ok(status), Some(headers)) = (StatusCode::from_u16(status), headers) else {
        return Err(Failure::damaged("a reply"));
    };
    Ok(Reply { status, headers, body: body.into() })
}

pub(super) fn ended_of(at: i64, kind: i64, end: Option<&str>) -> Result<Ended, Failure> {
    let end = match (kind, end) {
        (SUCCEEDED, None) => End::Succeeded(serde_json::Value::Null),
        (SUCCEEDED, Some(text)) => End::Succeeded(value(text)?),
        (FAILED, Some(text)) => End::Failed(value(text)?),
        _ => return Err(Failure::damaged("an end")),
    };
    Ok(Ended { end: Arc::new(end), at: timestamp(at)? })
}

pub(super) fn sent_of(text: &str) -> Result<Sent, Failure> {
    value(text)
}

/// Everything that is kept has a JSON form; were that to change, reading it back would say so.
pub(super) fn text<T: Serialize + ?Sized>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

/// Values nest as deep as their sources allow, which is a little deeper than the parser's own limit.
pub(super) fn value<T: DeserializeOwned>(text: &str) -> Result<T, Failure> {
    let mut parser = serde_json::Deserializer::from_str(text);
    parser.disable_recursion_limit();
    T::deserialize(&mut parser).map_err(|error| Failure::damaged(&error.to_string()))
}

/// Moments are counted in nanoseconds; what is beyond the year 2262 is then.
pub(super) fn moment(at: Timestamp) -> i64 {
    let at = at.as_nanosecond();
    i64::try_from(at).unwrap_or(if at < 0 { i64::MIN } else { i64::MAX })
}

pub(super) fn timestamp(at: i64) -> Result<Timestamp, Failure> {
    Timestamp::from_nanosecond(at.into()).map_err(|_| Failure::damaged("a moment"))
}

pub(super) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

pub(super) fn uint(number: i64) -> u64 {
    u64::try_from(number).unwrap_or_default()
}
