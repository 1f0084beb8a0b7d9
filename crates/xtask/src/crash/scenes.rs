//! What is put under load: one flow per scene, and what its callers send.
//!
//! Each flow tells the target of its end, with the event and the run, by a call that may be repeated; `pure` ends with
//! its reply. `WHO` stands for event and run, `TARGET` for the target's address.

use super::target::{DELIVERIES, SUBSCRIPTIONS};
use serde_json::json;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

pub(super) struct Scene {
    pub(super) name: &'static str,
    /// How many of a hundred events are its.
    pub(super) share: u64,
    /// Whether the reply is all there is of its end.
    pub(super) ends_with_reply: bool,
    /// Whether its events can be sent again without harm.
    pub(super) dedupes: bool,
    webhook: &'static str,
    steps: &'static str,
}

const DEDUPE: &str = "dedupe: {key: '${ webhook.body.id }', window: 1h}";

pub(super) static SCENES: [Scene; 13] = [
    // The caller waits, and nothing leaves the house: one commit with the reply.
    Scene {
        name: "pure",
        share: 10,
        ends_with_reply: true,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - {id: sum, set: {n: '${ webhook.body.n * 2 + 1 }'}}
  - respond: {status: 201, json: {event: '${ webhook.body.id }', run: '${ run.id }', n: '${ steps.sum.n }'}}",
    },
    Scene {
        name: "ask",
        share: 14,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - {id: a, http: {method: POST, url: 'TARGET/call', query: {WHO, step: a}}}
  - respond: {status: 201, json: {event: '${ webhook.body.id }', run: '${ run.id }', n: '${ steps.a.body.n }'}}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a}}",
    },
    Scene {
        name: "two",
        share: 14,
        ends_with_reply: false,
        dedupes: false,
        webhook: "",
        steps: "
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: a}}
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: b}}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a b}}",
    },
    // Calls that carry an ID are tried again, after a crash too.
    Scene {
        name: "keyed",
        share: 12,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: a}, headers: {Idempotency-Key: '${WebhookRequest.TransactionalId}'}}
    retry: {tries: 4, on: [5xx], backoff: 20ms..60ms}
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: b}, headers: {Idempotency-Key: '${WebhookRequest.TransactionalId}'}}
    retry: {tries: 4, on: [5xx], backoff: 20ms..60ms}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a b}}",
    },
    Scene {
        name: "wait",
        share: 8,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - http: {url: 'TARGET/url', query: {WHO, url: \"${ wait_url('answer') }\"}}
  - sleep: 150ms
  - id: answer
    wait: {auth: none, timeout: 3s, on_timeout: continue}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, callback: '${ steps.answer.body.n | default(\"none\") }'}}",
    },
    // The longer nap leaves the worker's hand.
    Scene {
        name: "nap",
        share: 10,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - http: {url: 'TARGET/call', query: {WHO, step: before}}
  - when: webhook.body.n % 2 == 0
    sleep: 200ms
  - when: webhook.body.n % 2 == 1
    sleep: 1500ms
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: before, napped: '${ 1500 if webhook.body.n % 2 == 1 else 200 }'}}",
    },
    Scene {
        name: "fan",
        share: 6,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - parallel:
      left: [{http: {method: POST, url: 'TARGET/call', query: {WHO, step: left}}}]
      right: [{http: {method: POST, url: 'TARGET/call', query: {WHO, step: right}}}]
  - for: n
    in: '${ [1, 2, 3, 4] }'
    parallel: 2
    do: [{http: {method: POST, url: 'TARGET/call', query: {WHO, step: 'turn-${ n }'}}}]
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: left right turn-1 turn-2 turn-3 turn-4}}",
    },
    Scene {
        name: "family",
        share: 6,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - run: child
    with: {id: '${ webhook.body.id }', run: '${ run.id }'}
  - run: stray
    with: {id: '${ webhook.body.id }', run: '${ run.id }'}
    detach: true
  - run: echo
    with: {id: '${ webhook.body.id }', run: '${ run.id }'}
    detach: true
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: child, later: stray, shouted: echo}}",
    },
    // What it says it has emitted was kept before it said so.
    Scene {
        name: "shout",
        share: 6,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - emit: crash.shouted
    data: {id: '${ webhook.body.id }', run: '${ run.id }', step: first}
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: a, shouted: first}}
  - emit: crash.shouted
    data: {id: '${ webhook.body.id }', run: '${ run.id }', step: second}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a, shouted: first second}}",
    },
    Scene {
        name: "ordered",
        share: 4,
        ends_with_reply: false,
        dedupes: true,
        webhook: "dedupe: {key: '${ webhook.body.id }', window: 1h}}
queue: {order_by: '${ webhook.body.key }'",
        steps: "
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: a}}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a}}",
    },
    // Paused and resumed by the operator.
    Scene {
        name: HELD,
        share: 5,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: a}}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a}}",
    },
    // Above 64 KiB, so in files of the store's.
    Scene {
        name: "big",
        share: 4,
        ends_with_reply: false,
        dedupes: true,
        webhook: DEDUPE,
        steps: "
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: a}}
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: text}, text: '${ webhook.body.text }'}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a text}}",
    },
    // Nothing that is sent to it is right.
    Scene {
        name: "strict",
        share: 1,
        ends_with_reply: false,
        dedupes: false,
        webhook: "expects: {strict: true, body: {id: string, missing: string}}",
        steps: "
  - http: {method: POST, url: 'TARGET/call', query: {WHO, step: a}}
  - http: {url: 'TARGET/end', query: {WHO, how: ok, steps: a}}",
    },
];

/// The scene that the operator pauses.
pub(super) const HELD: &str = "held";

/// What a `run` step runs. The event and the run are those of the parent.
const CHILDREN: &[(&str, &str)] = &[
    (
        "child",
        "steps:
  - http: {method: POST, url: 'TARGET/call', query: {scene: family, event: '${ webhook.body.id }', run: '${ webhook.body.run }', step: child}}
  - return: ${ webhook.body.id }
",
    ),
    (
        "stray",
        "steps:
  - http: {url: 'TARGET/call', query: {scene: family, event: '${ webhook.body.id }', run: '${ webhook.body.run }', step: stray}}
",
    ),
    // Its end is the first that is written of it, and brings its event.
    (
        "echo",
        "steps:
  - emit: crash.shouted
    data: {id: '${ webhook.body.id }', run: '${ webhook.body.run }', step: echo}
",
    ),
];

/// `retention` forgets ended runs all the time, but not before an operator could have looked at them.
const CONFIG: &str = "\
public: {listen: 127.0.0.1:0}
ops: {listen: 127.0.0.1:0}
outbound: {allow: [127.0.0.0/8]}
retention: {runs: 300}
shutdown: {grace: 10s}
log: {format: text, level: warn}
";

impl Scene {
    /// The flow's document.
    pub(super) fn flow(&self, target: SocketAddr, paused: bool) -> String {
        let Self { name, webhook, steps, .. } = self;
        let comma = if webhook.is_empty() { "" } else { ", " };
        let enabled = if paused { "enabled: paused\n" } else { "" };
        let flow = format!(
            "{enabled}webhook: {{auth: none{comma}{webhook}}}\nsteps:{steps}\non_error:\n  - http: {{url: 'TARGET/end', \
             query: {{WHO, how: failed, why: '${{ error.kind }}', at: '${{ error.code | default(\"none\") }}'}}}}\n"
        );
        let who = format!("scene: {name}, event: '${{ webhook.body.id }}', run: '${{ run.id }}'");
        with_target(&flow.replace("WHO", &who), target)
    }
}

fn with_target(flow: &str, target: SocketAddr) -> String {
    flow.replace("TARGET", &format!("http://{target}"))
}

/// The scene for a number below a hundred.
pub(super) fn drawn(mut number: u64) -> &'static Scene {
    let [first, ..] = &SCENES;
    let found = SCENES.iter().find(|scene| {
        let is_it = number < scene.share;
        number = number.saturating_sub(scene.share);
        is_it
    });
    found.unwrap_or(first)
}

/// The scene whose events wait for each other.
pub(super) fn ordered() -> &'static Scene {
    let [first, ..] = &SCENES;
    SCENES.iter().find(|scene| scene.name == "ordered").unwrap_or(first)
}

/// Writes a folder that can be served.
pub(super) fn write(folder: &Path, target: SocketAddr) -> io::Result<()> {
    for name in ["config/subscriptions", "flows"] {
        fs::create_dir_all(folder.join(name))?;
    }
    fs::write(folder.join("config/hookflow.yaml"), CONFIG)?;
    for name in SUBSCRIPTIONS {
        let subscription =
            format!("subscription: {name}\ncallback_url: TARGET{DELIVERIES}{name}\nevents: ['crash.*']\n");
        let file = folder.join(format!("config/subscriptions/{name}.yaml"));
        fs::write(file, with_target(&subscription, target))?;
    }
    for scene in &SCENES {
        fs::write(folder.join(format!("flows/{}.yaml", scene.name)), scene.flow(target, false))?;
    }
    for (name, flow) in CHILDREN {
        fs::write(folder.join(format!("flows/{name}.yaml")), with_target(flow, target))?;
    }
    Ok(())
}

/// Replaces the flow that the operator pauses, as a whole.
pub(super) fn pause(folder: &Path, target: SocketAddr, paused: bool) -> io::Result<()> {
    let Some(held) = SCENES.iter().find(|scene| scene.name == HELD) else { return Ok(()) };
    let (new, flow) = (folder.join("held.new"), folder.join(format!("flows/{HELD}.yaml")));
    fs::write(&new, held.flow(target, paused))?;
    fs::rename(new, flow)
}

/// The body of an event.
pub(super) fn body(event: &str, n: u64, key: Option<&str>, text: &str) -> Vec<u8> {
    json!({"id": event, "n": n, "key": key, "text": text}).to_string().into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shares_are_a_hundred_and_every_flow_names_its_event() {
        assert_eq!(SCENES.iter().map(|scene| scene.share).sum::<u64>(), 100);
        for scene in &SCENES {
            let flow = scene.flow(([127, 0, 0, 1], 9).into(), false);
            assert!(!flow.contains("WHO") && !flow.contains("TARGET"), "{flow}");
            assert!(flow.contains("'http://127.0.0.1:9/end'"), "{flow}");
        }
    }
}
