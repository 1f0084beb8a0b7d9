//! The binary under test: a folder to serve, the running service, and its end.

use super::wire::{Answer, Request, Wire};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tempfile::TempDir;

/// How long anything may take that should come at once: generous, for a machine that is busy.
pub(super) const SOON: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(25);

/// Runs beside the test.
#[expect(clippy::disallowed_methods, reason = "a test ends its threads by closing what they read")]
pub(super) fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(work)
}

/// Asks again and again until there is an answer.
pub(super) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    for _ in 0..SOON.as_millis() / PAUSE.as_millis() {
        if let Some(found) = look() {
            return found;
        }
        thread::sleep(PAUSE);
    }
    panic!("it did not come: {what}");
}

/// The repository's own folder.
pub(super) fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// A folder that can be served.
pub(super) struct Folder(TempDir);

impl Folder {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file while the folder is served.
    pub(super) fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// Removes a file while the folder is served.
    pub(super) fn remove(&self, name: &str) {
        fs::remove_file(self.path().join(name)).unwrap();
    }

    /// With a file in it.
    pub(super) fn with(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.put(name, content);
        self
    }

    pub(super) fn config(self, yaml: &str) -> Self {
        self.with("config/hookflow.yaml", yaml)
    }

    pub(super) fn credentials(self, yaml: &str) -> Self {
        self.with("config/credentials.yaml", yaml)
    }

    pub(super) fn flow(self, id: &str, yaml: &str) -> Self {
        self.with(&format!("flows/{id}.yaml"), yaml)
    }
}

/// What a process left behind.
#[derive(Debug)]
pub(super) struct Ended {
    pub(super) code: Option<i32>,
    pub(super) out: String,
    pub(super) err: String,
}

/// A process whose outputs are read as they come; killed when dropped.
struct Process {
    child: Child,
    lines: Receiver<String>,
    printed: String,
    err: Option<JoinHandle<String>>,
}

impl Process {
    fn start(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hookflow"));
        // What the machine's own environment says is nobody's business here.
        command.env_clear().envs(variables.iter().copied()).args(arguments).current_dir(folder);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (out, mut err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let (sender, lines) = channel();
        beside(move || {
            let mut out = BufReader::new(out);
            let mut line = String::new();
            while out.read_line(&mut line).unwrap() > 0 && sender.send(std::mem::take(&mut line)).is_ok() {}
        });
        let err = beside(move || {
            let mut text = String::new();
            err.read_to_string(&mut text).unwrap();
            text
        });
        Self { child, lines, printed: String::new(), err: Some(err) }
    }

    /// The next line that is printed; `None` at the end.
    fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(SOON) {
            Ok(line) => {
                self.printed.push_str(&line);
                Some(line)
            }
            Err(RecvTimeoutError::Disconnected) => None,
            Err(RecvTimeoutError::Timeout) => panic!("neither a line nor an end after: {}", self.printed),
        }
    }

    fn end(mut self) -> Ended {
        while self.line().is_some() {}
        let code = self.child.wait().unwrap().code();
        let err = self.err.take().unwrap().join().unwrap();
        Ended { code, out: std::mem::take(&mut self.printed), err }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let Some(err) = self.err.take() else { return };
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        let err = err.join().unwrap_or_default();
        if thread::panicking() {
            eprintln!("--- standard output\n{}--- standard error\n{err}---", self.printed);
        }
    }
}

/// Runs a command to its end.
pub(super) fn hookflow(folder: &Path, arguments: &[&str]) -> Ended {
    hookflow_with(folder, arguments, &[])
}

/// Runs a command to its end, with these variables.
pub(super) fn hookflow_with(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    Process::start(folder, arguments, variables).end()
}

/// Runs `serve` where it is not expected to start.
pub(super) fn serve_refused(folder: &Path, variables: &[(&str, &str)]) -> Ended {
    let anywhere = [("HOOKFLOW_PUBLIC__LISTEN", "127.0.0.1:0"), ("HOOKFLOW_OPS__LISTEN", "127.0.0.1:0")];
    let variables: Vec<_> = anywhere.iter().chain(variables).copied().collect();
    Process::start(folder, &["serve", "--dir", "."], &variables).end()
}

/// A running service.
pub(super) struct Service {
    process: Process,
    pub(super) public: SocketAddr,
    pub(super) ops: SocketAddr,
}

impl Service {
    /// Serves a folder on two free ports and waits until both addresses are printed.
    pub(super) fn start(folder: &Folder) -> Self {
        Self::start_with(folder, &[])
    }

    /// The same with more variables in its environment.
    pub(super) fn start_with(folder: &Folder, variables: &[(&str, &str)]) -> Self {
        Self::try_start_with(folder, variables).unwrap_or_else(|ended| panic!("it did not start: {ended:?}"))
    }

    /// The same where it may end before it has started.
    pub(super) fn try_start_with(folder: &Folder, variables: &[(&str, &str)]) -> Result<Self, Ended> {
        let listens = [("HOOKFLOW_PUBLIC__LISTEN", "127.0.0.1:0"), ("HOOKFLOW_OPS__LISTEN", "127.0.0.1:0")];
        let variables = [&listens, variables].concat();
        let folder = folder.path();
        let mut process = Process::start(folder, &["serve", "--dir", folder.to_str().unwrap()], &variables);
        let mut public = None;
        let ops = loop {
            let Some(line) = process.line() else { return Err(process.end()) };
            let address = line.split("http://").nth(1).and_then(|rest| rest.split(['/', ' ']).next());
            let Some(address) = address.and_then(|address| address.parse().ok()) else { continue };
            if line.starts_with("ops:") {
                break address;
            }
            public = Some(address);
        };
        Ok(Self { process, public: public.unwrap(), ops })
    }

    /// What it has printed until its addresses were known.
    pub(super) fn printed(&self) -> &str {
        &self.process.printed
    }

    /// Sends a request on a connection of its own.
    pub(super) fn send(&self, request: &Request) -> Answer {
        Wire::connect(self.public).ask(request)
    }

    /// Runs a command that asks this service.
    pub(super) fn command(&self, folder: &Folder, arguments: &[&str]) -> Ended {
        let ops = self.ops.to_string();
        Process::start(folder.path(), arguments, &[("HOOKFLOW_OPS__LISTEN", &ops)]).end()
    }

    /// Has the ops listener do something.
    pub(super) fn ops_post(&self, path: &str, body: &str) -> Answer {
        Wire::connect(self.ops).ask(&Request::json(path, body))
    }

    /// Asks the ops listener.
    pub(super) fn ops(&self, path: &str) -> Answer {
        Wire::connect(self.ops).ask(&Request::get(path))
    }

    /// Has the folder read again.
    pub(super) fn reload(&self) -> Answer {
        Wire::connect(self.ops).ask(&Request::new("POST", "/api/reload"))
    }

    /// The value of a series.
    pub(super) fn metric(&self, series: &str) -> Option<u64> {
        let text = self.ops("/metrics").text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map(|value| value.parse().unwrap())
    }

    /// Waits until a series has a value.
    pub(super) fn until_metric(&self, series: &str, value: u64) {
        until(&format!("{series} {value}"), || (self.metric(series) == Some(value)).then_some(()));
    }

    /// The most memory that it had at once, in bytes.
    pub(super) fn peak_memory(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() << 10
    }

    /// Waits until a shutdown has begun.
    pub(super) fn until_draining(&self) {
        until("a readiness that is red", || (self.ops("/readyz").status == 503).then_some(()));
    }

    /// The process, as the system knows it.
    pub(super) fn id(&self) -> u32 {
        self.process.child.id()
    }

    /// Whether it has not ended.
    pub(super) fn is_running(&mut self) -> bool {
        self.process.child.try_wait().unwrap().is_none()
    }

    /// What it holds in memory.
    pub(super) fn resident_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
    }

    pub(super) fn signal(&self, name: &str) {
        let id = self.process.child.id().to_string();
        assert!(Command::new("kill").args([format!("-{name}"), id]).status().unwrap().success());
    }

    /// Ends it as an operator does.
    pub(super) fn stop(self) -> Ended {
        self.signal("TERM");
        self.end()
    }

    /// Waits for its end.
    pub(super) fn end(self) -> Ended {
        self.process.end()
    }

    /// Asserts that it still answers and that no run has panicked, then ends it.
    pub(super) fn stop_sound(self) -> Ended {
        assert_eq!(self.ops("/healthz").status, 200);
        assert_eq!(self.metric("hookflow_run_panics_total"), Some(0));
        let ended = self.stop();
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.err.contains("panicked"), "{}", ended.err);
        ended
    }
}
