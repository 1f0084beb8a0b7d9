//! A folder for hookflow to start on.

use super::request::SECRET;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

/// In steps: the URL of the service that the flow calls.
pub(super) const SERVICE: &str = "{service}";
/// In steps: 49 that build on each other.
pub(super) const MANY: &str = "{49 steps}";

/// One measured flow among others of its shape.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) store: Store,
    /// Of a flow, beside its name and its webhook.
    pub(super) keys: &'static str,
    pub(super) steps: &'static str,
    pub(super) flows: usize,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Store {
    /// The disk's speed is not the door's.
    Memory,
    /// As it is by default.
    Sqlite,
}

impl Project {
    pub(super) fn write(&self, folder: &Path, service: &str) -> io::Result<()> {
        for name in ["config", "flows", "secrets"] {
            fs::create_dir(folder.join(name))?;
        }
        let store = match self.store {
            Store::Memory => "{memory: {}}",
            Store::Sqlite => "{sqlite: {path: data/hookflow.db}}",
        };
        let config = format!(
            "public: {{listen: 127.0.0.1:0}}\nops: {{listen: 127.0.0.1:0}}\n\
             outbound: {{allow: [127.0.0.0/8]}}\nstore: {store}\n"
        );
        fs::write(folder.join("config/hookflow.yaml"), config)?;
        let credential = "bench: {type: hmac, header: X-Signature, algorithm: sha256, encoding: hex, secret: {file: secrets/bench}}\n";
        fs::write(folder.join("config/credentials.yaml"), credential)?;
        fs::write(folder.join("secrets/bench"), SECRET)?;
        let steps = self.steps.replace(SERVICE, service).replace(MANY, &many());
        let name = |n: usize| if n == 0 { "door".to_owned() } else { format!("other-{n}") };
        for name in (0..self.flows).map(name) {
            let flow =
                format!("flow: {name}\nwebhook: {{methods: [POST], auth: bench}}\n{}{steps}", self.keys);
            fs::write(folder.join(format!("flows/{name}.yaml")), flow)?;
        }
        Ok(())
    }
}

fn many() -> String {
    (1..50).fold(String::new(), |mut text, n| {
        let before = if n == 1 { "webhook.body.amount".to_owned() } else { format!("steps.s{}.n", n - 1) };
        // A string takes all that is written to it.
        let _infallible = writeln!(text, "  - id: s{n}\n    set: {{n: '${{ {before} + 1 }}'}}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_has_the_door_and_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let steps = "steps:\n  - log: here\n";
        let keys = "durability: relaxed\n";
        Project { store: Store::Sqlite, keys, steps, flows: 3 }.write(folder.path(), "").unwrap();
        let mut names: Vec<_> = fs::read_dir(folder.path().join("flows"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(names, ["door.yaml", "other-1.yaml", "other-2.yaml"]);
        let read = |name| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            read("flows/door.yaml"),
            format!("flow: door\nwebhook: {{methods: [POST], auth: bench}}\n{keys}{steps}")
        );
        assert!(read("config/hookflow.yaml").ends_with("store: {sqlite: {path: data/hookflow.db}}\n"));
    }
}
