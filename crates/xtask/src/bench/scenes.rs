//! What stands against what: the table of scenes.

use super::project::{Project, Store};

/// Servers that do the same work, under the same load.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) answer: Answer,
    /// Those to compare with, and last the one to judge.
    pub(super) servers: &'static [Server],
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
}

#[derive(Debug)]
pub(super) enum Program {
    /// `examples/bare.rs` in one of its modes.
    Bare(&'static str),
    Hookflow(Project),
}

/// Only a flow that mapped the body has this in its answer.
const MAPPED: Answer = Answer { status: 200, text: "\"Ada Lovelace\"" };
const QUEUED: Answer = Answer { status: 202, text: "\"queued\"" };

const MAP: &str = "steps:\n\
                   \x20 - respond:\n\
                   \x20     status: 200\n\
                   \x20     json:\n\
                   \x20       id: ${ webhook.body.id }\n\
                   \x20       amount: ${ webhook.body.amount }\n\
                   \x20       customer: ${ webhook.body.customer.name }\n";
const BUILD: &str = "steps:\n\
                     \x20 - set:\n\
                     \x20     id: ${ webhook.body.id }\n\
                     \x20     amount: ${ webhook.body.amount }\n\
                     \x20     customer: ${ webhook.body.customer.name }\n";
const RELAXED: &str = "durability: relaxed\n";
/// Refuses nothing: how far runs fall behind is a figure of its own. As many workers as connections, because a worker
/// waits for the commit of its run's end, so no more runs than workers end with one commit.
const ENDLESS: &str = "queue: {capacity: 10000000, bytes: 64GiB, workers: 64}\n";

const BARE: Server = Server { name: "bare hyper", program: Program::Bare("reply") };

const fn hookflow(name: &'static str, project: Project) -> Server {
    Server { name, program: Program::Hookflow(project) }
}

const fn one(store: Store, keys: &'static str, steps: &'static str) -> Project {
    Project { store, keys, steps, flows: 1 }
}

pub(super) static SCENES: &[Scene] = &[
    Scene {
        name: "async-durable",
        about: "202 when the event is on disk, and the run behind it, against a bare server that keeps nothing, \
                and one that appends to a file",
        answer: QUEUED,
        servers: &[
            Server { name: "bare hyper, 202 at once", program: Program::Bare("accept") },
            Server { name: "bare hyper, one file", program: Program::Bare("append") },
            hookflow("hookflow, SQLite, 64 workers", one(Store::Sqlite, ENDLESS, BUILD)),
        ],
    },
    Scene {
        name: "door",
        about: "an answer from the flow, store in memory, against a bare server that does the same by hand",
        answer: MAPPED,
        servers: &[BARE, hookflow("hookflow, memory", one(Store::Memory, "", MAP))],
    },
    Scene {
        name: "flows",
        about: "the same with 10,000 flows, against hookflow with one",
        answer: MAPPED,
        servers: &[
            hookflow("hookflow, 1 flow", one(Store::Memory, "", MAP)),
            hookflow("hookflow, 10,000 flows", Project { flows: 10_000, ..one(Store::Memory, "", MAP) }),
        ],
    },
    Scene {
        name: "noise",
        about: "the bare server against itself: the error of this bench",
        answer: MAPPED,
        servers: &[BARE, Server { name: "bare hyper again", program: Program::Bare("reply") }],
    },
    Scene {
        name: "sync-durable",
        about: "as `door`, with the store on disk",
        answer: MAPPED,
        servers: &[BARE, hookflow("hookflow, SQLite", one(Store::Sqlite, "", MAP))],
    },
    Scene {
        name: "sync-relaxed",
        about: "as `sync-durable`, the flow with `durability: relaxed`",
        answer: MAPPED,
        servers: &[BARE, hookflow("hookflow, SQLite, relaxed", one(Store::Sqlite, RELAXED, MAP))],
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
        assert_eq!(names("durable"), ["async-durable", "sync-durable"]);
        assert_eq!(names("sync-relaxed"), ["sync-relaxed"]);
        assert_eq!(names("door"), ["door"]);
        assert!(names("dur").is_empty());
    }
}
