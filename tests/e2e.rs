//! End-to-end tests: each starts the real binary on a folder of its own and speaks to it over sockets.
//!
//! One module is one story. `service` starts and stops the binary, `wire` speaks HTTP/1.1 and can speak it wrongly,
//! `target` is what the flows call. Nothing here reaches beyond loopback.

#[cfg(test)]
mod e2e {
    mod acks;
    mod answers;
    mod attempts;
    mod attempts_at_size;
    mod bad_targets;
    mod bodies;
    mod bulk_replays;
    mod calls;
    mod canaries;
    mod clock_steps;
    mod damaged;
    mod deliveries;
    mod disk;
    mod durable;
    mod egress;
    mod files_back;
    mod files_out;
    mod floods;
    mod flow_tests;
    mod forms;
    mod full_queues;
    mod guards;
    mod history;
    mod hops;
    mod hostile;
    mod integrations;
    mod kept_bodies;
    mod large_answers;
    mod large_bodies;
    mod life;
    mod limits;
    mod lossy_disk;
    mod names;
    mod neighbours;
    mod offline;
    mod operators;
    mod orders;
    mod pausing;
    mod poisoned;
    mod power;
    mod protocols;
    mod recipes;
    mod refused_starts;
    mod relaxed;
    mod reload_storm;
    mod reloads;
    mod resumes;
    mod schemas;
    mod service;
    mod shipped;
    mod signed;
    mod sizes;
    mod subscriptions;
    mod target;
    mod tls_target;
    mod transactions;
    mod trials;
    mod verbs;
    mod wire;
}
