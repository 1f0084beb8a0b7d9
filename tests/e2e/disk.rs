//! A disk that is full or broken, under the real binary: callers hear 503 and when to come again, nothing that was
//! taken is lost or done twice, and when the disk is mended nobody has to restart anything.

use super::lossy_disk::LossyDisk;
use super::service::{Folder, Service, until};
use super::target::{Play, Target};
use super::wire::{Answer, Request};
use serde_json::Value;
use std::fs;

const CONFIG: &str = "outbound: {allow: [127.0.0.0/8]}\nlog: {level: error}\n";
const ASYNC: &str = "
webhook: {auth: none, dedupe: {key: '${ webhook.body.n }', window: 1h}}
steps: [{log: 'n ${ webhook.body.n }'}]
";
const SYNC: &str = "
webhook: {auth: none}
steps: [{respond: {status: 201, json: {n: '${ webhook.body.n }'}}}]
";
const LATER: &str = "
webhook: {auth: none}
steps: [{sleep: 300ms}, {set: {n: '${ webhook.body.n }'}}]
";
/// More than any test sends before its disk is full.
const MANY: usize = 2_000;

struct Bench {
    disk: LossyDisk,
    service: Service,
    /// What was taken.
    runs: Vec<String>,
    next: usize,
}

impl Bench {
    fn start() -> Self {
        Self::on(Folder::new())
    }

    fn on(folder: Folder) -> Self {
        let flows = [("async", ASYNC), ("sync", SYNC), ("later", LATER)];
        let disk = LossyDisk::under(
            flows.into_iter().fold(folder.config(CONFIG), |it, (id, yaml)| it.flow(id, yaml)),
        );
        let service = disk.serve();
        Self { disk, service, runs: Vec::new(), next: 0 }
    }

    fn send_number(&self, flow: &str, n: usize, title: &str) -> Answer {
        self.service
            .send(&Request::json(&format!("/hook/{flow}"), format!("{{\"n\": {n}, \"title\": \"{title}\"}}")))
    }

    /// Sends the next event; a run, or `None` when the store could not keep it.
    fn send(&mut self, flow: &str) -> Option<String> {
        self.next += 1;
        let answer = self.send_number(flow, self.next, "");
        match answer.status {
            201 | 202 => {
                let run = answer.header("x-run-id").unwrap().to_owned();
                self.runs.push(run.clone());
                Some(run)
            }
            _ => {
                assert_unavailable(&answer, "store.unavailable");
                None
            }
        }
    }

    fn accepted(&mut self, flow: &str) -> String {
        self.send(flow).unwrap_or_else(|| panic!("{flow}: not kept"))
    }

    /// Sends until the disk takes no more.
    fn until_refused(&mut self, flow: &str) {
        assert!((0..MANY).any(|_| self.send(flow).is_none()), "{flow}: the disk takes everything");
    }

    fn until_ready(&self) {
        until("a readiness that is green", || (self.service.ops("/readyz").status == 200).then_some(()));
    }

    fn run(&self, run: &str) -> Answer {
        self.service.ops(&format!("/api/runs/{run}"))
    }

    fn until_ended(&self, run: &str) -> Value {
        until("the end of a run", || {
            let answer = self.run(run);
            assert!(matches!(answer.status, 200 | 503), "{answer:?}");
            let value = answer.value();
            value["ended_at"].is_string().then_some(value)
        })
    }

    fn all_succeed(&self) {
        for run in &self.runs {
            let shown = self.until_ended(run);
            assert_eq!(shown["status"], "succeeded", "{shown}");
        }
    }

    /// On the same folder, after a kill.
    fn again(self) -> Self {
        self.service.signal("KILL");
        self.service.end();
        let folder = self.disk.folder;
        let service = Service::start(&folder);
        Self { disk: LossyDisk::under(folder), service, ..self }
    }
}

fn assert_unavailable(answer: &Answer, code: &str) {
    assert_eq!((answer.status, answer.code().as_str()), (503, code), "{answer:?}");
    assert!(answer.retry_after().is_some(), "{answer:?}");
}

fn blobs(folder: &Folder) -> usize {
    let shards = fs::read_dir(folder.path().join("data/hookflow.db.blobs")).unwrap();
    shards.map(|shard| fs::read_dir(shard.unwrap().path()).unwrap().count()).sum()
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn a_disk_that_is_full_or_broken_refuses_and_then_takes_again() {
    let mut bench = Bench::start();
    for orders in [
        "write * ENOSPC",
        "write * room:300000",
        "write -wal EIO",
        "sync -wal EIO",
        "sync -wal ENOSPC",
        "sync * EIO\nsyncdir * EIO\nwrite * EIO\nopen * EIO\n",
    ] {
        bench.accepted("async");
        bench.disk.order(orders);
        bench.until_refused("async");
        let refused = bench.next;
        assert_eq!(bench.send("sync"), None, "{orders}");
        let ready = bench.service.ops("/readyz?verbose");
        assert!(ready.status == 503 && ready.text().contains("- store"), "{orders}: {ready:?}");
        assert_eq!(bench.service.ops("/healthz").status, 200, "{orders}: nobody is to restart it for that");
        bench.disk.order("");
        bench.until_ready();
        bench.accepted("sync");
        // Who was refused comes again, and is nobody's duplicate.
        let answer = bench.send_number("async", refused, "");
        assert_eq!(answer.status, 202, "{orders}: {answer:?}");
        bench.runs.push(answer.header("x-run-id").unwrap().to_owned());
        bench.all_succeed();
    }
    let bench = bench.again();
    bench.all_succeed();
    bench.service.stop_sound();
}

/// A commit whose sync fails was not done, also when its bytes lie in the log and nobody has the log open any more.
#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn what_was_written_and_not_synced_is_not_found_again() {
    let mut bench = Bench::start();
    bench.accepted("async");
    bench.disk.order("read hookflow.db EIO");
    // Each reader lets go of its connection.
    for _ in 0..50 {
        bench.run("none");
    }
    bench.disk.order("sync -wal EIO");
    assert_eq!(bench.send("async"), None);
    let refused = bench.next;
    assert_eq!(bench.send("async"), None);
    bench.disk.order("");
    bench.until_ready();
    let answer = bench.send_number("async", refused, "");
    assert_eq!(answer.status, 202, "{answer:?}");
    bench.runs.push(answer.header("x-run-id").unwrap().to_owned());
    bench.all_succeed();
    bench.service.stop_sound();
}

/// A flow that tells the target, which does not answer before it is released.
fn telling(target: &Target) -> Folder {
    let url = target.url("/tell");
    Folder::new()
        .flow("tell", &format!("webhook: {{auth: none}}\nsteps: [{{http: {{url: '{url}', method: POST}}}}]"))
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn a_run_under_way_waits_for_room_and_is_done_once() {
    for orders in ["write * ENOSPC", "sync -wal EIO"] {
        let target = Target::hanging();
        let mut bench = Bench::on(telling(&target));
        let run = bench.accepted("tell");
        target.heard(1);
        bench.disk.order(orders);
        target.release();
        // What came of the call cannot be written.
        bench.service.until_draining();
        let shown = bench.run(&run).value();
        assert_eq!(shown["status"], "running", "{shown}");
        bench.disk.order("");
        bench.all_succeed();
        bench.until_ready();
        bench.service.stop_sound();
        assert_eq!(target.count(), 1, "{orders}");
    }
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn a_run_that_waits_for_room_and_is_killed_is_not_done_again() {
    let target = Target::hanging();
    let mut bench = Bench::on(telling(&target));
    let run = bench.accepted("tell");
    target.heard(1);
    bench.disk.order("write * ENOSPC");
    target.release();
    bench.service.until_draining();
    let bench = bench.again();
    let shown = bench.until_ended(&run);
    assert_eq!(
        (&shown["status"], &shown["error"]["kind"]),
        (&"failed".into(), &"interrupted".into()),
        "{shown}"
    );
    bench.service.stop_sound();
    assert_eq!(target.count(), 1);
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn what_cannot_be_read_now_is_read_later() {
    let mut bench = Bench::start();
    let run = bench.accepted("later");
    bench.disk.order("read hookflow.db EIO");
    until("a read that fails", || {
        let answer = bench.run(&run);
        assert_ne!(answer.status, 404, "{answer:?}");
        (answer.status == 503).then_some(())
    });
    // Its moment comes meanwhile.
    std::thread::sleep(std::time::Duration::from_millis(500));
    bench.disk.order("");
    bench.all_succeed();
    bench.accepted("async");
    bench.all_succeed();
    bench.service.stop_sound();
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn a_folder_of_blobs_that_takes_nothing_stops_large_bodies_alone() {
    let mut bench = Bench::start();
    let large = "x".repeat(300_000);
    let mut kept = 0;
    for orders in [
        "write .blobs ENOSPC",
        "write .blobs room:100000",
        "open .blobs EACCES",
        "sync .blobs EIO",
        "syncdir .blobs EIO",
    ] {
        bench.disk.order(orders);
        bench.next += 1;
        let answer = bench.send_number("async", bench.next, &large);
        assert_unavailable(&answer, "store.blobs");
        bench.accepted("async");
        assert_eq!(bench.service.ops("/readyz").status, 200, "{orders}: small bodies need no file");
        bench.disk.order("");
        bench.next += 1;
        let answer = bench.send_number("async", bench.next, &large);
        assert_eq!(answer.status, 202, "{orders}: {answer:?}");
        bench.runs.push(answer.header("x-run-id").unwrap().to_owned());
        kept += 1;
        until("no file of what was refused", || (blobs(&bench.disk.folder) == kept).then_some(()));
    }
    bench.all_succeed();
    let bench = bench.again();
    assert_eq!(blobs(&bench.disk.folder), kept);
    bench.all_succeed();
    bench.service.stop_sound();
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn a_disk_that_reads_and_writes_less_than_asked_is_asked_again() {
    let target = Target::start(|_| Play::Answer(200, "{}"));
    let mut bench = Bench::on(telling(&target));
    bench.disk.order("write * short\nread * short\n");
    for flow in ["async", "sync", "later", "tell"].repeat(5) {
        bench.accepted(flow);
    }
    let answer = bench.send_number("async", 0, &"x".repeat(300_000));
    bench.runs.push(answer.header("x-run-id").unwrap().to_owned());
    bench.all_succeed();
    let bench = bench.again();
    bench.all_succeed();
    bench.service.stop_sound();
    assert_eq!(target.count(), 5);
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn a_start_without_room_says_so_and_leaves_nothing_behind() {
    for orders in ["write * ENOSPC", "open * ENOSPC", "sync * EIO", "write -wal EIO", "write -shm ENOSPC"] {
        let folder = Folder::new().config(CONFIG).flow("async", ASYNC);
        let disk = LossyDisk::under(folder);
        disk.order(orders);
        let why = disk.try_serve().map(|_| ()).unwrap_err();
        assert!(why.contains("code: Some(2)") && why.contains("hookflow.db"), "{orders}: {why}");
        // What is there by now does not stand in the way.
        Service::start(&disk.folder).stop_sound();
    }
}

#[test]
#[cfg_attr(
    not(all(target_os = "linux", target_env = "gnu")),
    ignore = "the disk that fails needs glibc on Linux"
)]
fn only_the_first_start_waits_for_the_names_of_folders_above_its_own() {
    let folder = Folder::new().config(CONFIG).flow("async", ASYNC);
    let above = format!("syncdir {}$ EIO", folder.path().display());
    let disk = LossyDisk::under(folder);
    disk.order(&above);
    let why = disk.try_serve().map(|_| ()).unwrap_err();
    assert!(why.contains("its folder cannot be made"), "{why}");
    Service::start(&disk.folder).stop_sound();
    let disk = LossyDisk::under(disk.folder);
    disk.order(&above);
    disk.serve().stop_sound();
}
