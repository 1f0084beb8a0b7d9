//! Flows by chance: all verbs, all modifiers, a few deep.

use super::dice::Dice;
use crate::tests::bench::flow;
use hookflow_flow::Flow;
use hookflow_text::Json;
use serde_json::json;
use std::sync::Arc;

/// How many flows are called from outside.
pub(super) const CALLED: u64 = 4;
/// The verbs that the generator knows; a test holds it against the table of step kinds.
pub(super) const VERBS: &[&str] = &[
    "emit", "fail", "for", "http", "if", "jq", "log", "parallel", "respond", "return", "run", "set", "sleep",
    "stop", "switch", "try", "validate", "wait",
];

/// Flows that are called, and `child`, which they run.
pub(super) fn all(seed: u64) -> Vec<Arc<Flow>> {
    documents(seed).iter().map(|document| flow(&document.to_string())).collect()
}

pub(super) fn documents(seed: u64) -> Vec<Json> {
    let mut flows: Vec<_> = (0..CALLED).map(|n| called(seed, n)).collect();
    let mut writer =
        Writer { dice: Dice::named(seed, "child"), ids: 0, turns: Vec::new(), ends: false, runs: false };
    let mut steps = writer.steps(1);
    steps.push(json!({"return": "${ webhook.body.n + 1 }"}));
    flows.push(json!({"flow": "child", "queue": {"workers": 2}, "steps": steps}));
    flows
}

fn called(seed: u64, n: u64) -> Json {
    let name = format!("flow-{n}");
    let mut dice = Dice::named(seed, &name);
    let mut webhook = json!({"auth": "none", "sample": {"body": body(&mut dice)}});
    if dice.one_in(3) {
        webhook["dedupe"] = json!({"key": "${ webhook.body.d }", "window": "1h"});
    }
    let mut queue = json!({"capacity": dice.between(4, 40), "workers": dice.between(1, 4)});
    if dice.one_in(2) {
        queue["order_by"] = json!("${ webhook.body.k }");
    }
    let mut writer = Writer { dice, ids: 0, turns: Vec::new(), ends: true, runs: true };
    let mut document = json!({"flow": name, "webhook": webhook, "queue": queue, "steps": writer.steps(2)});
    if writer.dice.one_in(3) {
        document["on_error"] = writer.steps(0).into();
    }
    document
}

/// What an event of any of them brings.
pub(super) fn body(dice: &mut Dice) -> Json {
    let list: Vec<_> = (0..dice.below(4)).collect();
    let d = if dice.one_in(3) { Json::Null } else { format!("d{}", dice.below(20)).into() };
    json!({"n": dice.below(7), "list": list, "k": dice.pick(&["a", "b", "c"]), "d": d})
}

struct Writer {
    dice: Dice,
    ids: u64,
    /// The items of the loops around.
    turns: Vec<String>,
    /// Whether a step may end the run here.
    ends: bool,
    /// Whether it may run another flow.
    runs: bool,
}

impl Writer {
    fn id(&mut self) -> String {
        self.ids += 1;
        format!("s{}", self.ids)
    }

    fn steps(&mut self, depth: u32) -> Vec<Json> {
        let least = u64::from(depth > 0);
        (0..self.dice.between(least, 3)).flat_map(|_| self.step(depth)).collect()
    }

    fn step(&mut self, depth: u32) -> Vec<Json> {
        if depth == 0 || self.dice.one_in(2) { self.leaf() } else { vec![self.block(depth - 1)] }
    }

    fn condition(&mut self) -> String {
        format!(
            "webhook.body.n {} {}",
            self.dice.pick(&["<", ">", "==", "!="]).to_owned(),
            self.dice.below(6)
        )
    }

    fn leaf(&mut self) -> Vec<Json> {
        let bound = self.dice.below(7);
        let mut step = match self.dice.below(16) {
            0 => json!({"set": {"x": "${ webhook.body.n }", "u": "${ uuid() }", "at": "${ now() }"}}),
            1 => json!({"log": "n is ${ webhook.body.n }"}),
            2 => json!({"respond": {"status": self.dice.between(200, 203), "json": "${ run.id }"}}),
            3 => json!({"emit": "order.created", "data": "webhook.body.n"}),
            4 => json!({"validate": "webhook.body.n", "schema": {"minimum": self.dice.below(4)}}),
            5 => json!({"fail": "no", "when": "webhook.body.n == 4"}),
            6 if self.ends => json!({"stop": "${ webhook.body.n }", "when": "webhook.body.n == 5"}),
            7 if self.ends => json!({"return": "${ webhook.body.n }", "when": "webhook.body.n == 6"}),
            8 => json!({"sleep": format!("{}ms", self.dice.between(1, 90_000))}),
            9 if self.runs => self.child(),
            10 | 11 => return self.wait(),
            12 => json!({"jq": "map(. + 1)", "of": "webhook.body.list"}),
            _ => self.call(),
        };
        if bound == 0 && step.get("when").is_none() {
            step["when"] = self.condition().into();
        }
        if bound < 3 && step.get("stop").or(step.get("return")).or(step.get("respond")).is_none() {
            step["on_error"] = json!("continue");
        }
        vec![step]
    }

    /// The URL says how often it may be called at most, and from which turn it is.
    fn call(&mut self) -> Json {
        let (id, post) = (self.id(), self.dice.one_in(2));
        let tries = if self.dice.one_in(3) { self.dice.between(2, 4) } else { 1 };
        let (method, turns) = (if post { "POST" } else { "GET" }, self.turns.clone());
        let turns: Vec<_> = turns.iter().map(|item| format!("{item}=${{ {item} }}")).collect();
        let url = format!("http://outside.example/{method}/{id}/{tries}?{}", turns.join("&"));
        let mut step =
            json!({"id": id, "http": {"method": method, "url": url, "headers": {"X-Run": "${ run.id }"}}});
        if post {
            step["http"]["json"] = json!({"n": "${ webhook.body.n }", "u": "${ uuid() }"});
        }
        if tries > 1 {
            step["retry"] = json!({"tries": tries, "backoff": "100ms..20s"});
        }
        if self.dice.one_in(3) {
            step["timeout"] = format!("{}s", self.dice.between(1, 30)).into();
        }
        step
    }

    /// The URL to call goes out first.
    fn wait(&mut self) -> Vec<Json> {
        let (mut call, id) = (self.call(), self.id());
        call["http"]["method"] = "POST".into();
        let url = call["http"]["url"].as_str().unwrap().replace("/GET/", "/POST/");
        call["http"]["url"] = url.into();
        call["http"]["json"] = json!({"answer_to": format!("${{ wait_url('{id}') }}")});
        call["on_error"] = json!("continue");
        let timeout = format!("{}s", self.dice.between(2, 60));
        let goes_on = if self.dice.one_in(2) { "continue" } else { "fail" };
        vec![call, json!({"id": id, "wait": {"auth": "none", "timeout": timeout, "on_timeout": goes_on}})]
    }

    fn child(&mut self) -> Json {
        let mut step = json!({"run": "child", "with": {"n": "${ webhook.body.n }", "list": [1, 2]}});
        if self.dice.one_in(4) {
            step["detach"] = true.into();
        }
        if self.dice.one_in(3) {
            step["retry"] = json!({"tries": 2});
        }
        step
    }

    fn block(&mut self, depth: u32) -> Json {
        match self.dice.below(5) {
            0 => {
                json!({"if": self.condition(), "then": self.steps(depth), "else": self.steps(depth)})
            }
            1 => {
                json!({"switch": "webhook.body.n", "cases": {"3": self.steps(depth)}, "default": self.steps(depth)})
            }
            2 => {
                let item = format!("i{}", self.turns.len());
                self.turns.push(item.clone());
                let body = self.steps(depth);
                self.turns.pop();
                let parallel = self.dice.between(1, 3);
                json!({"for": item, "in": "webhook.body.list", "parallel": parallel, "do": body, "collect": item})
            }
            3 => {
                let branches = ["a", "b", "c"].map(|name| (name.to_owned(), Json::from(self.steps(depth))));
                json!({"parallel": serde_json::Map::from_iter(branches)})
            }
            _ => {
                let mut step = json!({"try": self.steps(depth)});
                if self.dice.one_in(2) {
                    step["catch"] = self.steps(depth).into();
                } else {
                    let ends = std::mem::replace(&mut self.ends, false);
                    step["finally"] = self.steps(depth).into();
                    self.ends = ends;
                }
                if self.dice.one_in(3) {
                    step["timeout"] = "40s".into();
                }
                step
            }
        }
    }
}
