//! A server under measurement: started on a free port of the loopback address, stopped when dropped.

use super::request::{self, SECRET};
use anyhow::{Context as _, Result, bail};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_DEADLINE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(2);

/// Becomes the server, and ends it when the pipe from this program ends: so it does not outlive us, however
/// we go.
pub(crate) const LIFELINE: &str =
    r#"exec 3<&0; (cat <&3 >/dev/null; kill $$ 2>/dev/null) & exec "$@" </dev/null 3<&-"#;

/// A running server.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) name: String,
    pub(super) url: String,
    /// From the start of the process to its first right answer.
    pub(super) start: Duration,
    /// What it held in memory before the load, in KiB.
    pub(super) idle_kib: u64,
    child: Child,
    folder: TempDir,
}

impl Contender {
    /// The bare server.
    pub(super) fn bare(name: &str, program: &Path) -> Result<Self> {
        Self::start(name, &[program.as_os_str(), SECRET.as_ref()], tempfile::tempdir()?)
    }

    /// The product, with one measured flow among `flows`.
    pub(super) fn hookflow(name: &str, program: &Path, flows: usize) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        write_project(folder.path(), flows)?;
        Self::start(name, &[program.as_os_str(), "serve".as_ref()], folder)
    }

    fn start(name: &str, command: &[&OsStr], folder: TempDir) -> Result<Self> {
        let began = now();
        // Files, not pipes: a pipe that nobody reads stops its writer.
        let child = Command::new("sh")
            .args(["-c", LIFELINE, "sh"])
            .args(command)
            .current_dir(folder.path())
            .stdin(Stdio::piped())
            .stdout(File::create(folder.path().join("stdout"))?)
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let url = String::new();
        let mut contender =
            Self { name: name.to_owned(), url, start: Duration::ZERO, idle_kib: 0, child, folder };
        contender.await_first_answer(began)?;
        std::thread::sleep(Duration::from_secs(1));
        contender.idle_kib = contender.resident_kib()?;
        Ok(contender)
    }

    fn await_first_answer(&mut self, began: Instant) -> Result<()> {
        loop {
            let printed = fs::read_to_string(self.folder.path().join("stdout"))?;
            if let Some(url) = door_url(&printed) {
                let (address, path) =
                    parts(url).with_context(|| format!("{}: strange URL {url}", self.name))?;
                match request::probe(address, path) {
                    Ok(true) => {
                        self.start = began.elapsed();
                        url.clone_into(&mut self.url);
                        return Ok(());
                    }
                    Ok(false) => bail!("{} does not answer 200 with the mapped fields", self.name),
                    Err(_) => {}
                }
            }
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended ({status}):\n{}", self.name, self.complaint());
            }
            if began.elapsed() > START_DEADLINE {
                bail!("{} did not start in {START_DEADLINE:?}:\n{}", self.name, self.complaint());
            }
            std::thread::sleep(POLL);
        }
    }

    fn complaint(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    fn resident_kib(&self) -> Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        resident(&status).context("no VmRSS in /proc")
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // Both fail only when it has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the time of the machine")]
fn now() -> Instant {
    Instant::now()
}

fn write_project(folder: &Path, flows: usize) -> Result<()> {
    for name in ["config", "flows", "secrets"] {
        fs::create_dir(folder.join(name))?;
    }
    // The disk's speed is not the door's.
    let config = "public: {listen: 127.0.0.1:0}\nops: {listen: 127.0.0.1:0}\nstore: {memory: {}}\n";
    fs::write(folder.join("config/hookflow.yaml"), config)?;
    let credential = "bench: {type: hmac, header: X-Signature, algorithm: sha256, encoding: hex, secret: {file: secrets/bench}}\n";
    fs::write(folder.join("config/credentials.yaml"), credential)?;
    fs::write(folder.join("secrets/bench"), SECRET)?;
    let name = |n: usize| if n == 0 { "door".to_owned() } else { format!("other-{n}") };
    for name in (0..flows).map(name) {
        fs::write(folder.join(format!("flows/{name}.yaml")), flow(&name))?;
    }
    Ok(())
}

fn flow(name: &str) -> String {
    format!(
        "flow: {name}\n\
         webhook: {{methods: [POST], auth: bench}}\n\
         steps:\n\
         \x20 - respond:\n\
         \x20     status: 200\n\
         \x20     json:\n\
         \x20       id: ${{ webhook.body.id }}\n\
         \x20       amount: ${{ webhook.body.amount }}\n\
         \x20       customer: ${{ webhook.body.customer.name }}\n"
    )
}

/// The URL of the flow `door` in what a server printed, up to the flow's name. A line that is still being
/// written does not count.
fn door_url(printed: &str) -> Option<&str> {
    const FLOW: &str = "/hook/door";
    printed.split_inclusive('\n').filter(|line| line.ends_with('\n')).find_map(|line| {
        let from = line.find("http://127.0.0.1:")?;
        let end = line.find(FLOW)? + FLOW.len();
        let goes_on = line.get(end..)?.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '-');
        if goes_on { None } else { line.get(from..end) }
    })
}

fn parts(url: &str) -> Option<(SocketAddr, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (address, path) = rest.split_at_checked(rest.find('/')?)?;
    Some((address.parse().ok()?, path))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_doors_url_is_found_among_others() {
        let printed =
            "listening\n  door-2  http://127.0.0.1:1/hook/door-2\n  door  http://127.0.0.1:4711/hook/door \n";
        let url = door_url(printed).unwrap();
        assert_eq!(url, "http://127.0.0.1:4711/hook/door");
        assert_eq!(parts(url), Some((([127, 0, 0, 1], 4711).into(), "/hook/door")));
        assert_eq!(door_url("http://127.0.0.1:4711/hook/door"), None);
        assert_eq!(resident("Name:\tx\nVmRSS:\t    5120 kB\n"), Some(5120));
    }

    #[test]
    fn a_project_has_the_door_and_the_others() {
        let folder = tempfile::tempdir().unwrap();
        write_project(folder.path(), 3).unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path().join("flows"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["door.yaml", "other-1.yaml", "other-2.yaml"]);
        let flow = fs::read_to_string(folder.path().join("flows/door.yaml")).unwrap();
        assert!(
            flow.starts_with("flow: door\nwebhook: {methods: [POST], auth: bench}\nsteps:\n  - respond:\n")
        );
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_words() {
        let command = ["sh", "-c", "echo no such flow >&2; exit 3"].map(OsStr::new);
        let error = Contender::start("it", &command, tempfile::tempdir().unwrap()).unwrap_err().to_string();
        assert!(error.contains("it ended") && error.contains("no such flow"), "{error}");
    }
}
