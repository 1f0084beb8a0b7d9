//! A storm of reloads under load: whoever may not call is never answered, whoever may is answered by one whole
//! generation, and nobody is left without an answer.
//!
//! `HOOKFLOW_STORM=20000 cargo test -p hookflow --test e2e storm` makes it last.

use super::service::{Folder, Service, beside};
use super::wire::{Request, Wire};
use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many times the files change unless told otherwise.
const SHORT: u64 = 200;
/// The one of even versions and the one of odd ones.
const KEYS: [&str; 2] = ["the-key-of-even-versions", "the-key-of-odd-versions"];
/// How many connections ask at a time.
const CALLERS: u64 = 4;

/// A version of the folder: its key, and a flow that says in three places which version it is. Every third has a mistake.
fn write(folder: &Folder, version: u64) -> bool {
    let key = if version.is_multiple_of(2) { "even" } else { "odd" };
    let is_sound = version % 3 != 2;
    let at = |name: &str| format!("v{version}/{name}");
    folder.put(&at("config/hookflow.yaml"), "log: {level: error}");
    let header = "type: api_key, header: X-Api-Key";
    folder.put(&at("config/credentials.yaml"), format!("key: {{{header}, keys: [{{file: {key}}}]}}"));
    let webhook = format!("auth: key, path: '/{{v{version}}}'");
    let respond = format!(
        "respond: {{headers: {{X-Version: '{version}'}}, text: '{version} ${{ webhook.params.v{version} }}'}}"
    );
    folder.put(&at("flows/answers.yaml"), format!("webhook: {{{webhook}}}\nsteps: [{{{respond}}}]"));
    let queues = format!(
        "webhook: {{{webhook}, ack: {{status: 200, text: '{version}'}}}}\nsteps: [{{set: {{a: 1}}}}]"
    );
    folder.put(&at("flows/queues.yaml"), queues);
    let broken =
        ["webhook: [", "webhook: {auth: nobody}\nsteps: []", "webhook: {auth: key}\nsteps: [{respnd: {}}]"];
    if !is_sound {
        folder.put(&at("flows/broken.yaml"), broken[usize::try_from(version / 3 % 3).unwrap()]);
    }
    is_sound
}

/// Puts a version in place at one blow.
fn switch(folder: &Folder, version: u64) {
    let next = folder.path().join("..next");
    symlink(format!("v{version}"), &next).unwrap();
    fs::rename(next, folder.path().join("..data")).unwrap();
}

#[derive(Default)]
struct Heard {
    ended: AtomicBool,
    /// By the key.
    answered: [AtomicU64; 2],
    queued: AtomicU64,
    refused: AtomicU64,
}

/// Asks until the end, in turn with each key, a wrong one and none.
fn ask(public: SocketAddr, heard: &Heard) {
    let mut wire = Wire::connect(public);
    for number in 0_u64.. {
        if heard.ended.load(Ordering::Relaxed) {
            return;
        }
        let flow = if number.is_multiple_of(3) { "queues" } else { "answers" };
        let bare = Request::json(&format!("/hook/{flow}/p{number}"), "{}");
        let parity = usize::try_from(number % 2).unwrap();
        let (request, may) = match number / 3 % 4 {
            0 | 1 => (bare.header("X-Api-Key", KEYS[parity]), true),
            2 => (bare.header("X-Api-Key", "the-key-of-nobody"), false),
            _ => (bare, false),
        };
        let answer = wire.ask(&request);
        if answer.status == 401 {
            heard.refused.fetch_add(1, Ordering::Relaxed);
            continue;
        }
        assert!(may && answer.status == 200, "{request:?}\n{answer:?}");
        let text = answer.text();
        let mut words = text.split(' ');
        let version: u64 = words.next().unwrap().parse().unwrap();
        assert_eq!(version % 2, number % 2, "the key and the flow are of two generations: {answer:?}");
        assert!(version % 3 != 2, "a version with a mistake answers: {answer:?}");
        if flow == "answers" {
            assert_eq!(answer.header("x-version"), Some(version.to_string().as_str()), "{answer:?}");
            assert_eq!(words.next(), Some(format!("p{number}").as_str()), "{answer:?}");
        } else {
            heard.queued.fetch_add(1, Ordering::Relaxed);
        }
        heard.answered[parity].fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_storm_of_reloads_lets_nobody_in_and_loses_no_answer() {
    let rounds =
        std::env::var_os("HOOKFLOW_STORM").map_or(SHORT, |text| text.to_str().unwrap().parse().unwrap());
    let folder = Folder::new().with("even", KEYS[0]).with("odd", KEYS[1]);
    assert!(write(&folder, 0));
    switch(&folder, 0);
    for name in ["config", "flows"] {
        symlink(format!("..data/{name}"), folder.path().join(name)).unwrap();
    }
    let service = Service::start(&folder);
    let heard = Arc::<Heard>::default();
    let callers: Vec<_> = (0..CALLERS)
        .map(|_| {
            let (public, heard) = (service.public, Arc::clone(&heard));
            beside(move || ask(public, &heard))
        })
        .collect();
    let (mut swapped, mut refused) = (0, 0);
    for version in 1..=rounds {
        let is_sound = write(&folder, version);
        if version.is_multiple_of(4) {
            // It is still being read when the next version comes.
            service.signal("HUP");
        }
        switch(&folder, version);
        let answer = service.reload();
        assert_eq!(answer.status, if is_sound { 200 } else { 422 }, "version {version}: {answer:?}");
        *(if is_sound { &mut swapped } else { &mut refused }) += 1;
        fs::remove_dir_all(folder.path().join(format!("v{}", version - 1))).unwrap();
    }
    heard.ended.store(true, Ordering::Relaxed);
    for caller in callers {
        caller.join().unwrap();
    }
    for answered in &heard.answered {
        assert!(answered.load(Ordering::Relaxed) > 0, "each key was good at some time");
    }
    assert!(heard.refused.load(Ordering::Relaxed) > 0 && swapped > refused && refused > 0);
    let counted = service.metric("hookflow_reloads_total{outcome=\"refused\"}");
    assert!(counted >= Some(refused), "{counted:?} of {refused}");
    let queued = heard.queued.load(Ordering::Relaxed);
    service.until_metric("hookflow_runs_total{flow=\"queues\",outcome=\"succeeded\"}", queued);
    service.stop_sound();
}
