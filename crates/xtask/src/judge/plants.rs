//! Mistakes planted in the evidence, one at least for each rule: it is altered as if the service had made them, and the
//! judge has to find them.

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// A mistake.
pub struct Plant {
    /// What it is called.
    pub name: &'static str,
    /// The rule that finds it.
    pub rule: &'static str,
    alter: fn(&mut Lines) -> Option<()>,
}

/// All of them, in the order of their names.
pub const ALL: &[Plant] = &[
    Plant { name: "broken-pause", rule: "paused", alter: broken_pause },
    Plant { name: "changed-delivery", rule: "same-delivery", alter: changed_delivery },
    Plant { name: "changed-id", rule: "same-id", alter: changed_id },
    Plant { name: "early-riser", rule: "naps", alter: early_riser },
    Plant { name: "end-of-a-refused", rule: "refused", alter: end_of_a_refused },
    Plant { name: "lost-call", rule: "all-steps", alter: lost_call },
    Plant { name: "lost-delivery", rule: "delivered", alter: lost_delivery },
    Plant { name: "lost-event", rule: "lost", alter: lost_event },
    Plant { name: "needless-failure", rule: "failures", alter: needless_failure },
    Plant { name: "other-body", rule: "bodies", alter: other_body },
    Plant { name: "overtaken", rule: "order", alter: overtaken },
    Plant { name: "repeated-call", rule: "once", alter: repeated_call },
    Plant { name: "second-emission", rule: "emitted", alter: second_emission },
    Plant { name: "second-end", rule: "one-end", alter: second_end },
    Plant { name: "strange-delivery", rule: "emitted", alter: strange_delivery },
    Plant { name: "taken-again", rule: "same-delivery", alter: taken_again },
    Plant { name: "taken-twice", rule: "callbacks", alter: taken_twice },
    Plant { name: "two-replies", rule: "replies", alter: two_replies },
];

/// The lines of the three files.
pub(super) struct Lines {
    callers: Vec<Value>,
    target: Vec<Value>,
    operator: Vec<Value>,
}

const FILES: [&str; 3] = ["callers.ndjson", "target.ndjson", "operator.ndjson"];

/// Alters the evidence in a folder.
///
/// # Errors
/// When there is no such mistake, or nothing in the evidence that could be altered so.
pub fn plant(name: &str, folder: &Path) -> Result<()> {
    let read = |file| fs::read_to_string(folder.join(file));
    let [callers, target, operator] = FILES;
    let altered = altered(name, [&read(callers)?, &read(target)?, &read(operator)?])?;
    for (file, text) in FILES.iter().zip(altered) {
        fs::write(folder.join(file), text)?;
    }
    Ok(())
}

/// The three files with a mistake.
///
/// # Errors
/// When there is no such mistake, or nothing in the evidence that could be altered so.
pub fn altered(name: &str, files: [&str; 3]) -> Result<[String; 3]> {
    let plant = ALL.iter().find(|plant| plant.name == name).context("there is no such mistake")?;
    let parsed = |text: &str| text.lines().map(serde_json::from_str).collect::<Result<Vec<Value>, _>>();
    let [callers, target, operator] = files;
    let mut lines = Lines { callers: parsed(callers)?, target: parsed(target)?, operator: parsed(operator)? };
    (plant.alter)(&mut lines).with_context(|| format!("nothing was seen that `{name}` could alter"))?;
    let text = |lines: &[Value]| lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
    Ok([text(&lines.callers), text(&lines.target), text(&lines.operator)])
}

fn is(line: &Value, name: &str, value: &str) -> bool {
    line.get(name).and_then(Value::as_str) == Some(value)
}

fn text(line: &Value, name: &str) -> Option<String> {
    Some(line.get(name)?.as_str()?.to_owned())
}

/// The same line with other fields.
fn with(line: &Value, fields: &Value) -> Value {
    let mut line = line.clone();
    if let (Some(line), Some(fields)) = (line.as_object_mut(), fields.as_object()) {
        line.extend(fields.clone());
    }
    line
}

fn is_good(line: &Value) -> bool {
    line.get("status").and_then(Value::as_u64).is_some_and(|status| (200..300).contains(&status))
}

impl Lines {
    fn heard(&self, is_it: impl Fn(&Value) -> bool) -> Option<Value> {
        self.target.iter().find(|line| is_it(line)).cloned()
    }

    fn ok_end(&self) -> Option<Value> {
        let accepted: BTreeSet<_> =
            self.callers.iter().filter(|line| is_good(line)).filter_map(|line| text(line, "event")).collect();
        let is_accepted = |line: &Value| text(line, "event").is_some_and(|event| accepted.contains(&event));
        self.heard(|line| is(line, "kind", "end") && is(line, "how", "ok") && is_accepted(line))
    }
}

fn lost_event(lines: &mut Lines) -> Option<()> {
    let event = text(&lines.ok_end()?, "event")?;
    lines.target.retain(|line| !(is(line, "kind", "end") && is(line, "event", &event)));
    Some(())
}

fn second_end(lines: &mut Lines) -> Option<()> {
    let end = lines.ok_end()?;
    lines.target.push(with(&end, &json!({"run": "another-run"})));
    Some(())
}

fn needless_failure(lines: &mut Lines) -> Option<()> {
    let event = text(&lines.ok_end()?, "event")?;
    for line in lines.target.iter_mut().filter(|line| is(line, "kind", "end") && is(line, "event", &event)) {
        *line = with(line, &json!({"how": "failed", "why": "timeout"}));
    }
    Some(())
}

fn end_of_a_refused(lines: &mut Lines) -> Option<()> {
    let refused =
        |line: &&Value| line.get("status").and_then(Value::as_u64).is_some_and(|status| status < 500);
    let strict = lines.callers.iter().filter(|line| is(line, "scene", "strict")).find(refused)?;
    let (event, end) = (text(strict, "event")?, lines.ok_end()?);
    lines.target.push(with(&end, &json!({"event": event, "run": "another-run"})));
    Some(())
}

fn repeated_call(lines: &mut Lines) -> Option<()> {
    let call = lines
        .heard(|line| is(line, "kind", "call") && is(line, "method", "POST") && line.get("id").is_none())?;
    lines.target.push(call);
    Some(())
}

fn changed_id(lines: &mut Lines) -> Option<()> {
    let call = lines.heard(|line| is(line, "kind", "call") && line.get("id").is_some())?;
    lines.target.push(with(&call, &json!({"id": "another-id"})));
    Some(())
}

fn lost_call(lines: &mut Lines) -> Option<()> {
    let end = lines.heard(|line| is(line, "how", "ok") && line.get("steps").is_some())?;
    let (run, steps) = (text(&end, "run")?, text(&end, "steps")?);
    let step = steps.split(' ').next_back()?;
    lines.target.retain(|line| !(is(line, "run", &run) && is(line, "step", step)));
    Some(())
}

fn other_body(lines: &mut Lines) -> Option<()> {
    let call = lines.target.iter_mut().find(|line| line.get("sha").is_some())?;
    *call = with(call, &json!({"sha": "another-sum"}));
    Some(())
}

fn changed_delivery(lines: &mut Lines) -> Option<()> {
    let delivery = lines.heard(|line| is(line, "kind", "delivery"))?;
    lines.target.push(with(&delivery, &json!({"sha": "another-sum", "answered": 503})));
    Some(())
}

fn lost_delivery(lines: &mut Lines) -> Option<()> {
    let call = lines.heard(|line| line.get("shouted").is_some())?;
    let (run, step) = (text(&call, "run")?, text(&call, "shouted")?.split(' ').next()?.to_owned());
    let is_it =
        |line: &Value| is(line, "kind", "delivery") && is(line, "run", &run) && is(line, "step", &step);
    let to = text(&lines.heard(is_it)?, "to")?;
    lines.target.retain(|line| !(is_it(line) && is(line, "to", &to)));
    Some(())
}

fn second_emission(lines: &mut Lines) -> Option<()> {
    let delivery = lines.heard(|line| is(line, "kind", "delivery"))?;
    lines.target.push(with(&delivery, &json!({"id": "another-delivery", "emitted": "another-event"})));
    Some(())
}

fn strange_delivery(lines: &mut Lines) -> Option<()> {
    let delivery = lines.heard(|line| is(line, "kind", "delivery"))?;
    let other = json!({"id": "another-delivery", "emitted": "another-event", "run": "another-run"});
    lines.target.push(with(&delivery, &other));
    Some(())
}

fn taken_again(lines: &mut Lines) -> Option<()> {
    let delivery =
        lines.heard(|line| is(line, "kind", "delivery") && line.get("answered") == Some(&204.into()))?;
    lines.target.push(delivery);
    Some(())
}

fn early_riser(lines: &mut Lines) -> Option<()> {
    let end = lines.heard(|line| line.get("napped").is_some())?;
    let run = text(&end, "run")?;
    let began = lines.heard(|line| is(line, "kind", "call") && is(line, "run", &run))?.get("at")?.clone();
    for line in lines.target.iter_mut().filter(|line| is(line, "kind", "end") && is(line, "run", &run)) {
        *line = with(line, &json!({"at": began}));
    }
    Some(())
}

fn overtaken(lines: &mut Lines) -> Option<()> {
    let later = |line: &&Value| line.get("turn").and_then(Value::as_u64).is_some_and(|turn| turn > 1);
    let heard = |event: &str| lines.target.iter().any(|line| is(line, "event", event));
    let event = lines
        .callers
        .iter()
        .filter(later)
        .filter_map(|line| text(line, "event"))
        .find(|event| heard(event))?;
    let call = lines.target.iter_mut().find(|line| is(line, "event", &event))?;
    *call = with(call, &json!({"at": 0}));
    Some(())
}

fn broken_pause(lines: &mut Lines) -> Option<()> {
    let heard = |event: &str| lines.target.iter().find(|line| is(line, "event", event));
    let held = lines.callers.iter().filter(|line| is(line, "scene", "held"));
    let (sent, heard) = held
        .filter_map(|line| {
            Some((line.get("sent")?.as_u64()?, heard(&text(line, "event")?)?.get("at")?.as_u64()?))
        })
        .find(|(sent, heard)| *sent > 0 && heard > sent)?;
    lines.operator.push(json!({"kind": "paused", "at": sent - 1}));
    lines.operator.push(json!({"kind": "resuming", "at": heard + 1}));
    Some(())
}

fn taken_twice(lines: &mut Lines) -> Option<()> {
    let taken = lines.callers.iter().find(|line| is(line, "kind", "callback") && is_good(line))?;
    lines.callers.push(with(taken, &json!({"callback": "another-callback"})));
    Some(())
}

fn two_replies(lines: &mut Lines) -> Option<()> {
    let replied = |line: &&Value| line.get("replies") == Some(&Value::Bool(true)) && is_good(line);
    let line = lines.callers.iter().find(replied)?;
    let body = text(line, "body")? + " ";
    lines.callers.push(with(line, &json!({"body": body})));
    Some(())
}
