//! What the documentation says of one word: the page of a code, the entry of a verb or of a function.

use hookflow_expr::Function;
use hookflow_flow::{StepKind, step_kinds};

/// Every code with its page, by code.
static CODES: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/pages.rs"));

/// What there is to say of a word, the code's page first. Nothing: it is none that is known.
pub(crate) fn explain(word: &str) -> Vec<String> {
    let verb = step_kinds::ALL.iter().find(|kind| kind.verb == word).map(|kind| verb(kind));
    let own = hookflow_expr::functions().iter().find(|it| it.name == word || it.aliases.contains(&word));
    let brought = hookflow_expr::jinja_filters().any(|name| name == word).then(|| of_jinja(word, "filter"));
    let test = hookflow_expr::jinja_tests().any(|name| name == word).then(|| of_jinja(word, "test"));
    let code = code(word).map(str::to_owned);
    [code, verb, own.map(function), brought, test].into_iter().flatten().collect()
}

/// Every word that can be explained.
pub(crate) fn words() -> impl Iterator<Item = &'static str> {
    let functions = hookflow_expr::functions().iter();
    let functions = functions.flat_map(|it| [it.name].into_iter().chain(it.aliases.iter().copied()));
    codes()
        .chain(step_kinds::ALL.iter().map(|kind| kind.verb))
        .chain(functions)
        .chain(hookflow_expr::jinja_filters())
        .chain(hookflow_expr::jinja_tests())
}

/// Every code that has a page.
pub(crate) fn codes() -> impl Iterator<Item = &'static str> {
    CODES.iter().map(|(code, _)| *code)
}

/// The page of a code.
pub(crate) fn code(code: &str) -> Option<&'static str> {
    CODES.iter().find(|(known, _)| *known == code).map(|(_, page)| *page)
}

/// What a code's page says first, in one line.
pub(crate) fn summary(page: &str) -> String {
    let paragraph =
        page.lines().skip(1).skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    paragraph.collect::<Vec<_>>().join(" ")
}

/// The entry of a verb.
pub(crate) fn verb(kind: &StepKind) -> String {
    let mut text = format!("### `{}`\n\n{} Its result: {}.\n\n", kind.verb, kind.summary, kind.result);
    if !kind.keys().is_empty() {
        text.push_str("| key | |\n|---|---|\n");
    }
    for companion in kind.keys() {
        text.push_str(&format!("| `{}` | {} |\n", companion.key, cell(companion.about)));
    }
    text.push_str(&format!("\n```yaml\n{}```\n", kind.example.flow.trim_start()));
    for (step, status, json) in kind.example.mocks {
        text.push_str(&format!("\n`{step}` is answered with {status} and `{json}`.\n"));
    }
    let (status, body) = kind.example.answer;
    let is_code = status >= 400 && !body.starts_with('{');
    let body = match body {
        "" => String::new(),
        code if is_code => format!("; the run failed with the code `{code}`"),
        body => format!(" and `{body}`"),
    };
    text.push_str(&format!("\nThe sample is answered with {status}{body}.\n"));
    text.replace("\n\n\n", "\n\n")
}

/// The entry of a function.
fn function(function: &Function) -> String {
    let mut text = format!("### `{}({})`\n\n", function.name, function.parameters.join(", "));
    text.push_str(&format!("Gives {}.", function.summary.trim_end_matches('.')));
    if let [first, rest @ ..] = function.parameters {
        let rest = if rest.is_empty() { String::new() } else { format!("({})", rest.join(", ")) };
        text.push_str(&format!(" Also a filter: `{first} | {}{rest}`.", function.name));
    }
    if !function.aliases.is_empty() {
        let aliases: Vec<_> = function.aliases.iter().map(|alias| format!("`{alias}`")).collect();
        text.push_str(&format!(" It answers to {} too.", aliases.join(", ")));
    }
    text.push_str(&format!("\n\n`{}` → `{}`\n", function.example, function.result));
    text
}

fn of_jinja(word: &str, what: &str) -> String {
    let (written, part) = match what {
        "filter" => (format!("value | {word}"), "filters"),
        _ => (format!("value is {word}"), "tests"),
    };
    format!(
        "### `{word}`\n\nOne of Jinja's {part}: `{written}`.\n\nhttps://docs.rs/minijinja/latest/minijinja/{part}/index.html\n"
    )
}

/// A cell of a table.
pub(crate) fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_has_its_page_and_every_word_its_explanation() {
        assert!(codes().count() > 150);
        for code in codes() {
            let page = code_page(code);
            assert!(page.starts_with(&format!("# {code}\n")), "{code}");
            assert!(!summary(page).is_empty(), "{code}");
        }
        for word in words() {
            assert!(!explain(word).is_empty(), "{word}");
        }
        assert!(explain("colour").is_empty());
    }

    fn code_page(word: &str) -> &'static str {
        code(word).unwrap()
    }

    #[test]
    fn a_functions_entry_shows_how_it_is_written() {
        let entry = explain("toUpper").join("\n");
        assert!(entry.starts_with("### `to_upper("), "{entry}");
        assert!(entry.contains("`toUpper`") && entry.contains(" → `"), "{entry}");
        assert!(explain("upper")[0].contains("`value | upper`"));
    }
}
