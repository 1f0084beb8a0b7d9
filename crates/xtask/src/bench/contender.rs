//! A server under measurement: started on a free port of the loopback address, stopped when dropped.

use super::metrics::Counts;
use super::project::{Project, SERVICE};
use super::request::{self, SECRET};
use super::scenes::{self, Program, Scene, Server};
use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_DEADLINE: Duration = Duration::from_mins(2);
const POLL: Duration = Duration::from_millis(2);
const SETTLE_DEADLINE: Duration = Duration::from_mins(5);
/// Asking takes processor time from the runs that are waited for.
const SETTLE_POLL: Duration = Duration::from_millis(20);

/// Becomes the server, and ends it when the pipe from this program ends: so it does not outlive us, however
/// we go.
pub(crate) const LIFELINE: &str =
    r#"exec 3<&0; (cat <&3 >/dev/null; kill $$ 2>/dev/null) & exec "$@" </dev/null 3<&-"#;

/// A running server.
#[derive(Debug)]
pub(super) struct Contender {
    pub(super) name: &'static str,
    pub(super) url: String,
    /// From the start of the process to its first right answer.
    pub(super) start: Duration,
    /// What it held in memory before the load, in KiB.
    pub(super) idle_kib: u64,
    /// How many it serves.
    pub(super) flows: usize,
    /// Where hookflow says what it has counted.
    ops: Option<SocketAddr>,
    child: Child,
    folder: TempDir,
    /// What its flow calls.
    service: Option<Box<Contender>>,
}

impl Contender {
    /// Starts the server on a folder of its own within `parent`; the programs lie in `release`.
    pub(super) fn new(server: &Server, scene: &Scene, release: &Path, parent: &Path) -> Result<Self> {
        let folder = tempfile::tempdir_in(parent)?;
        match &server.program {
            Program::Bare(mode) => {
                let program = release.join("examples/bare");
                Self::start(
                    server.name,
                    &[program.as_os_str(), SECRET.as_ref(), mode.as_ref()],
                    folder,
                    scene,
                )
            }
            Program::ByHand(framework, mode) => {
                let command = framework.command(release, SECRET, mode);
                let command: Vec<&OsStr> = command.iter().map(OsString::as_os_str).collect();
                Self::start(server.name, &command, folder, scene)
            }
            Program::Hookflow(project) => {
                let service = if project.steps.contains(SERVICE) {
                    let slow = Server { name: "its service", program: Program::Bare("slow"), crowd: 1 };
                    let asked = scenes::named("door").next().context("no scene")?;
                    Some(Box::new(Self::new(&slow, asked, release, parent)?))
                } else {
                    None
                };
                project.write(folder.path(), service.as_ref().map_or("", |service| &service.url))?;
                let program = release.join("hookflow");
                let mut contender =
                    Self::start(server.name, &[program.as_os_str(), "serve".as_ref()], folder, scene)?;
                let ops = ops(&contender.printed()?).context("hookflow names no ops listener")?;
                contender.ops = Some(ops);
                contender.flows = project.flows;
                contender.service = service;
                Ok(contender)
            }
        }
    }

    /// hookflow, run by another program.
    pub(super) fn wrapped(
        wrapper: &[&str],
        program: &Path,
        project: &Project,
        scene: &Scene,
        parent: &Path,
    ) -> Result<Self> {
        let folder = tempfile::tempdir_in(parent)?;
        project.write(folder.path(), "")?;
        let mut command: Vec<&OsStr> = wrapper.iter().map(OsStr::new).collect();
        command.extend([program.as_os_str(), "serve".as_ref()]);
        Self::start("hookflow", &command, folder, scene)
    }

    /// Ends it in order.
    pub(super) fn end(mut self) -> Result<()> {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status()?;
        let status = self.child.wait()?;
        if !asked.success() || !status.success() {
            bail!("{} ended ({status}):\n{}", self.name, self.complaint());
        }
        Ok(())
    }

    fn start(name: &'static str, command: &[&OsStr], folder: TempDir, scene: &Scene) -> Result<Self> {
        let began = now();
        // Files, not pipes: a pipe that nobody reads stops its writer.
        let child = Command::new("sh")
            .args(["-c", LIFELINE, "sh"])
            .args(command)
            .current_dir(folder.path())
            // Of its own, so that its workers end with it.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(File::create(folder.path().join("stdout"))?)
            .stderr(File::create(folder.path().join("stderr"))?)
            .spawn()
            .with_context(|| format!("cannot start {name}"))?;
        let url = String::new();
        let mut contender = Self {
            name,
            url,
            start: Duration::ZERO,
            idle_kib: 0,
            flows: 1,
            ops: None,
            child,
            folder,
            service: None,
        };
        contender.await_first_answer(began, scene)?;
        std::thread::sleep(Duration::from_secs(1));
        contender.idle_kib = contender.resident_kib()?;
        Ok(contender)
    }

    fn await_first_answer(&mut self, began: Instant, scene: &Scene) -> Result<()> {
        loop {
            let printed = self.printed()?;
            if let Some(url) = door_url(&printed) {
                let (address, path) =
                    parts(url).with_context(|| format!("{}: strange URL {url}", self.name))?;
                match request::probe(address, path, scene.load.payload, scene.answer) {
                    Ok(true) => {
                        self.start = began.elapsed();
                        url.clone_into(&mut self.url);
                        return Ok(());
                    }
                    Ok(false) => bail!("{} does not answer as it should", self.name),
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

    /// Waits until hookflow has run every event that it has accepted; says how long that took and what was counted.
    pub(super) fn settle(&self) -> Result<Option<(Duration, Counts)>> {
        let Some(ops) = self.ops else { return Ok(None) };
        let began = now();
        let mut last = None;
        loop {
            let waited = began.elapsed();
            let counts = Counts::read(&request::get(ops, "/metrics")?);
            // Twice the same: events of the last requests may still be on their way in.
            match last {
                Some((behind, before)) if before == counts => {
                    if counts.accepted == counts.ended && !has_unfinished(ops)? {
                        return Ok(Some((behind, counts)));
                    }
                }
                _ => last = Some((waited, counts)),
            }
            if waited > SETTLE_DEADLINE {
                bail!(
                    "{}: not all runs have ended {SETTLE_DEADLINE:?} after the load: {counts:?}",
                    self.name
                );
            }
            std::thread::sleep(SETTLE_POLL);
        }
    }

    fn printed(&self) -> Result<String> {
        Ok(fs::read_to_string(self.folder.path().join("stdout"))?)
    }

    fn complaint(&self) -> String {
        let text = fs::read_to_string(self.folder.path().join("stderr")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }

    /// With its workers: children that run the same program.
    pub(super) fn resident_kib(&self) -> Result<u64> {
        let own = self.child.id();
        let status = fs::read_to_string(format!("/proc/{own}/status"))?;
        let mut all = resident(&status).context("no VmRSS in /proc")?;
        let program = fs::read_link(format!("/proc/{own}/exe"))?;
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        for child in children.split_ascii_whitespace() {
            // One that has ended takes nothing.
            if fs::read_link(format!("/proc/{child}/exe")).is_ok_and(|other| other == program) {
                let status = fs::read_to_string(format!("/proc/{child}/status")).unwrap_or_default();
                all += resident(&status).unwrap_or(0);
            }
        }
        Ok(all)
    }

    /// Processor time since its start, in hundredths of a second (what Linux calls a tick).
    pub(super) fn ticks(&self) -> Result<u64> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        ticks(&stat).context("no times in /proc")
    }
}

impl Drop for Contender {
    fn drop(&mut self) {
        // All fail only when it has already ended.
        let group = format!("-{}", self.child.id());
        drop(Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[expect(clippy::disallowed_methods, reason = "a bench measures the time of the machine")]
fn now() -> Instant {
    Instant::now()
}

/// Whether hookflow's store has runs that have not ended: a run is counted a moment before its end is written.
fn has_unfinished(ops: SocketAddr) -> Result<bool> {
    let answer = request::get(ops, "/api/runs?status=running&limit=1")?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let page: Value = serde_json::from_str(body).with_context(|| format!("no list of runs: {answer}"))?;
    let items = page.get("items").and_then(Value::as_array);
    Ok(!items.with_context(|| format!("no list of runs: {answer}"))?.is_empty())
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

pub(super) fn parts(url: &str) -> Option<(SocketAddr, &str)> {
    let rest = url.strip_prefix("http://")?;
    let (address, path) = rest.split_at_checked(rest.find('/')?)?;
    Some((address.parse().ok()?, path))
}

/// The address of the ops listener in what hookflow printed.
fn ops(printed: &str) -> Option<SocketAddr> {
    let line = printed.lines().find_map(|line| line.strip_prefix("ops: http://"))?;
    line.split(' ').next()?.parse().ok()
}

/// Of user and of system: the 14th and 15th field, counted from behind the name, which may hold anything.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    fields.next()?.parse::<u64>().ok()?.checked_add(fields.next()?.parse().ok()?)
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
        assert_eq!(ops("x\nops: http://127.0.0.1:81 (/healthz)\n"), Some(([127, 0, 0, 1], 81).into()));
        assert_eq!(ticks("7 (a ) b) S 1 2 3 4 5 6 7 8 9 10 30 12 13"), Some(42));
        assert_eq!(resident("Name:\tx\nVmRSS:\t    5120 kB\n"), Some(5120));
    }

    #[test]
    fn a_server_that_ends_at_once_is_told_with_its_words() {
        let command = ["sh", "-c", "echo no such flow >&2; exit 3"].map(OsStr::new);
        let scene = scenes::named("door").next().unwrap();
        let error =
            Contender::start("it", &command, tempfile::tempdir().unwrap(), scene).unwrap_err().to_string();
        assert!(error.contains("it ended") && error.contains("no such flow"), "{error}");
    }
}
