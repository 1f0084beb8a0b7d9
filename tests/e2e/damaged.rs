//! A file that cannot be served from is named with what to do, and is never mended or moved by itself.

use super::answers::{call, folder};
use super::service::{Ended, Folder, Service, hookflow, serve_refused};
use serde_json::Value;
use std::fs;
use std::os::unix::fs::FileExt as _;

const FILE: &str = "data/hookflow.db";

/// A folder whose service has kept an event, and ended.
fn served() -> Folder {
    let folder = folder();
    let service = Service::start(&folder);
    for n in 0..50 {
        let body = format!("{{\"n\": {n}, \"text\": \"{}\"}}", "x".repeat(2_000));
        assert_eq!(service.send(&call("created", &body)).status, 201);
    }
    service.stop_sound();
    folder
}

fn overwrite(folder: &Folder, from: u64, bytes: usize) {
    let file = fs::OpenOptions::new().write(true).open(folder.path().join(FILE)).unwrap();
    assert!(file.metadata().unwrap().len() > from);
    file.write_all_at(&vec![0xa5; bytes], from).unwrap();
}

fn store(folder: &Folder, word: &str) -> Ended {
    hookflow(folder.path(), &["store", word])
}

#[test]
fn a_damaged_file_stops_the_start_until_it_is_set_aside() {
    let folder = served();
    assert_eq!(store(&folder, "check").out, "./data/hookflow.db is whole.\n");
    let whole = fs::read(folder.path().join(FILE)).unwrap();
    overwrite(&folder, 0, 100);
    let damaged = fs::read(folder.path().join(FILE)).unwrap();
    let refused = serve_refused(folder.path(), &[]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(2), ""), "{refused:?}");
    for part in [FILE, "it is damaged", "`hookflow store check`", "`hookflow store set-aside`"] {
        assert!(refused.err.contains(part), "{part} in {}", refused.err);
    }
    let check = store(&folder, "check");
    assert!(check.code == Some(1) && check.out.contains("not a database"), "{check:?}");
    assert_eq!(fs::read(folder.path().join(FILE)).unwrap(), damaged, "nobody has mended it");

    folder.put("data/hookflow.db-wal", "the log");
    folder.put("data/hookflow.db.blobs/ab/abc", "a body");
    let aside = hookflow(folder.path(), &["store", "set-aside", "--format", "json"]);
    assert_eq!(aside.code, Some(0), "{aside:?}");
    let aside: Value = serde_json::from_str(&aside.out).unwrap();
    let aside = folder.path().join(aside["aside"].as_str().unwrap());
    assert!(aside.to_str().unwrap().contains("hookflow.db.aside-20"), "{aside:?}");
    assert_eq!(fs::read(aside.join("hookflow.db")).unwrap(), damaged);
    assert_eq!(fs::read(aside.join("hookflow.db-wal")).unwrap(), b"the log");
    assert_eq!(fs::read(aside.join("hookflow.db.blobs/ab/abc")).unwrap(), b"a body");
    let nothing = store(&folder, "set-aside");
    assert!(nothing.code == Some(2) && nothing.err.contains("there is no such file"), "{nothing:?}");

    // It begins with an empty one, or with a backup.
    let service = Service::start(&folder);
    assert_eq!(service.ops("/api/runs").value()["items"].as_array().unwrap().len(), 0);
    let held = store(&folder, "set-aside");
    assert!(held.code == Some(2) && held.err.contains("another service is running on it"), "{held:?}");
    assert_eq!(store(&folder, "check").code, Some(0), "beside a service");
    assert_eq!(service.send(&call("created", "{}")).status, 201, "which goes on");
    service.stop_sound();
    assert_eq!(store(&folder, "set-aside").code, Some(0));
    folder.put(FILE, whole);
    let service = Service::start(&folder);
    assert_eq!(service.ops("/api/runs?limit=100").value()["items"].as_array().unwrap().len(), 50);
    service.stop_sound();
}

#[test]
fn damage_within_is_found_by_a_check() {
    let folder = served();
    let length = fs::metadata(folder.path().join(FILE)).unwrap().len();
    overwrite(&folder, length / 2, 16_384);
    let check = store(&folder, "check");
    assert!(check.code == Some(1) && !check.out.is_empty(), "{check:?}");
    let check = hookflow(folder.path(), &["store", "check", "--format", "json"]);
    let check: Value = serde_json::from_str(&check.out).unwrap();
    assert!(!check["problems"].as_array().unwrap().is_empty(), "{check}");
}

#[test]
fn a_second_service_and_a_newer_file_are_refused() {
    let folder = served();
    let service = Service::start(&folder);
    let second = serve_refused(folder.path(), &[]);
    assert!(second.code == Some(2) && second.err.contains("another service is running on it"), "{second:?}");
    service.stop_sound();
    // The version stands at byte 60 of the header.
    let file = fs::OpenOptions::new().write(true).open(folder.path().join(FILE)).unwrap();
    file.write_all_at(&[0, 0, 3, 231], 60).unwrap();
    for ended in
        [serve_refused(folder.path(), &[]), hookflow(folder.path(), &["runs"]), store(&folder, "check")]
    {
        assert!(
            ended.code == Some(2) && ended.err.contains("a newer version of hookflow wrote it"),
            "{ended:?}"
        );
        assert!(ended.err.contains("version 999"), "{ended:?}");
    }
    let memory = folder.config("store: {memory: {}}");
    let none = store(&memory, "check");
    assert!(none.code == Some(2) && none.err.contains("has no file"), "{none:?}");
}
