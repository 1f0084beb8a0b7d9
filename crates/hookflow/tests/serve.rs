//! The service, as it is started and stopped: what it prints, the README's call, and its end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};

/// A running service, killed when dropped.
struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
    printed: String,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself, which is well too.
        if self.child.kill().is_ok() {
            self.child.wait().unwrap();
        }
    }
}

impl Running {
    fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    fn start_with(folder: &Path, arguments: &[String]) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hookflow"))
            .args(arguments)
            .env_clear()
            .env("HOOKFLOW_PUBLIC__LISTEN", "127.0.0.1:0")
            .env("HOOKFLOW_OPS__LISTEN", "127.0.0.1:0")
            .env("HOOKFLOW_LOG__LEVEL", "error")
            .current_dir(folder)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut out = BufReader::new(child.stdout.take().unwrap());
        let mut printed = String::new();
        // The last line that is printed.
        while !printed.contains("Events are kept in") {
            assert!(out.read_line(&mut printed).unwrap() > 0, "it ended after: {printed}");
        }
        Self { child, out, printed }
    }

    /// The address behind the first `http://` in a line that holds `word`.
    fn address(&self, word: &str) -> String {
        let line = self.printed.lines().find(|line| line.contains(word)).unwrap();
        let rest = line.split("http://").nth(1).unwrap();
        rest.split(['/', ' ']).next().unwrap().to_owned()
    }

    fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let mut rest = String::new();
        self.out.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "", "everything is printed at the start");
        self.child.wait().unwrap().code()
    }
}

/// Sends one request and returns the status and the body.
fn send(address: &str, method: &str, path: &str, headers: &[String], body: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    let headers: String = headers.iter().flat_map(|header| [header, "\r\n"]).collect();
    let length = body.len();
    write!(
        stream,
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// A copy of what a fresh clone serves.
fn clone() -> tempfile::TempDir {
    let (from, to) = (root(), tempfile::tempdir().unwrap());
    for folder in ["config", "flows"] {
        copy(&from.join(folder), &to.path().join(folder));
    }
    to
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The first block of this kind in a text that begins so.
fn block<'t>(text: &'t str, kind: &str, begins: &str) -> &'t str {
    let open = format!("```{kind}\n");
    let mut blocks = text.split(&open).skip(1).map(|rest| rest.split("\n```").next().unwrap());
    blocks.find(|block| block.starts_with(begins)).unwrap()
}

/// The words of a shell command: quotes, line ends behind a backslash, and `$(cat FILE)`.
fn words(command: &str, folder: &Path) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for c in command.replace("\\\n", " ").chars() {
        match (c, quote) {
            ('\'' | '"', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            (' ', None) => words.push(String::new()),
            (c, _) => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    for word in &mut words {
        if let Some((before, rest)) = word.clone().split_once("$(cat ") {
            let (file, after) = rest.split_once(')').unwrap();
            let content = fs::read_to_string(folder.join(file)).unwrap();
            *word = format!("{before}{}{after}", content.trim_end());
        }
    }
    words
}

/// What a `curl` command on a page sends.
struct Curl {
    path: String,
    headers: Vec<String>,
    body: String,
}

impl Curl {
    fn read(words: &[String]) -> Self {
        let mut words = words.iter().skip(1);
        let path = words.next().unwrap().strip_prefix("http://127.0.0.1:8080").unwrap().to_owned();
        let (mut headers, mut body) = (Vec::new(), String::new());
        while let (Some(option), Some(value)) = (words.next(), words.next()) {
            if option == "-H" {
                headers.push(value.clone());
            } else {
                assert_eq!(option, "-d");
                body.clone_from(value);
            }
        }
        Self { path, headers, body }
    }

    fn send(&self, address: &str) -> (u16, String) {
        send(address, "POST", &self.path, &self.headers, &self.body)
    }
}

/// Every block of a page: its kind and what stands in it.
fn blocks(page: &str) -> Vec<(&str, &str)> {
    let inside = page.split("```").skip(1).step_by(2);
    inside.map(|block| block.split_once('\n').unwrap()).collect()
}

/// Whether a text is what a page shows, where `…` stands for anything.
fn is_as_shown(shown: &str, text: &str) -> bool {
    let mut parts = shown.trim_end().split('…');
    let Some(mut rest) = text.trim_end().strip_prefix(parts.next().unwrap()) else { return false };
    let mut ends = true;
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else { return false };
        rest = after;
        ends = part.is_empty();
    }
    rest.is_empty() || ends && shown.contains('…')
}

/// Each command of the page is run in turn, and what it prints or is answered is what the page shows next.
#[test]
fn the_first_ten_minutes_go_as_the_page_says() {
    let (folder, page) = (tempfile::tempdir().unwrap(), root().join("docs/getting-started.md"));
    let page = fs::read_to_string(page).unwrap();
    let (mut running, mut printed, mut compared): (Option<Running>, _, _) = (None, String::new(), 0);
    for (kind, text) in blocks(&page) {
        match (kind, text.split(' ').next().unwrap()) {
            // It has built the binary under test.
            ("sh", "cargo") => {}
            ("sh", "curl") => {
                let curl = Curl::read(&words(text, folder.path()));
                let address = running.as_ref().unwrap().address("hello");
                printed = curl.send(&address).1;
                // A flow that is new is in force a moment later.
                for _ in 0..400 {
                    if !printed.contains("route.unknown") {
                        break;
                    }
                    std::thread::sleep(std::time::Duration::from_millis(50));
                    printed = curl.send(&address).1;
                }
            }
            ("sh", "hookflow") => {
                let words = &words(text.trim_end(), folder.path())[1..];
                if words[0] == "serve" {
                    let started = Running::start_with(folder.path(), words);
                    printed = started.printed.replace(&started.address("hello"), "127.0.0.1:8080");
                    printed = printed.replace(&started.address("ops:"), "127.0.0.1:8081");
                    running = Some(started);
                } else {
                    let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
                    let output = command.env_clear().current_dir(folder.path()).args(words).output().unwrap();
                    assert!(output.status.success(), "{text}: {output:?}");
                    printed = String::from_utf8(output.stdout).unwrap();
                }
            }
            ("text" | "json", _) => {
                compared += 1;
                assert!(is_as_shown(text, &printed), "the page shows:\n{text}\nand it is:\n{printed}");
            }
            ("yaml", _) => {
                let flow = text.lines().next().unwrap().strip_prefix("flow: ").unwrap();
                fs::write(folder.path().join(format!("hello/flows/{flow}.yaml")), text).unwrap();
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(compared, 10);
    assert_eq!(running.unwrap().stop(), Some(0));
}

#[test]
fn what_a_page_shows_is_told_from_other_text() {
    for (shown, text, same) in [
        ("a\n", "a\n", true),
        ("a", "ab", false),
        ("…b", "ab", true),
        ("a…", "ab", true),
        ("a…c", "abc", true),
        ("a…c", "abcd", false),
        ("a…c", "ab", false),
    ] {
        assert_eq!(is_as_shown(shown, text), same, "{shown} {text}");
    }
}

#[test]
fn a_fresh_clone_serves_and_answers_as_the_readme_says() {
    let folder = clone();
    let running = Running::start(folder.path());
    let printed = &running.printed;
    for part in
        ["orders", "POST", "auth: shop", "made a random secret: ./secrets/shop", "ops: http://127.0.0.1:"]
    {
        assert!(printed.contains(part), "{part} in {printed}");
    }
    assert!(!printed.contains("OPEN TO ANYONE"), "{printed}");

    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let curl = Curl::read(&words(block(&readme, "sh", "curl"), folder.path()));
    let address = running.address("orders");
    let (status, body) = curl.send(&address);
    assert_eq!((status, body.as_str()), (201, block(&readme, "json", "{")));

    let typed = ["Content-Type: application/json".to_owned()];
    assert_eq!(send(&address, "POST", &curl.path, &typed, "{}").0, 401);
    assert_eq!(send(&address, "POST", &curl.path, &curl.headers, "{}").0, 422);
    assert_eq!(send(&address, "POST", "/hook/nobody", &[], "").0, 404);

    let ops = running.address("ops:");
    assert_eq!(send(&ops, "GET", "/healthz", &[], "").0, 200);
    assert_eq!(send(&ops, "GET", "/readyz", &[], "").0, 200);
    assert!(send(&ops, "GET", "/metrics", &[], "").1.contains("hookflow_events_accepted"));
    assert_eq!(running.stop(), Some(0));
}

#[test]
fn secrets_are_made_once() {
    let folder = clone();
    assert!(Running::start(folder.path()).printed.contains("made a random secret"));
    let secret = fs::read(folder.path().join("secrets/shop")).unwrap();
    assert!(!Running::start(folder.path()).printed.contains("made a random secret"));
    assert_eq!(fs::read(folder.path().join("secrets/shop")).unwrap(), secret);
}

#[test]
fn open_flows_stand_out_and_many_are_cut() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("flows")).unwrap();
    for number in 0..60 {
        let flow = "webhook: {auth: none}\nsteps:\n  - respond: {}\n";
        fs::write(folder.path().join(format!("flows/f{number:02}.yaml")), flow).unwrap();
    }
    let running = Running::start(folder.path());
    let printed = &running.printed;
    assert!(printed.contains("!! OPEN TO ANYONE (auth: none): f00, f01"), "{printed}");
    assert!(printed.contains("f04") && printed.contains("… and 55 more"), "{printed}");
    assert_eq!(send(&running.address("f00 "), "POST", "/hook/f59", &[], "").0, 200);
}

#[test]
fn what_cannot_start_says_why() {
    let folder = tempfile::tempdir().unwrap();
    let start = |variables: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
        command.env_clear().envs(variables.iter().copied()).current_dir(folder.path());
        let output = command.output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let listens = [("HOOKFLOW_PUBLIC__LISTEN", address.as_str()), ("HOOKFLOW_OPS__LISTEN", "127.0.0.1:0")];
    let (code, why) = start(&listens);
    assert_eq!(code, Some(2), "{why}");
    assert!(why.contains("is in use"), "{why}");
    let (code, why) = start(&[("HOOKFLOW_OPS__LISTEN", "0.0.0.0:0")]);
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("needs a token"), "{why}");
    let (code, why) = start(&[("HOOKFLOW_PUBLIC__LISTN", "x")]);
    assert_eq!(code, Some(1), "{why}");
    assert!(why.contains("did you mean `listen`?"), "{why}");
}

#[test]
fn the_server_tells_what_it_refused() {
    let folder = clone();
    let running = Running::start(folder.path());
    let (public, ops) = (running.address("/hook/"), running.address("ops: "));
    let rejected = |args: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_hookflow"))
            .env_clear()
            .env("HOOKFLOW_OPS__LISTEN", &ops)
            .args([&["rejected", "--dir"], [folder.path().to_str().unwrap()].as_slice(), args].concat())
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(rejected(&[]).starts_with("Nothing that was refused"));
    assert_eq!(send(&public, "POST", "/hook/orders?key=hidden", &[], "{}").0, 401);
    assert_eq!(send(&public, "POST", "/hook/nowhere", &[], "{}").0, 404);
    let text = loop {
        // They are written together, now and then.
        let text = rejected(&[]);
        if text.lines().count() > 2 {
            break text;
        }
    };
    assert!(text.contains("404  route.unknown  POST /hook/nowhere  from 127.0.0.1"), "{text}");
    let list: serde_json::Value =
        serde_json::from_str(&rejected(&["--flow", "orders", "--format", "json"])).unwrap();
    assert_eq!(list["items"].as_array().unwrap().len(), 1);
    assert_eq!(list["items"][0]["code"], "auth.unauthorized");
    assert!(!list.to_string().contains("hidden"), "{list}");
    assert_eq!(running.stop(), Some(0));
}
