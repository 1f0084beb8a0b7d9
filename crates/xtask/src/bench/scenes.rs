//! What stands against what: the table of scenes.

use super::by_hand::Framework;
use super::project::{Project, Store};

/// Servers that do the same work, under the same load.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) answer: Answer,
    pub(super) load: Shape,
    pub(super) target: Target,
    /// Those to compare with, and last the one to judge.
    pub(super) servers: &'static [Server],
}

/// What is sent, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) payload: Payload,
    pub(super) pace: Pace,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Payload {
    /// So many bytes.
    Json(usize),
    Form,
    Xml,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    /// Each connection sends its next request when it has its answer.
    Closed,
    /// So many requests a second over all connections, each at a random moment (exponential pauses) and hardly ever behind another:
    /// an open model as long as answers take much less than a pause.
    Open(u32),
    /// As closed, to all flows of the server: the n-th gets 1/n of what the first one gets.
    Zipf,
}

/// What the last server should reach.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Target {
    /// A figure without a claim.
    None,
    /// Its rate of right answers over that of the fastest of the others.
    Rate(f64),
    /// In microseconds.
    Latency { p50: u64, p99: u64 },
}

/// What a right answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// This stands in its body.
    pub(super) text: &'static str,
}

#[derive(Debug)]
pub(super) struct Server {
    pub(super) name: &'static str,
    pub(super) program: Program,
    /// It gets so many times the connections of the others. What is then refused is not wrong, and is no right answer either.
    pub(super) crowd: usize,
}

#[derive(Debug)]
pub(super) enum Program {
    /// `examples/bare.rs` in one of its modes.
    Bare(&'static str),
    /// A program of `benches/` in one of its modes.
    ByHand(Framework, &'static str),
    Hookflow(Project),
}

/// Only a flow that mapped the body has this in its answer.
const MAPPED: Answer = Answer { status: 200, text: "\"Ada Lovelace\"" };
const QUEUED: Answer = Answer { status: 202, text: "\"queued\"" };

const KIB: usize = 1024;
pub(super) const PLAIN: Shape = Shape { payload: Payload::Json(KIB), pace: Pace::Closed };

pub(super) const MAP: &str = "steps:\n\
                   \x20 - respond:\n\
                   \x20     status: 200\n\
                   \x20     json:\n\
                   \x20       id: ${ webhook.body.id }\n\
                   \x20       amount: ${ webhook.body.amount }\n\
                   \x20       customer: ${ webhook.body.customer.name }\n";
const MAP_FORM: &str = "steps:\n\
                        \x20 - respond:\n\
                        \x20     status: 200\n\
                        \x20     json: {id: '${ webhook.body.id }', amount: '${ webhook.body.amount }', customer: '${ webhook.body.customer }'}\n";
const MAP_XML: &str = "steps:\n\
                       \x20 - respond:\n\
                       \x20     status: 200\n\
                       \x20     json: {id: '${ webhook.body.order.id }', amount: '${ webhook.body.order.amount }', customer: '${ webhook.body.order.customer }'}\n";
const BUILD: &str = "steps:\n\
                     \x20 - set:\n\
                     \x20     id: ${ webhook.body.id }\n\
                     \x20     amount: ${ webhook.body.amount }\n\
                     \x20     customer: ${ webhook.body.customer.name }\n";
const TWO: &str = "steps:\n\
                   \x20 - id: order\n\
                   \x20   set: {id: '${ webhook.body.id }', customer: '${ webhook.body.customer.name }'}\n\
                   \x20 - set: {text: '${ steps.order.id } of ${ steps.order.customer }'}\n";
/// The service is the bare server, which takes its time.
const ASK: &str = "steps:\n\
                   \x20 - http: {url: '{service}', method: POST, json: '${ webhook.body }'}\n\
                   \x20 - respond: {status: 200, json: '${ webhook.body }'}\n";
const FIFTY: &str = "steps:\n{49 steps}\
                     \x20 - respond:\n\
                     \x20     status: 200\n\
                     \x20     json: {id: '${ webhook.body.id }', amount: '${ steps.s49.n }', customer: '${ webhook.body.customer.name }'}\n";
const NARROW: &str = "queue: {capacity: 200, workers: 16}\n";
/// Refuses nothing: how far runs fall behind is a figure of its own.
const PATIENT: &str = "queue: {capacity: 10000000, bytes: 64GiB}\n";
const RELAXED: &str = "durability: relaxed\n";

const BARE: Server = bare("bare hyper", "reply");

const fn bare(name: &'static str, mode: &'static str) -> Server {
    Server { name, program: Program::Bare(mode), crowd: 1 }
}

const fn by_hand(name: &'static str, framework: Framework, mode: &'static str) -> Server {
    Server { name, program: Program::ByHand(framework, mode), crowd: 1 }
}

const fn hookflow(name: &'static str, project: Project) -> Server {
    Server { name, program: Program::Hookflow(project), crowd: 1 }
}

const fn one(store: Store, keys: &'static str, steps: &'static str) -> Project {
    Project { store, keys, steps, flows: 1 }
}

/// A server that does the same by hand, and hookflow.
const fn pair(project: Project) -> [Server; 2] {
    [BARE, hookflow("hookflow", project)]
}

pub(super) static SCENES: &[Scene] = &[
    Scene {
        name: "async-complete",
        about: "202 and two steps behind it, with 8 workers: what is run to its end in a second, not only accepted",
        answer: QUEUED,
        load: PLAIN,
        target: Target::None,
        servers: &[
            bare("bare hyper, 202 at once", "accept"),
            hookflow("hookflow, SQLite", one(Store::Sqlite, PATIENT, TWO)),
        ],
    },
    Scene {
        name: "async-durable",
        about: "202 when the event is on disk, and the run behind it, against bare servers: one keeps nothing, \
                one appends to a file, one keeps events and ends in SQLite",
        answer: QUEUED,
        load: PLAIN,
        target: Target::Rate(0.45),
        servers: &[
            bare("bare hyper, 202 at once", "accept"),
            bare("bare hyper, one file", "append"),
            bare("bare hyper, SQLite", "sqlite-accept"),
            hookflow("hookflow, SQLite", one(Store::Sqlite, PATIENT, BUILD)),
        ],
    },
    Scene {
        name: "by-hand-durable",
        about: "202 when the event is on disk, against programs written by hand, which commit each to SQLite and run nothing",
        answer: QUEUED,
        load: PLAIN,
        target: Target::Rate(12.0),
        servers: &[
            by_hand("Express, better-sqlite3", Framework::Express, "durable"),
            by_hand("FastAPI, sqlite3", Framework::FastApi, "durable"),
            hookflow("hookflow, SQLite", one(Store::Sqlite, PATIENT, BUILD)),
        ],
    },
    Scene {
        name: "by-hand-sync",
        about: "an answer from the flow, `durability: relaxed`, against programs written by hand, which keep nothing",
        answer: MAPPED,
        load: PLAIN,
        target: Target::Rate(4.0),
        servers: &[
            by_hand("Express", Framework::Express, "sync"),
            by_hand("FastAPI, 2 workers", Framework::FastApi, "sync"),
            hookflow("hookflow, SQLite, relaxed", one(Store::Sqlite, RELAXED, MAP)),
        ],
    },
    Scene {
        name: "door",
        about: "an answer from the flow, store in memory, against a bare server that does the same by hand",
        answer: MAPPED,
        load: PLAIN,
        target: Target::None,
        servers: &[BARE, hookflow("hookflow, memory", one(Store::Memory, "", MAP))],
    },
    Scene {
        name: "flows",
        about: "the same with 10,000 flows, against hookflow with one",
        answer: MAPPED,
        load: Shape { pace: Pace::Zipf, ..PLAIN },
        target: Target::Rate(0.95),
        servers: &[
            hookflow("hookflow, 1 flow", one(Store::Memory, "", MAP)),
            hookflow("hookflow, 10,000 flows", Project { flows: 10_000, ..one(Store::Memory, "", MAP) }),
        ],
    },
    Scene {
        name: "form",
        about: "as `door`, the order a form of 1 KiB",
        answer: MAPPED,
        load: Shape { payload: Payload::Form, ..PLAIN },
        target: Target::None,
        servers: &pair(one(Store::Memory, "", MAP_FORM)),
    },
    Scene {
        name: "large-16k",
        about: "as `door`, the order 16 KiB",
        answer: MAPPED,
        load: Shape { payload: Payload::Json(16 * KIB), ..PLAIN },
        target: Target::None,
        servers: &pair(one(Store::Memory, "", MAP)),
    },
    Scene {
        name: "large-1m",
        about: "as `door`, the order 1 MiB less a little, which hookflow keeps in a file until it has run",
        answer: MAPPED,
        load: Shape { payload: Payload::Json(1000 * KIB), ..PLAIN },
        target: Target::None,
        servers: &pair(one(Store::Sqlite, "", MAP)),
    },
    Scene {
        name: "noise",
        about: "the bare server against itself: the error of this bench",
        answer: MAPPED,
        load: PLAIN,
        target: Target::None,
        servers: &[BARE, bare("bare hyper again", "reply")],
    },
    Scene {
        name: "overload",
        about: "a flow of 16 workers whose service takes 5 ms: what it still does with twenty times the callers",
        answer: MAPPED,
        load: PLAIN,
        target: Target::Rate(0.95),
        servers: &[
            hookflow("hookflow", one(Store::Sqlite, NARROW, ASK)),
            Server {
                crowd: 20,
                ..hookflow("hookflow, 20 times the callers", one(Store::Sqlite, NARROW, ASK))
            },
        ],
    },
    Scene {
        name: "paced",
        about: "as `sync-durable`, 2,000 requests a second at random moments: how long callers wait",
        answer: MAPPED,
        load: Shape { pace: Pace::Open(2000), ..PLAIN },
        target: Target::Latency { p50: 1000, p99: 5000 },
        servers: &pair(one(Store::Sqlite, "", MAP)),
    },
    Scene {
        name: "steps",
        about: "as `door`, behind 50 pure steps",
        answer: MAPPED,
        load: PLAIN,
        target: Target::None,
        servers: &pair(one(Store::Memory, "", FIFTY)),
    },
    Scene {
        name: "sync-durable",
        about: "as `door`, with the store on disk, and against a bare server that keeps events and ends in SQLite, too",
        answer: MAPPED,
        load: PLAIN,
        target: Target::Rate(0.45),
        servers: &[
            BARE,
            bare("bare hyper, SQLite", "sqlite-reply"),
            hookflow("hookflow, SQLite", one(Store::Sqlite, "", MAP)),
        ],
    },
    Scene {
        name: "sync-relaxed",
        about: "as `sync-durable`, the flow with `durability: relaxed`",
        answer: MAPPED,
        load: PLAIN,
        target: Target::Rate(0.75),
        servers: &[BARE, hookflow("hookflow, SQLite, relaxed", one(Store::Sqlite, RELAXED, MAP))],
    },
    Scene {
        name: "xml",
        about: "as `door`, the order XML of 1 KiB",
        answer: MAPPED,
        load: Shape { payload: Payload::Xml, ..PLAIN },
        target: Target::None,
        servers: &pair(one(Store::Memory, "", MAP_XML)),
    },
];

/// The scene of this name, or those with this word in it: `durable` means two.
pub(super) fn named(name: &str) -> impl Iterator<Item = &'static Scene> {
    SCENES.iter().filter(move |scene| scene.name == name || scene.name.split('-').any(|word| word == name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scenes_stand_in_order_and_each_has_somebody_to_compare_with() {
        assert!(SCENES.is_sorted_by_key(|scene| scene.name));
        assert!(SCENES.iter().all(|scene| scene.servers.len() >= 2));
    }

    #[test]
    fn a_scene_is_named_whole_or_by_a_word() {
        let names = |name| named(name).map(|scene| scene.name).collect::<Vec<_>>();
        assert_eq!(names("durable"), ["async-durable", "by-hand-durable", "sync-durable"]);
        assert_eq!(names("hand"), ["by-hand-durable", "by-hand-sync"]);
        assert_eq!(names("sync-relaxed"), ["sync-relaxed"]);
        assert_eq!(names("door"), ["door"]);
        assert!(names("dur").is_empty());
    }
}
