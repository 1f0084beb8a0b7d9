//! What a folder puts in force, by name, and how two folders differ. It tells of a secret that it is another one and
//! nothing else.

use crate::config::Config;
use crate::secrets::FolderSecrets;
use crate::{report, sections};
use hookflow_flow::Flow;
use hookflow_text::{Diagnostics, Json, Node, NodeValue, Secret, SecretRef};
use serde_json::json;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How many digits of a digest are shown to people.
const SHOWN: usize = 12;

/// What a folder puts in force.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Inventory {
    /// By ID, with their versions.
    pub(crate) flows: BTreeMap<String, Item>,
    /// By name, with a digest of their definitions.
    pub(crate) credentials: BTreeMap<String, Item>,
    /// By name, with a digest of their documents.
    pub(crate) integrations: BTreeMap<String, Item>,
    /// By name, with a digest of their documents.
    pub(crate) subscriptions: BTreeMap<String, Item>,
    /// The keys of the configuration that only a restart changes, with their values.
    pub(crate) settings: BTreeMap<String, Item>,
}

/// What stands in files of their own, by name.
type Documents = [(Arc<str>, Node)];

/// What can be told of one of them, and what cannot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Item {
    pub(crate) told: String,
    /// `None` where it is not known: a server tells nobody.
    secrets: Option<Mark>,
}

/// What tells secrets apart. It never leaves the process.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark([u8; 32]);

/// How one folder differs from another.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    flows: Vec<Change>,
    credentials: Vec<Change>,
    integrations: Vec<Change>,
    subscriptions: Vec<Change>,
    settings: Vec<Change>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Change {
    name: String,
    from: Option<String>,
    to: Option<String>,
}

impl Inventory {
    /// What stands in a folder.
    pub(crate) fn of<'f>(
        config: &Config,
        (credentials, integrations, subscriptions): (&Node, &Documents, &Documents),
        flows: impl Iterator<Item = &'f Flow>,
        secrets: &FolderSecrets,
    ) -> Self {
        let settings = sections::ALL.iter().flat_map(|section| section.settings);
        let credentials = match &credentials.value {
            NodeValue::Map(entries) => entries.as_slice(),
            _ => &[],
        };
        let documents = |documents: &Documents| {
            let items = documents.iter();
            items.map(|(name, node)| (name.to_string(), Item::of_document(node, secrets))).collect()
        };
        Self {
            flows: flows.map(|flow| (flow.id.to_string(), Item::plain(&*flow.plan.version))).collect(),
            credentials: credentials
                .iter()
                .map(|(name, node)| (name.text().to_owned(), Item::of_document(node, secrets)))
                .collect(),
            integrations: documents(integrations),
            subscriptions: documents(subscriptions),
            settings: settings
                .map(|setting| {
                    let secrets = (setting.secret)(config).map(Mark::of_secret);
                    (setting.key.to_owned(), Item { told: (setting.text)(config), secrets })
                })
                .collect(),
        }
    }

    /// As a server tells it; `None` when this is no inventory.
    pub(crate) fn from_json(flows: &Json, generation: &Json) -> Option<Self> {
        let list = |list: &Json, name: &str, told: &str| -> Option<BTreeMap<String, Item>> {
            let text = |item: &Json, key: &str| item.get(key).and_then(Json::as_str).map(str::to_owned);
            let items = list.as_array()?.iter();
            items.map(|item| Some((text(item, name)?, Item::plain(text(item, told)?)))).collect()
        };
        Some(Self {
            flows: list(flows.get("items")?, "flow", "version")?,
            credentials: list(generation.get("credentials")?, "credential", "definition")?,
            integrations: list(generation.get("integrations")?, "integration", "definition")?,
            subscriptions: list(generation.get("subscriptions")?, "subscription", "definition")?,
            settings: list(generation.get("settings")?, "key", "value")?,
        })
    }

    /// What a server tells of its credentials, integrations and settings, each a list under its name. Its flows have a
    /// list of their own.
    pub(crate) fn to_json(&self) -> serde_json::Map<String, Json> {
        let list = |items: &BTreeMap<String, Item>, name: &str, told: &str| {
            items.iter().map(|(key, item)| json!({name: key, told: item.told})).collect::<Json>()
        };
        serde_json::Map::from_iter([
            ("credentials".to_owned(), list(&self.credentials, "credential", "definition")),
            ("integrations".to_owned(), list(&self.integrations, "integration", "definition")),
            ("subscriptions".to_owned(), list(&self.subscriptions, "subscription", "definition")),
            ("settings".to_owned(), list(&self.settings, "key", "value")),
        ])
    }
}

impl Item {
    fn plain(told: impl Into<String>) -> Self {
        Self { told: told.into(), secrets: None }
    }

    fn of_document(node: &Node, secrets: &FolderSecrets) -> Self {
        // Names and places of secrets only: a secret that is written into the file does not load.
        let definition = node.to_json(&mut Diagnostics::default()).to_string();
        let mut hash = Sha256::new();
        hash_secrets(node, secrets, &mut hash);
        Self { told: hex(&Sha256::digest(definition)), secrets: Some(Mark(hash.finalize().into())) }
    }

    fn differs(&self, other: &Self) -> bool {
        let secrets = self.secrets.zip(other.secrets);
        self.told != other.told || secrets.is_some_and(|(one, other)| one != other)
    }
}

impl Mark {
    pub(crate) fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    fn of_secret(secret: &Secret) -> Self {
        Self::of(secret.expose())
    }
}

impl fmt::Debug for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Every `{env: …}` and `{file: …}` below a node, with what it was resolved to.
fn hash_secrets(node: &Node, secrets: &FolderSecrets, hash: &mut Sha256) {
    match &node.value {
        NodeValue::Scalar(_) => {}
        NodeValue::Seq(items) => {
            for item in items {
                hash_secrets(item, secrets, hash);
            }
        }
        NodeValue::Map(entries) => {
            let is_source = entries.iter().any(|(key, _)| matches!(key.text(), "env" | "file"));
            if is_source && let Some(reference) = SecretRef::read(node, &mut Diagnostics::default()) {
                hash.update(secrets.mark(&reference).map_or([0; 32], |mark| mark.0));
            }
            for (_, value) in entries {
                hash_secrets(value, secrets, hash);
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

impl Changes {
    /// From one folder to another.
    pub(crate) fn between(old: &Inventory, new: &Inventory) -> Self {
        Self {
            flows: changes(&old.flows, &new.flows),
            credentials: changes(&old.credentials, &new.credentials),
            integrations: changes(&old.integrations, &new.integrations),
            subscriptions: changes(&old.subscriptions, &new.subscriptions),
            settings: changes(&old.settings, &new.settings),
        }
    }

    /// Whether nothing differs.
    pub(crate) fn is_empty(&self) -> bool {
        self.named().iter().all(|(_, changes)| changes.is_empty()) && self.settings.is_empty()
    }

    /// What is told by name, with what one of it is called.
    fn named(&self) -> [(&'static str, &[Change]); 4] {
        [
            ("flow", &self.flows),
            ("credential", &self.credentials),
            ("integration", &self.integrations),
            ("subscription", &self.subscriptions),
        ]
    }

    /// The keys that wait for a restart.
    pub(crate) fn restart(&self) -> Vec<&str> {
        self.settings.iter().map(|change| change.name.as_str()).collect()
    }

    /// `flows`, `credentials`, `integrations`, `subscriptions` and `restart`, each a list.
    pub(crate) fn to_json(&self) -> Json {
        let list = |changes: &[Change], key: &str| -> Json {
            let item = |it: &Change| json!({key: it.name, "change": it.word(), "from": it.from, "to": it.to});
            changes.iter().map(item).collect()
        };
        json!({
            "flows": list(&self.flows, "flow"),
            "credentials": list(&self.credentials, "credential"),
            "integrations": list(&self.integrations, "integration"),
            "subscriptions": list(&self.subscriptions, "subscription"),
            "restart": list(&self.settings, "key"),
        })
    }

    /// In one line: `1 flow added, 2 credentials changed`.
    pub(crate) fn summary(&self) -> String {
        let mut parts = Vec::new();
        for (kind, changes) in self.named() {
            for word in ["added", "changed", "rotated", "removed"] {
                let number = changes.iter().filter(|change| change.word() == word).count();
                if number > 0 {
                    parts.push(format!("{} {word}", report::count(number, kind)));
                }
            }
        }
        if !self.settings.is_empty() {
            let settings = report::count(self.settings.len(), "setting");
            parts.push(format!("{settings} for the next start"));
        }
        if parts.is_empty() { "nothing differs".into() } else { parts.join(", ") }
    }
}

impl Change {
    /// What happened to it. With the same definition, only its secrets are others.
    fn word(&self) -> &'static str {
        match (&self.from, &self.to) {
            (None, _) => "added",
            (_, None) => "removed",
            (from, to) if from == to => "rotated",
            _ => "changed",
        }
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            |text: &Option<String>| text.as_deref().map(|text| text.chars().take(SHOWN).collect::<String>());
        for (kind, changes) in self.named() {
            if !changes.is_empty() {
                writeln!(f, "{kind}s")?;
            }
            let width = changes.iter().map(|change| change.name.chars().count()).max().unwrap_or_default();
            for change in changes {
                let mark = match change.word() {
                    "added" => '+',
                    "removed" => '-',
                    _ => '~',
                };
                let versions = match (shown(&change.from), shown(&change.to)) {
                    (Some(from), Some(to)) => format!("{from} → {to}"),
                    (from, to) => from.or(to).unwrap_or_default(),
                };
                writeln!(f, "  {mark} {:width$}   {versions}", change.name)?;
            }
        }
        if !self.settings.is_empty() {
            writeln!(f, "settings that wait for a restart")?;
        }
        for change in &self.settings {
            let value = |text: &Option<String>| text.clone().unwrap_or_else(|| "(not known)".into());
            writeln!(f, "  ~ {}: {} → {}", change.name, value(&change.from), value(&change.to))?;
        }
        Ok(())
    }
}

/// What differs, by name.
fn changes(old: &BTreeMap<String, Item>, new: &BTreeMap<String, Item>) -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, item) in old {
        let now = new.get(name);
        if now.is_none_or(|now| item.differs(now)) {
            let (from, to) = (Some(item.told.clone()), now.map(|now| now.told.clone()));
            changes.push(Change { name: name.clone(), from, to });
        }
    }
    for (name, item) in new.iter().filter(|(name, _)| !old.contains_key(*name)) {
        changes.push(Change { name: name.clone(), from: None, to: Some(item.told.clone()) });
    }
    changes.sort_by(|a, b| a.name.cmp(&b.name));
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::project::{Project, SecretMode};
    use std::fs;
    use std::path::Path;

    const CREDENTIALS: &str = "shop: {type: api_key, header: X-Api-Key, keys: [{env: A}]}\n\
        both: {type: api_key, header: X-Api-Key, keys: [{env: A}, {file: b}]}\n";
    const FLOW: &str = "webhook: {auth: shop}\nsteps: [{respond: {text: a}}]";

    fn inventory(folder: &Path, variables: &[(&str, &str)], files: &[(&str, &str)]) -> Inventory {
        for (name, content) in files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        let project = Project::load(folder, &Environment::of(variables), SecretMode::Read).unwrap();
        assert!(!project.diagnostics.has_errors(), "{}", project.diagnostics.render(false));
        project.inventory
    }

    #[test]
    fn differences_are_told_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let credentials = ("config/credentials.yaml", CREDENTIALS);
        let files = [credentials, ("b", "canary-b"), ("flows/a.yaml", FLOW), ("flows/gone.yaml", FLOW)];
        let first = inventory(folder, &[("A", "canary-a"), ("T", "canary-t")], &files);
        assert!(Changes::between(&first, &first).is_empty());
        fs::remove_file(folder.join("flows/gone.yaml")).unwrap();
        let more = format!("{CREDENTIALS}new: {{type: basic, username: u, password: {{file: b}}}}");
        let other = FLOW.replace("text: a", "headers: {X-A: b}, text: a");
        let files = [
            ("config/credentials.yaml", more.as_str()),
            ("b", "canary-c"),
            ("flows/a.yaml", &other),
            ("flows/new.yaml", FLOW),
            (
                "config/hookflow.yaml",
                "ops: {token: {env: T}}\npublic: {listen: '127.0.0.1:9', base_url: 'http://a'}",
            ),
        ];
        let variables = [("A", "canary-a"), ("T", "canary-t")];
        let second = inventory(folder, &variables, &files);
        let changes = Changes::between(&first, &second);
        assert_eq!(
            changes.summary(),
            "1 flow added, 1 flow changed, 1 flow removed, 1 credential added, 1 credential rotated, 2 settings for the next start"
        );
        assert_eq!(changes.restart(), ["ops.token", "public.listen"]);
        let text = changes.to_string();
        for part in [
            "  ~ a      ",
            "  - gone   ",
            "  + new    ",
            "  ~ both   ",
            "public.listen: 127.0.0.1:8080 → 127.0.0.1:9",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        let shown = format!("{second:?}{text}{:?}{:?}", second.to_json(), changes.to_json());
        assert!(!shown.contains("canary"), "{shown}");
        // Only the token is another one.
        let third = inventory(folder, &[("A", "canary-a"), ("T", "canary-u")], &[]);
        assert_eq!(Changes::between(&second, &third).to_json()["restart"][0]["change"], "rotated");
    }

    #[test]
    fn what_a_server_tells_is_compared_without_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let files = [("config/credentials.yaml", CREDENTIALS), ("b", "b"), ("flows/a.yaml", FLOW)];
        let here = inventory(folder.path(), &[("A", "a")], &files);
        let version = &here.flows["a"].told;
        let flows = json!({"items": [{"flow": "a", "version": version}], "next": null});
        let generation = Json::Object(here.to_json());
        let told = Inventory::from_json(&flows, &generation).unwrap();
        let rotated = inventory(folder.path(), &[("A", "b")], &[]);
        assert!(Changes::between(&told, &rotated).is_empty());
        assert_eq!(Changes::between(&here, &rotated).summary(), "2 credentials rotated");
        assert_eq!(Inventory::from_json(&json!({"items": [{"flow": "a"}]}), &generation), None);
    }
}
