//! The documentation is held to the code: what a table says is written into the pages between two markers, and every
//! flow that a page or the starter shows is read, and tried where it has a sample.
//!
//! `UPDATE_DOCS=1 cargo test -p hookflow documents` writes the tables anew.

use crate::environment::Environment;
use crate::pages::{self, cell};
use crate::project::{Project, SecretMode};
use crate::sections;
use crate::starter;
use hookflow_flow::{Answer, End, Flow, Integrations, Rehearsal, Start, Surroundings, rehearse, step_kinds};
use hookflow_runtime::Clock;
use hookflow_text::{Diagnostics, Json, Source, parse};
use hookflow_trigger::Credentials;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Two tests may write into one page.
static WRITING: Mutex<()> = Mutex::new(());

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Every page for people: the README, and `docs` without the pages of codes.
fn pages() -> Vec<PathBuf> {
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut pages: Vec<_> = docs.filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    pages.push(root().join("README.md"));
    pages.push(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/starter/README.md"));
    pages.sort();
    pages
}

/// What stands between `<!-- name -->` and `<!-- /name -->` is what the code says.
fn assert_written(page: &str, name: &str, expected: &str) {
    let _alone = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let path = root().join("docs").join(page);
    let text = fs::read_to_string(&path).unwrap();
    let (open, close) = (format!("<!-- {name} -->\n"), format!("<!-- /{name} -->"));
    let (before, rest) = text.split_once(&open).unwrap_or_else(|| panic!("{page} has no {open}"));
    let (found, after) = rest.split_once(&close).unwrap_or_else(|| panic!("{page} has no {close}"));
    if found == expected {
        return;
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        fs::write(&path, format!("{before}{open}{expected}{close}{after}")).unwrap();
        return;
    }
    panic!(
        "docs/{page} is not what the code says; `UPDATE_DOCS=1 cargo test -p hookflow documents` writes:\n{expected}"
    );
}

#[test]
fn the_verbs_are_documented() {
    let entries: Vec<_> = step_kinds::ALL.iter().map(|kind| pages::verb(kind)).collect();
    let text = format!("\n{}", entries.join("\n"));
    assert_written("verbs.md", "verbs", &text);
}

#[test]
fn the_body_formats_are_documented() {
    let rows =
        hookflow_trigger::decoders().iter().map(|it| format!("| `{}` | {} |\n", it.name, cell(it.summary)));
    assert_written(
        "flows.md",
        "body formats",
        &format!("| `body` | |\n|---|---|\n{}", rows.collect::<String>()),
    );
}

#[test]
fn the_functions_are_documented() {
    let mut text = "| name | also | what it gives | example |\n|---|---|---|---|\n".to_owned();
    for function in hookflow_expr::functions() {
        let also = function.aliases.iter().map(|alias| format!("`{alias}`")).collect::<Vec<_>>().join(" ");
        let example = format!("`{}` → `{}`", function.example, function.result);
        text.push_str(&format!(
            "| `{}` | {also} | {} | {} |\n",
            function.name,
            cell(function.summary),
            cell(&example)
        ));
    }
    assert_written("functions.md", "functions", &text);
}

#[test]
fn the_codes_are_documented() {
    let mut text = "| code | |\n|---|---|\n".to_owned();
    for code in pages::codes() {
        let summary = pages::summary(pages::code(code).unwrap());
        text.push_str(&format!("| [`{code}`](errors/{code}.md) | {} |\n", cell(&summary)));
    }
    assert_written("errors.md", "codes", &text);
}

#[test]
fn the_schemes_and_presets_are_documented() {
    let mut text = "| `type` | | for example |\n|---|---|---|\n".to_owned();
    for scheme in hookflow_trigger::auth_schemes() {
        text.push_str(&format!("| `{}` | {} | `{}` |\n", scheme.name, cell(scheme.summary), scheme.example));
    }
    assert_written("authentication.md", "schemes", &text);
    let mut text = "| `preset` | sender |\n|---|---|\n".to_owned();
    for preset in hookflow_trigger::presets() {
        let names = preset.names().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(" ");
        text.push_str(&format!("| {names} | {} |\n", cell(preset.sender())));
    }
    assert_written("authentication.md", "presets", &text);
    let mut text = "| `handshake` | |\n|---|---|\n".to_owned();
    for handshake in hookflow_trigger::handshakes() {
        text.push_str(&format!("| `{}` | {} |\n", handshake.name, cell(handshake.summary)));
    }
    assert_written("authentication.md", "handshakes", &text);
    let slack = hookflow_trigger::presets().iter().find(|preset| preset.name() == "slack").unwrap();
    let parameters = slack.parameters().trim_end().replace('\n', "\n  ");
    let credential = format!("slack:\n  type: hmac\n  secret: {{env: SLACK_SECRET}}\n  {parameters}\n");
    let block = format!("```yaml\n# config/credentials.yaml\n{credential}```\n");
    assert_written("authentication.md", "slack", &block);
}

#[test]
fn the_sections_are_documented() {
    let defaults: String = sections::ALL.iter().map(|section| section.defaults).collect();
    assert_written(
        "configuration.md",
        "defaults",
        &format!("```yaml\n# config/hookflow.yaml\n{defaults}```\n"),
    );
}

#[test]
fn the_settings_that_wait_for_a_restart_are_documented() {
    let settings = sections::ALL.iter().flat_map(|section| section.settings);
    let keys: Vec<_> = settings.map(|setting| setting.key).collect();
    assert!(keys.is_sorted(), "{keys:?}");
    let keys: Vec<_> = keys.iter().map(|key| format!("`{key}`")).collect();
    assert_written("operations.md", "settings", &format!("{}.\n", keys.join(", ")));
}

#[test]
fn the_endpoints_are_documented() {
    let rows =
        hookflow_console::ENDPOINTS.iter().map(|it| format!("| `{}` | {} |\n", it.path, cell(it.summary)));
    assert_written(
        "operations.md",
        "endpoints",
        &format!("| path | |\n|---|---|\n{}", rows.collect::<String>()),
    );
}

/// The credentials that pages may name.
const CREDENTIALS: &str = "
github: {type: hmac, preset: github, secret: {env: A}}
hello: {type: api_key, header: X-Api-Key, keys: [{env: A}]}
mobile: {type: api_key, header: X-Api-Key, keys: [{env: A}]}
partner: {type: basic, username: acme, password: {env: A}}
shop: {type: api_key, header: X-Api-Key, keys: [{env: A}]}
";

fn read_flow(name: &str, text: &str) -> Flow {
    let mut diagnostics = Diagnostics::default();
    let secrets = crate::secrets::FolderSecrets::invented();
    let root = parse(&Source::new("credentials.yaml", CREDENTIALS), &mut diagnostics).unwrap();
    let credentials = Credentials::load(&root, &secrets, &mut diagnostics);
    let read_file = |path: &str| Err(format!("there is no `{path}`"));
    let integrations = Integrations::of_examples();
    let surroundings = Surroundings {
        credentials: &credentials,
        integrations: &integrations,
        body_limit: 1 << 20,
        read_file: &read_file,
    };
    let root = parse(&Source::new(name, text), &mut diagnostics).unwrap();
    let flow = Flow::load(&root, &surroundings, &mut diagnostics);
    assert!(diagnostics.is_empty(), "{}", diagnostics.render(false));
    flow.unwrap()
}

fn try_flow(flow: &Flow) -> Rehearsal {
    let at = Clock::system().now();
    let event = flow.sample_event("try".into(), at, "http://127.0.0.1:8080").unwrap();
    let start = Start {
        run: "try".into(),
        started_at: at,
        seed: [0; 16],
        event: event.into(),
        attempt: 1,
        deadline: None,
    };
    rehearse(flow, start, &mut |_, call| call.answered(http::StatusCode::OK, &http::HeaderMap::new(), b""))
}

#[test]
fn every_flow_in_the_documentation_is_sound() {
    let mut flows = 0;
    for page in pages() {
        let text = fs::read_to_string(&page).unwrap();
        for (number, block) in text.split("```yaml\n").skip(1).enumerate() {
            let block = block.split("\n```").next().unwrap();
            if block.starts_with("flow:") {
                read_flow(&format!("{}, block {}", page.display(), number + 1), &format!("{block}\n"));
                flows += 1;
            }
        }
    }
    assert!(flows > 10, "only {flows} flows are shown");
}

#[test]
fn the_example_of_an_integration_is_documented() {
    let example = hookflow_flow::EXAMPLE_INTEGRATION;
    assert_written("integrations.md", "example", &format!("```yaml\n{example}```\n"));
}

#[test]
fn the_starter_greets() {
    let (_, text) = starter::FILES.iter().find(|(name, _)| *name == "flows/hello.yaml").unwrap();
    let rehearsal = try_flow(&read_flow("flows/hello.yaml", text));
    assert_eq!(answer(&rehearsal), (200, r#"{"greeting":"Hello, Ada!","run":"try"}"#.into()));
    let readme = starter::FILES.iter().find(|(name, _)| *name == "README.md").unwrap().1;
    let curl = starter::curl(Path::new(""));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(words(readme).contains(&words(&curl)), "{curl}");
}

fn answer(rehearsal: &Rehearsal) -> (u16, String) {
    match &rehearsal.answer {
        Answer::Reply(reply) | Answer::Accepted(Some(reply)) => {
            (reply.status.as_u16(), String::from_utf8(reply.body.to_vec()).unwrap())
        }
        other => panic!("{other:?}"),
    }
}

/// The flows that a fresh clone serves, with what each sample is answered.
#[test]
fn the_shipped_flows_answer_their_samples() {
    let project = Project::load(&root(), &Environment::default(), SecretMode::Invent).unwrap();
    assert!(project.diagnostics.is_empty(), "{}", project.diagnostics.render(false));
    let expected = [
        ("contact", 200, "<p>Thank you, Ada. We got “Hello &lt;there&gt;”.</p>"),
        ("github-push", 200, r#"{"noted":"ada pushed 2 commits to acme/shop"}"#),
        ("orders", 201, r#"{"id":"A-1","total":1800}"#),
        ("payments", 202, r#"{"received":true}"#),
    ];
    let recipes = recipes();
    let ids = project.flows.iter().map(|loaded| &*loaded.flow.id);
    let ids: Vec<_> = ids.filter(|id| !recipes.iter().any(|recipe| recipe == id)).collect();
    assert_eq!(ids, expected.map(|(id, ..)| id));
    for (id, status, body) in expected {
        let flow = &project.flow(id).unwrap().flow;
        let rehearsal = try_flow(flow);
        assert_eq!(answer(&rehearsal), (status, body.to_owned()), "{id}");
        assert!(matches!(rehearsal.end, Some(End::Succeeded(_))), "{id}: {:?}", rehearsal.end);
        assert!(!flow.webhook.as_ref().unwrap().auth.is_open(), "{id}");
    }
}

/// The names of the pages in `docs/recipes`.
fn recipes() -> Vec<String> {
    let pages = fs::read_dir(root().join("docs/recipes")).unwrap();
    let name = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let mut names: Vec<_> = pages.map(|entry| name(entry.unwrap().path())).collect();
    names.sort();
    names
}

/// A recipe's page shows the flow that is shipped, without its tests, and what it calls.
#[test]
fn every_recipe_is_shipped_as_its_page_shows_it() {
    let shipped = fs::read_dir(root().join("flows/examples")).unwrap();
    assert_eq!(shipped.count(), recipes().len());
    for recipe in recipes() {
        let page = format!("recipes/{recipe}.md");
        let file = format!("flows/examples/{recipe}.yaml");
        let text = fs::read_to_string(root().join(&file)).unwrap();
        let (flow, tests) = text.split_once("\ntests:\n").unwrap();
        assert!(flow.contains(&format!("\nflow: {recipe}\n")) && tests.contains("name: "), "{file}");
        let called = flow.lines().filter_map(|line| line.split_once("call: ")?.1.split_once('.'));
        let called: BTreeSet<_> = called.map(|(name, _)| name).collect();
        let link = |name| format!("[config/integrations/{name}.yaml](../../config/integrations/{name}.yaml)");
        let called = called.into_iter().map(link).collect::<Vec<_>>().join(", ");
        let text = format!("```yaml\n# {file}\n{flow}\n```\n\nWhat it calls: {called}.\n");
        assert_written(&page, "flow", &text);
    }
}

/// What the README shows is what is shipped, and what it says is answered.
#[test]
fn the_readme_shows_a_shipped_flow_and_its_answer() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let shipped = fs::read_to_string(root().join("flows/orders.yaml")).unwrap();
    let shown = readme.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    assert!(shipped.ends_with(shown), "the README shows another flow than flows/orders.yaml");
    let answer = readme.split("```json\n").nth(1).and_then(|rest| rest.split("\n```").next()).unwrap();
    serde_json::from_str::<Json>(answer).unwrap();
}
