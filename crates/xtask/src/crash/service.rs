//! The service: started on its folder again and again, and killed.

use super::evidence::{held, now};
use crate::bench::LIFELINE;
use anyhow::{Context as _, Result, bail};
use std::fs::{self, File, OpenOptions};
use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// How long a start may take, with all that was left behind.
const START: Duration = Duration::from_mins(1);
/// How long an ordered end may take.
const END: Duration = Duration::from_mins(1);
const POLL: Duration = Duration::from_millis(3);
/// What a process that aborts is told by.
const ABORTED: i32 = 6;

/// Where the service listens just now.
#[derive(Default)]
pub(super) struct Door {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    addresses: Option<Addresses>,
    closed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Addresses {
    pub(super) public: SocketAddr,
    pub(super) ops: SocketAddr,
}

impl Door {
    pub(super) fn set(&self, addresses: Option<Addresses>) {
        held(&self.state).addresses = addresses;
        self.changed.notify_all();
    }

    /// Nobody is to wait any longer.
    pub(super) fn close(&self) {
        held(&self.state).closed = true;
        self.changed.notify_all();
    }

    /// The public address, once the service has one; `None` when there will be none.
    pub(super) fn wait(&self) -> Option<SocketAddr> {
        self.addresses().map(|addresses| addresses.public)
    }

    pub(super) fn addresses(&self) -> Option<Addresses> {
        let none = |state: &mut State| state.addresses.is_none() && !state.closed;
        let state = self.changed.wait_while(held(&self.state), none);
        state.unwrap_or_else(PoisonError::into_inner).addresses
    }
}

/// A process of it.
pub(super) struct Service {
    child: Child,
    folder: PathBuf,
}

/// How it died.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Death {
    /// At the point that it was told.
    AtPoint,
    Killed,
}

impl Service {
    /// Begins to start it; with an order to die or to err, if there is one.
    pub(super) fn spawn(program: &Path, folder: &Path, order: Option<&str>) -> Result<Self> {
        let log = OpenOptions::new().create(true).append(true).open(folder.join("stderr"))?;
        let mut command = Command::new("sh");
        command.args(["-c", &format!("ulimit -c 0; {LIFELINE}"), "sh"]).arg(program).args(["serve", "--dir"]);
        command.arg(folder).env_clear().env("PATH", "/usr/bin:/bin").current_dir(folder);
        if let Some(order) = order {
            command.env("HOOKFLOW_FAULT", order);
        }
        command.stdin(Stdio::piped()).stdout(File::create(folder.join("stdout"))?).stderr(log);
        let child = command.spawn().context("cannot start the service")?;
        Ok(Self { child, folder: folder.to_owned() })
    }

    /// Waits until it listens; `None` when it has died before, as it was told.
    pub(super) fn listening(&mut self) -> Result<Option<Addresses>> {
        let began = now();
        loop {
            if let Some(addresses) = addresses(&fs::read_to_string(self.folder.join("stdout"))?) {
                return Ok(Some(addresses));
            }
            if self.dead()?.is_some() {
                return Ok(None);
            }
            if began.elapsed() > START {
                bail!("the service has not started in {START:?}:\n{}", self.complaint());
            }
            std::thread::sleep(POLL);
        }
    }

    /// Lets it live for so long at most, then kills it.
    pub(super) fn live(mut self, time: Duration) -> Result<Death> {
        let began = now();
        while began.elapsed() < time {
            if let Some(death) = self.dead()? {
                return Ok(death);
            }
            std::thread::sleep(POLL);
        }
        self.kill()
    }

    pub(super) fn kill(mut self) -> Result<Death> {
        self.child.kill()?;
        let status = self.child.wait()?;
        // It may have been quicker.
        self.judge(status)
    }

    /// Ends it as an operator does.
    pub(super) fn stop(mut self) -> Result<()> {
        let id = self.child.id().to_string();
        Command::new("kill").args(["-TERM", &id]).status().context("cannot run kill")?;
        let began = now();
        while began.elapsed() < END {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("the service did not end in order ({status}):\n{}", self.complaint());
            }
            std::thread::sleep(POLL);
        }
        bail!("the service does not end:\n{}", self.complaint())
    }

    fn dead(&mut self) -> Result<Option<Death>> {
        self.child.try_wait()?.map(|status| self.judge(status)).transpose()
    }

    /// A death that nobody has asked for ends the proof.
    fn judge(&self, status: ExitStatus) -> Result<Death> {
        match status.signal() {
            Some(9) => Ok(Death::Killed),
            Some(ABORTED) if self.complaint().contains("fault point ") => Ok(Death::AtPoint),
            _ => bail!("the service ended by itself ({status}):\n{}", self.complaint()),
        }
    }

    fn complaint(&self) -> String {
        let text = fs::read_to_string(self.folder.join("stderr")).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines.get(lines.len().saturating_sub(20)..).unwrap_or_default().join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        // Both fail only when it has already ended.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Both addresses in what was printed, once the last of it is there.
fn addresses(printed: &str) -> Option<Addresses> {
    let address = |line: &str| line.split("http://").nth(1)?.split(['/', ' ']).next()?.parse().ok();
    let whole = printed.get(..printed.rfind('\n')?)?;
    let public = whole.lines().find(|line| line.contains("/hook/")).and_then(address)?;
    let ops = whole.lines().find(|line| line.starts_with("ops:")).and_then(address)?;
    Some(Addresses { public, ops })
}

/// What a program can be told to do; nothing when it was not made for that.
pub(super) fn orders(program: &Path) -> Result<Orders> {
    let mut command = Command::new(program);
    command.arg("--version").env_clear().env("HOOKFLOW_FAULT", "list").stdin(Stdio::null());
    let output = command.output().with_context(|| format!("cannot run {}", program.display()))?;
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let named = |kind: &str| -> Vec<String> {
        printed
            .lines()
            .filter_map(|line| line.strip_prefix(kind))
            .map(|name| name.trim().to_owned())
            .collect()
    };
    Ok(Orders { points: named("point "), plants: named("plant ") })
}

pub(super) struct Orders {
    /// Where it can die.
    pub(super) points: Vec<String>,
    /// What mistakes it can make.
    pub(super) plants: Vec<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_addresses_are_found_once_they_are_whole() {
        let printed = "hookflow\n  pure POST http://127.0.0.1:4711/hook/pure\n\nops: http://127.0.0.1:12 (/healthz)\nEvents";
        let found = addresses(printed).unwrap();
        assert_eq!((found.public.port(), found.ops.port()), (4711, 12));
        let half = printed.split(" (/healthz").next().unwrap();
        assert_eq!(addresses(half), None);
    }

    #[test]
    fn who_waits_hears_of_an_address_or_that_there_will_be_none() {
        let door = Door::default();
        let addresses = Addresses { public: ([127, 0, 0, 1], 1).into(), ops: ([127, 0, 0, 1], 2).into() };
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| door.wait());
            door.set(Some(addresses));
            assert_eq!(waiting.join().unwrap(), Some(addresses.public));
            door.set(None);
            let waiting = scope.spawn(|| door.wait());
            door.close();
            assert_eq!(waiting.join().unwrap(), None);
        });
    }
}
