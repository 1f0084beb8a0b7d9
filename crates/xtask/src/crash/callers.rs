//! Who sends events: in a loop, some twice, some without waiting for the answer, some wrong.

use super::chance::Chance;
use super::evidence::Evidence;
use super::http::{self, Answer, post};
use super::scenes::{Scene, body, drawn, ordered};
use super::service::Door;
use super::target::digest;
use serde_json::json;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the senders know of each other.
pub(super) struct Callers<'p> {
    pub(super) evidence: &'p Evidence,
    pub(super) door: &'p Door,
    pub(super) ended: &'p AtomicBool,
}

/// An event on its way in.
struct Event<'s> {
    scene: &'s Scene,
    name: String,
    key: Option<String>,
    /// Its place among those with its key.
    turn: u64,
    sha: Option<String>,
    request: Vec<u8>,
}

/// One of the senders.
struct Sender<'p> {
    callers: &'p Callers<'p>,
    chance: Chance,
    number: usize,
    sent: u64,
    turns: u64,
    /// How many of the same key come next, without a pause.
    burst: u64,
    /// Events that can be sent once more, long after.
    remembered: Vec<Event<'p>>,
}

/// How many are remembered.
const REMEMBERED: usize = 40;
/// How many events of a key follow the first, so that they wait for each other.
const BURST: u64 = 5;
/// Longer than the 64 KiB that are held in memory.
const BIG: (u64, u64) = (70_000, 200_000);

impl Callers<'_> {
    /// Sends until it is ended, then sends some of what it has sent before once more: that asks what was kept.
    pub(super) fn send(&self, number: usize, chance: Chance) {
        let mut sender =
            Sender { callers: self, chance, number, sent: 0, turns: 0, burst: 0, remembered: Vec::new() };
        while !self.ended.load(Ordering::Relaxed) {
            let event = sender.next();
            sender.bring(event);
            if sender.burst == 0 {
                std::thread::sleep(sender.chance.millis(0, 40));
            }
        }
        // By now the service lives on, and has its claims from before.
        for event in std::mem::take(&mut sender.remembered) {
            sender.send(&event);
        }
    }
}

impl<'p> Sender<'p> {
    fn next(&mut self) -> Event<'p> {
        let scene = if self.burst == 0 { drawn(self.chance.below(100)) } else { ordered() };
        let is_ordered = scene.name == "ordered";
        self.burst = match self.burst {
            0 if is_ordered => BURST,
            left => left.saturating_sub(1),
        };
        self.sent += 1;
        let name = format!("{}-{}-{}", scene.name, self.number, self.sent);
        let key = is_ordered.then(|| format!("key-{}", self.number));
        self.turns += u64::from(is_ordered);
        let text = match scene.name {
            "big" => {
                let length = BIG.0 + self.chance.below(BIG.1 - BIG.0);
                usize::try_from(length)
                    .map(|length| format!("{name} ").repeat(length / name.len()))
                    .unwrap_or_default()
            }
            _ => String::new(),
        };
        let sha = (!text.is_empty()).then(|| digest(text.as_bytes()));
        let body = body(&name, self.sent, key.as_deref(), &text);
        let request = match scene.name {
            "strict" => self.wrong(&body),
            name => post(&format!("/hook/{name}"), "Content-Type: application/json\r\n", &body),
        };
        Event { scene, name, key, turn: self.turns, sha, request }
    }

    /// A request that is to be refused.
    fn wrong(&mut self, body: &[u8]) -> Vec<u8> {
        let (path, kind) = ("/hook/strict", "Content-Type: application/json\r\n");
        match self.chance.below(4) {
            0 => post(path, kind, body.get(..body.len() / 2).unwrap_or_default()),
            1 => post(path, "Content-Type: image/png\r\n", body),
            2 => post("/hook/nobody", kind, body),
            _ => post(path, kind, body),
        }
    }

    /// Sends an event as often as its sender would.
    fn bring(&mut self, event: Event<'p>) {
        // Who sends in order goes on only when one is in.
        let patient = event.key.is_some();
        if !patient && self.chance.one_in(12) {
            return self.hang_up(&event);
        }
        let mut status = self.send(&event);
        while status.is_none_or(|status| status >= 500) && event.scene.dedupes {
            if self.callers.ended.load(Ordering::Relaxed) || !(patient || self.chance.one_in(2)) {
                break;
            }
            std::thread::sleep(self.chance.millis(5, 60));
            status = self.send(&event);
        }
        if !event.scene.dedupes {
            return;
        }
        if self.chance.one_in(8) {
            self.send(&event);
        }
        if !patient && self.chance.one_in(3) {
            self.remembered.push(event);
            if self.remembered.len() > REMEMBERED {
                let old = self.chance.below(REMEMBERED as u64);
                let old = self.remembered.swap_remove(usize::try_from(old).unwrap_or_default());
                self.send(&old);
            }
        }
    }

    /// Returns what was answered; nobody knows what became of an event that got no answer.
    fn send(&self, event: &Event<'_>) -> Option<u16> {
        let Callers { evidence, door, .. } = self.callers;
        let address = door.wait()?;
        let sent = evidence.at();
        let answer = http::ask(address, &event.request);
        if answer.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused) {
            // Nobody has heard of it.
            std::thread::sleep(Duration::from_millis(10));
            return None;
        }
        self.note(event, sent, answer.as_ref().ok());
        answer.ok().map(|answer| answer.status)
    }

    /// Sends, and is gone.
    fn hang_up(&mut self, event: &Event<'_>) {
        let Callers { evidence, door, .. } = self.callers;
        let Some(address) = door.wait() else { return };
        let sent = evidence.at();
        let stream = http::send(address, &event.request);
        self.note(event, sent, None);
        if self.chance.one_in(2) {
            std::thread::sleep(self.chance.millis(0, 10));
        }
        drop(stream);
    }

    fn note(&self, event: &Event<'_>, sent: u64, answer: Option<&Answer>) {
        let evidence = self.callers.evidence;
        let is_good = answer.is_some_and(|answer| (200..300).contains(&answer.status));
        if is_good && !event.scene.ends_with_reply {
            evidence.owe(&event.name);
            if let Some(run) = answer.and_then(|answer| answer.header("x-run-id")) {
                evidence.owe(run);
            }
        }
        let body = answer.filter(|_| is_good).map(|answer| String::from_utf8_lossy(&answer.body));
        evidence.caller(&json!({
            "kind": "event",
            "scene": event.scene.name,
            "event": event.name,
            "key": event.key,
            "turn": event.key.as_ref().map(|_| event.turn),
            "sha": event.sha,
            "replies": event.scene.ends_with_reply || event.scene.name == "ask",
            "ends_with_reply": event.scene.ends_with_reply,
            "sent": sent,
            "answered": answer.map(|_| evidence.at()),
            "status": answer.map(|answer| answer.status),
            "run": answer.and_then(|answer| answer.header("x-run-id")),
            "body": body,
        }));
    }
}
