//! An event that takes the process down each time somebody works on it, among many that do not.

use super::service::{Folder, Service};
use super::sizes::{nothing, opened, write};
use super::target::{Play, Target};
use hookflow_flow::End;
use hookflow_store::RunFilter;
use hookflow_store::backends::Access;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// How the runs ended: how many well, and the code of each that did not. `None`: some have not.
#[tokio::main(flavor = "current_thread")]
async fn ends(folder: &Folder) -> Option<(usize, Vec<String>)> {
    let store = opened(folder.path(), Access::Read);
    let unfinished = store.unfinished("local", 0, 1).await.unwrap();
    if !unfinished.is_empty() {
        return None;
    }
    let (mut well, mut codes, mut before) = (0, Vec::new(), None);
    loop {
        let page = store.find(&RunFilter::default(), before, 1_000).await.unwrap();
        for line in page.runs {
            match &*line.ended.unwrap().end {
                End::Succeeded(_) => well += 1,
                End::Failed(fault) => codes.push(fault.code.clone()),
            }
        }
        before = page.next;
        if before.is_none() {
            return Some((well, codes));
        }
    }
}

fn one_among(size: usize) {
    let poison = format!("/{}", size / 2);
    let (victim, kills) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let (target_of, killed) = (Arc::clone(&victim), Arc::clone(&kills));
    // Whoever asks for this one is killed, and hears nothing before.
    let target = Target::start(move |heard| {
        if heard.target != poison {
            return Play::Answer(200, "{}");
        }
        killed.fetch_add(1, Ordering::SeqCst);
        // It may ask before this test has heard that it is there.
        while target_of.load(Ordering::SeqCst) == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
        let id = target_of.swap(0, Ordering::SeqCst).to_string();
        assert!(Command::new("kill").args(["-KILL", &id]).status().unwrap().success());
        Play::Hang
    });
    let flow = format!(
        "webhook: {{auth: none, body: json}}\nqueue: {{workers: 4, capacity: 100000}}\nsteps: [{{http: {{url: '{}'}}}}]",
        target.url("/${ webhook.body.n }")
    );
    let folder = Folder::new().config("outbound: {allow: [127.0.0.0/8]}").flow("tell", &flow);
    write(&folder, ("tell", &flow), size, nothing);
    let mut lives = 0;
    let ends = 'lives: loop {
        lives += 1;
        assert!(lives < 10, "it is not set aside");
        let mut service = Service::start(&folder);
        victim.store(service.id(), Ordering::SeqCst);
        for _ in 0..6_000 {
            if !service.is_running() {
                service.end();
                continue 'lives;
            }
            if let Some(ends) = ends(&folder) {
                service.stop_sound();
                break 'lives ends;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("some never end");
    };
    assert_eq!(ends, (size - 1, vec!["run.poison".to_owned()]));
    assert_eq!((kills.load(Ordering::SeqCst), lives), (3, 4), "three deaths are the proof");
    println!("one of {size}: {lives} lives, {} calls", target.count());
}

#[test]
fn one_of_some_hundred_is_set_aside_and_the_others_end() {
    one_among(300);
}

#[test]
#[ignore = "minutes"]
fn one_of_ten_thousand_is_set_aside_and_the_others_end() {
    one_among(10_000);
}
