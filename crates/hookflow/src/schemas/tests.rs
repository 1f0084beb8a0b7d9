use super::{ALL, FileKind};
use crate::config::Config;
use crate::secrets::FolderSecrets;
use crate::starter;
use boon::{Compiler, Draft, SchemaIndex, Schemas};
use hookflow_flow::{EXAMPLE_INTEGRATION, Flow, Integrations, Subscriptions, Surroundings, step_kinds};
use hookflow_text::{Diagnostics, Json, Key, MapSchema, Node, NodeValue, Schema, Source, parse};
use hookflow_trigger::{Credentials, auth_schemes, presets};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn kind(name: &str) -> &'static FileKind {
    ALL.iter().find(|kind| kind.name == name).unwrap()
}

/// One file for each kind that holds every map which that kind may hold.
const FULL: &[(&str, &str)] = &[
    ("config", include_str!("full/config.yaml")),
    ("credentials", include_str!("full/credentials.yaml")),
    ("flow", include_str!("full/flow.yaml")),
    ("integration", include_str!("full/integration.yaml")),
    ("subscription", include_str!("full/subscription.yaml")),
];

/// The schemas as a validator has compiled them that shares no code with the readers.
struct Judge {
    schemas: Schemas,
    by_name: BTreeMap<&'static str, SchemaIndex>,
}

impl Judge {
    fn new() -> Self {
        let mut compiler = Compiler::new();
        compiler.set_default_draft(Draft::V2020_12);
        let mut schemas = Schemas::new();
        let by_name = ALL.iter().map(|kind| {
            let url = format!("https://schemas.invalid/{}.json", kind.name);
            compiler.add_resource(&url, kind.json_schema()).unwrap();
            (kind.name, compiler.compile(&url, &mut schemas).unwrap_or_else(|why| panic!("{why:#}")))
        });
        let by_name = by_name.collect();
        Self { schemas, by_name }
    }

    /// What is wrong with a file; nothing when it is sound.
    fn objection(&self, name: &str, file: &Json) -> Option<String> {
        self.schemas.validate(file, self.by_name[name]).err().map(|why| format!("{why:#}"))
    }
}

fn value(name: &str, text: &str) -> Json {
    let mut diagnostics = Diagnostics::default();
    let root = parse(&Source::new(name, text), &mut diagnostics).unwrap_or_else(|| panic!("{name}"));
    root.to_json(&mut diagnostics)
}

/// The files with an extension in a folder and those below.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|it| it == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

/// The kind of a shipped file, by its path.
fn kind_of(path: &str) -> &'static str {
    match path {
        "config/hookflow.yaml" => "config",
        "config/credentials.yaml" => "credentials",
        path if path.starts_with("config/integrations/") => "integration",
        path if path.starts_with("config/subscriptions/") => "subscription",
        path if path.starts_with("flows/") => "flow",
        path => panic!("{path} is of no kind"),
    }
}

#[test]
fn the_schemas_are_written_down() {
    assert!(ALL.is_sorted_by_key(|kind| kind.name));
    for kind in ALL {
        let expected = format!("{}\n", serde_json::to_string_pretty(&kind.json_schema()).unwrap());
        let path = root().join(format!("schemas/{}.json", kind.name));
        if fs::read_to_string(&path).is_ok_and(|found| found == expected) {
            continue;
        }
        if std::env::var_os("UPDATE_DOCS").is_some() {
            fs::create_dir_all(root().join("schemas")).unwrap();
            fs::write(&path, expected).unwrap();
            continue;
        }
        panic!(
            "schemas/{}.json is not what the tables say; `UPDATE_DOCS=1 cargo test -p hookflow schemas` writes it",
            kind.name
        );
    }
}

#[test]
fn every_key_says_what_it_is_for() {
    fn look(schema: &Json, keys: &mut usize) {
        for (key, property) in schema.get("properties").and_then(Json::as_object).into_iter().flatten() {
            let says = |it: &Json| it["description"].as_str().is_some_and(|about| about.len() > 4);
            // A key by which one of several maps is known says it with each of its words.
            let words = property["anyOf"].as_array().is_some_and(|words| words.iter().all(says));
            assert!(says(property) || words, "`{key}` says nothing: {property}");
            *keys += 1;
        }
        for child in schema.as_object().into_iter().flat_map(serde_json::Map::values) {
            look(child, keys);
        }
    }
    for kind in ALL {
        let mut keys = 0;
        look(&kind.json_schema(), &mut keys);
        assert!(keys >= 9, "{} has only {keys} keys", kind.name);
    }
}

#[test]
fn every_shipped_file_fits() {
    let judge = Judge::new();
    let mut sound = Vec::new();
    let mut hold = |name: &str, from: &str, text: &str| {
        let objection = judge.objection(name, &value(from, text));
        assert_eq!(objection, None, "{from}");
        sound.push(name.to_owned());
    };
    for folder in ["config", "flows"] {
        for path in files(&root().join(folder), "yaml") {
            let from = path.strip_prefix(root()).unwrap().to_str().unwrap().to_owned();
            hold(kind_of(&from), &from, &fs::read_to_string(&path).unwrap());
        }
    }
    for (name, text) in
        starter::FILES.iter().filter(|(name, _)| Path::new(name).extension().is_some_and(|it| it == "yaml"))
    {
        hold(kind_of(name), name, text);
    }
    for step in step_kinds::ALL {
        hold("flow", step.verb, step.example.flow);
    }
    for scheme in auth_schemes() {
        hold("credentials", scheme.name, &format!("a: {}\n", scheme.example));
    }
    for preset in presets().iter().filter(|preset| !preset.parameters().starts_with('#')) {
        // As a credential of its type would write it out.
        let mut written = value(preset.name(), &preset.parameters());
        written["type"] = preset.kind().into();
        let public =
            written["algorithm"].as_str().is_some_and(|it| it == "ed25519" || it.starts_with("ecdsa"));
        let (key, secret) = if public { ("public_key", json!("A")) } else { ("secret", json!({"env": "A"})) };
        written[key] = secret;
        if written["algorithm"].is_null() {
            written.as_object_mut().unwrap().remove("algorithm");
        }
        for written in
            [written, json!({"type": preset.kind(), "preset": preset.name(), "secret": {"env": "A"}})]
        {
            assert_eq!(judge.objection("credentials", &json!({"a": written})), None, "{}", preset.name());
        }
    }
    hold("integration", "the example", EXAMPLE_INTEGRATION);
    for (name, text) in FULL {
        hold(name, &format!("full/{name}.yaml"), text);
    }
    for kind in ALL {
        assert!(sound.iter().any(|name| name == kind.name), "no {} was held", kind.name);
    }
}

/// A block of the documentation is a whole file, or a part of one that is not said.
#[test]
fn every_block_of_the_documentation_fits() {
    let judge = Judge::new();
    // The pages of codes show what is wrong.
    let mut pages = files(&root().join("docs"), "md");
    pages.retain(|page| !page.to_string_lossy().contains("/docs/errors/"));
    pages.push(root().join("README.md"));
    let (mut odd, mut blocks) = (Vec::new(), 0);
    for page in pages {
        for block in blocks_of(&fs::read_to_string(&page).unwrap()) {
            if block.contains("run: hookflow ") {
                // A step of somebody else's pipeline.
                continue;
            }
            blocks += 1;
            if !fits_somewhere(&judge, &value("block", &block)) {
                odd.push(format!("{}:\n{block}", page.display()));
            }
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n\n"));
    assert!(blocks > 30, "only {blocks} blocks");
}

/// The blocks of YAML on a page that are shown as right ones.
fn blocks_of(page: &str) -> Vec<String> {
    let (mut blocks, mut before, mut lines) = (Vec::new(), "", page.lines());
    while let Some(line) = lines.next() {
        let indent = line.len() - line.trim_start().len();
        if let Some(language) = line.trim_start().strip_prefix("```") {
            let inner = lines.by_ref().map(|line| line.get(indent..).unwrap_or_default());
            let block: Vec<_> = inner.take_while(|line| *line != "```").collect();
            if language == "yaml" && !["Wrong", "Warned of"].iter().any(|word| before.contains(word)) {
                blocks.push(block.join("\n") + "\n");
            }
        } else if !line.trim().is_empty() {
            before = line;
        }
    }
    blocks
}

fn fits_somewhere(judge: &Judge, block: &Json) -> bool {
    let with = |mut map: Json, more: &Json| {
        if let (Some(map), Some(more)) = (map.as_object_mut(), more.as_object()) {
            map.extend(more.clone());
        }
        map
    };
    let parts = [
        ("flow", json!({"steps": block})),
        ("flow", json!({"steps": [block]})),
        ("flow", json!({"webhook": with(json!({"auth": "none"}), block)})),
        ("flow", json!({"webhook": {"auth": "none", "sample": block}})),
        ("flow", json!({"tests": block})),
        ("credentials", json!({"a": with(json!({"type": "hmac", "secret": {"env": "A"}}), block)})),
    ];
    ALL.iter()
        .map(|kind| (kind.name, block.clone()))
        .chain(parts)
        .any(|(name, file)| judge.objection(name, &file).is_none())
}

/// What `check` calls by one of these is wrong whatever else stands in the folder.
const STRUCTURAL: &[&str] = &[
    "auth.not-written",
    "flow.modifier",
    "flow.no-verb",
    "flow.two-verbs",
    "http.two-bodies",
    "respond.two-bodies",
    "yaml.missing-key",
    "yaml.unknown-key",
    "yaml.word",
];

/// Which handshakes need a token, their table says to the reader alone.
const UNTOLD: &str = "credentials/handshake-without-token.yaml";

/// The wrong files of `tests/wrong`: what is built wrong is refused by the schema, and what is only warned of is not.
#[test]
fn wrong_files_are_refused() {
    let judge = Judge::new();
    let wrong = root().join("tests/wrong");
    let (mut odd, mut refused, mut warned) = (Vec::new(), 0, 0);
    for path in files(&wrong, "yaml") {
        let Ok(said) = fs::read_to_string(path.with_extension("txt")) else { continue };
        let topic = path.strip_prefix(&wrong).unwrap().iter().next().unwrap().to_str().unwrap();
        let name = match topic {
            "credentials" => "credentials",
            "service" => "config",
            _ => "flow",
        };
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let mut diagnostics = Diagnostics::default();
        let Some(root) = parse(&Source::new("wrong.yaml", text), &mut diagnostics) else { continue };
        let structural =
            !path.ends_with(UNTOLD) && STRUCTURAL.iter().any(|code| said.contains(&format!("error[{code}]")));
        let file = root.to_json(&mut diagnostics);
        if !structural && said.contains("error[") {
            continue;
        }
        let objection = judge.objection(name, &file);
        match (structural, objection) {
            (true, None) => odd.push(format!("{} is not refused", path.display())),
            (false, Some(why)) => odd.push(format!("{} is refused: {why}", path.display())),
            (true, Some(_)) => refused += 1,
            (false, None) => warned += 1,
        }
    }
    assert!(odd.is_empty(), "{}", odd.join("\n"));
    assert!(refused > 50 && warned > 20, "{refused} refused, {warned} warned of");
}

/// The word that no map knows.
const STRANGER: &str = "qqqqqqqqqqqqqqqq";

/// A map of a file, and what its schema says of it.
struct Place {
    /// Which child to take, from the root on.
    path: Vec<usize>,
    name: &'static str,
    keys: BTreeSet<&'static str>,
    /// With the keys of those maps that might stand there instead.
    family: BTreeSet<&'static str>,
}

/// Every map of ours in a file, found by the schema.
fn places(schema: &Schema, node: &Node, path: &mut Vec<usize>, found: &mut Vec<Place>) {
    match (schema, &node.value) {
        (Schema::Map(map) | Schema::MapOrNull(map), NodeValue::Map(_)) if fits(map, node) => {
            within(map, keys(map), node, path, found);
        }
        (Schema::OneOf(one), NodeValue::Map(_)) => {
            let maps: Vec<_> = (one.of)().into_iter().map(|(_, map)| map).collect();
            let family: BTreeSet<_> = maps.iter().flat_map(keys).collect();
            for map in maps.iter().filter(|map| fits(map, node)).take(1) {
                within(map, family.clone(), node, path, found);
            }
        }
        (Schema::MapOf(schema), NodeValue::Map(entries)) => {
            for (at, (_, value)) in entries.iter().enumerate() {
                path.push(at);
                places(schema, value, path, found);
                path.pop();
            }
        }
        (Schema::List(schema), NodeValue::Seq(items)) => {
            for (at, item) in items.iter().enumerate() {
                path.push(at);
                places(schema, item, path, found);
                path.pop();
            }
        }
        (Schema::AnyOf(schemas), _) => schemas.iter().for_each(|it| places(it, node, path, found)),
        (Schema::Shared(_, schema), _) => places(schema, node, path, found),
        _ => {}
    }
}

fn within(
    map: &MapSchema,
    family: BTreeSet<&'static str>,
    node: &Node,
    path: &mut Vec<usize>,
    found: &mut Vec<Place>,
) {
    let NodeValue::Map(entries) = &node.value else { return };
    found.push(Place { path: path.clone(), name: map.name, keys: keys(map), family });
    for (at, (name, value)) in entries.iter().enumerate() {
        let key = map.keys.iter().find(|key| key.key == name.text()).unwrap();
        path.push(at);
        places(&key.schema, value, path, found);
        path.pop();
    }
}

fn keys(map: &MapSchema) -> BTreeSet<&'static str> {
    map.keys.iter().map(|key| key.key).collect()
}

fn fits(map: &MapSchema, node: &Node) -> bool {
    let NodeValue::Map(entries) = &node.value else { return false };
    let written = |key: &Key| entries.iter().find(|(name, _)| name.text() == key.key).map(|(_, value)| value);
    let known = |name: &Node| map.keys.iter().any(|key| key.key == name.text());
    entries.iter().all(|(name, _)| known(name))
        && map.keys.iter().all(|key| match (written(key), key.schema) {
            (Some(value), Schema::Is(word)) => value.text() == word,
            (written, _) => written.is_some() || !key.required,
        })
}

/// The same file with a strange key in one of its maps.
fn with_a_stranger(root: &Node, path: &[usize]) -> Node {
    let mut root = root.clone();
    let mut node = &mut root;
    for at in path {
        node = match &mut node.value {
            NodeValue::Map(entries) => &mut entries[*at].1,
            NodeValue::Seq(items) => &mut items[*at],
            NodeValue::Scalar(_) => panic!("no map is below a scalar"),
        };
    }
    let mut diagnostics = Diagnostics::default();
    let key = parse(&Source::new("stranger.yaml", STRANGER), &mut diagnostics).unwrap();
    if let NodeValue::Map(entries) = &mut node.value {
        entries.push((key.clone(), key));
    }
    root
}

/// What the reader of a file says.
fn read(name: &str, root: &Node) -> String {
    let mut diagnostics = Diagnostics::default();
    let secrets = FolderSecrets::invented();
    let credentials = parse(
        &Source::new("credentials.yaml", "shop: {type: api_key, header: X-Key, keys: [{env: A}]}\n"),
        &mut diagnostics,
    );
    let credentials = Credentials::load(&credentials.unwrap(), &secrets, &mut diagnostics);
    match name {
        "config" => drop(Config::read(root, &secrets, &mut diagnostics)),
        "credentials" => drop(Credentials::load(root, &secrets, &mut diagnostics)),
        "integration" => Integrations::default().load(root, &secrets, &mut diagnostics),
        "subscription" => Subscriptions::default().load(root, &secrets, &mut diagnostics),
        _ => {
            let integrations = Integrations::of_examples();
            let read_file = |path: &str| Err(format!("there is no `{path}`"));
            let surroundings = Surroundings {
                credentials: &credentials,
                integrations: &integrations,
                body_limit: 1 << 20,
                read_file: &read_file,
            };
            drop(Flow::load(root, &surroundings, &mut diagnostics));
        }
    }
    diagnostics.render(false)
}

/// The keys that a reader says are known where the strange one stands.
fn known_beside_the_stranger(said: &str) -> Option<BTreeSet<String>> {
    let (_, rest) = said.split_once(&format!("unknown key `{STRANGER}`"))?;
    let (_, list) = rest.split_once("known here: ")?;
    let list = list.split('\n').next()?;
    Some(list.split('`').skip(1).step_by(2).map(str::to_owned).collect())
}

/// The tables say neither less nor more than the readers take: in each map a strange key makes its reader list those
/// that it knows.
#[test]
fn the_readers_know_the_keys_of_the_tables() {
    let mut texts: Vec<(&str, String)> =
        FULL.iter().map(|(name, text)| (*name, (*text).to_owned())).collect();
    texts.extend(step_kinds::ALL.iter().map(|kind| ("flow", kind.example.flow.to_owned())));
    let mut known: BTreeMap<(&str, &str), BTreeSet<String>> = BTreeMap::new();
    let mut tables = BTreeMap::new();
    for (name, text) in &texts {
        let mut diagnostics = Diagnostics::default();
        let root = parse(&Source::new("config/full.yaml", text.as_str()), &mut diagnostics).unwrap();
        let mut found = Vec::new();
        places(&kind(name).schema, &root, &mut Vec::new(), &mut found);
        for place in found {
            let said = read(name, &with_a_stranger(&root, &place.path));
            let listed = known_beside_the_stranger(&said)
                .unwrap_or_else(|| panic!("{name}, {} at {:?}: {said}", place.name, place.path));
            known.entry((*name, place.name)).or_default().extend(listed);
            tables.insert((*name, place.name), (place.keys, place.family));
        }
    }
    for (name, (keys, family)) in &tables {
        let known: BTreeSet<_> = known[name].iter().map(String::as_str).collect();
        let unread: Vec<_> = keys.difference(&known).collect();
        let untold: Vec<_> = known.difference(family).collect();
        assert!(
            unread.is_empty() && untold.is_empty(),
            "{name:?}: nobody reads {unread:?}, and no table tells {untold:?}"
        );
    }
    let mut missing = Vec::new();
    for kind in ALL {
        let schema = kind.json_schema();
        let maps = schema["$defs"].as_object().unwrap().iter();
        let maps = maps.filter(|(_, map)| map.get("additionalProperties") == Some(&Json::Bool(false)));
        let shown = |name: &str| tables.contains_key(&(kind.name, name));
        missing.extend(maps.filter(|(name, _)| !shown(name)).map(|(name, _)| name.clone()));
    }
    assert!(missing.is_empty(), "no file shows {missing:?}");
}
