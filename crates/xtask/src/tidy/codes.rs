//! Every code has a page in `docs/errors`, every page has a code, and a code is written out where it is
//! made, so that a search for it finds the place.

use super::Finding;
use crate::tree::{File, Tree};
use std::collections::BTreeMap;

const PAGES: &str = "docs/errors/";
/// The two answers of a flow that the contract with callers names without a dot.
const SINGLE_WORDS: &[&str] = &["flow-failed", "flow-timeout"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut made: BTreeMap<&str, (&str, usize)> = BTreeMap::new();
    for file in tree.product() {
        for (number, line) in file.code() {
            for argument in arguments(line) {
                match literal(argument) {
                    Some(code) if is_dotted(code) || SINGLE_WORDS.contains(&code) => {
                        made.entry(code).or_insert((&file.path, number));
                    }
                    Some(code) => {
                        let what = format!("`{code}` is not dotted words such as `queue.full`");
                        findings.push(Finding::new(&file.path, number, what));
                    }
                    None => findings.push(Finding::new(
                        &file.path,
                        number,
                        "a code is written out where it is made: `Code(\"…\")`",
                    )),
                }
            }
        }
    }
    for (code, (path, line)) in &made {
        match tree.file(&format!("{PAGES}{code}.md")) {
            None => {
                let what = format!("`{code}` has no page {PAGES}{code}.md");
                findings.push(Finding::new(path, *line, what));
            }
            Some(page) if !is_page(page, code) => {
                let what = format!("begins with `# {code}` and then says something");
                findings.push(Finding::new(&page.path, 1, what));
            }
            Some(_) => {}
        }
    }
    for page in tree.files.iter().filter(|file| file.path.starts_with(PAGES)) {
        if page.stem().is_some_and(|code| code != "README" && !made.contains_key(code)) {
            findings.push(Finding::new(&page.path, 1, "no code has this page"));
        }
    }
    findings
}

/// What follows each `Code(` in a line that makes or matches one.
fn arguments(line: &str) -> impl Iterator<Item = &str> {
    line.match_indices("Code(").filter_map(move |(at, mark)| {
        let before = line.get(..at)?;
        let other_name = before.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        (!other_name && !before.ends_with("struct ")).then(|| line.get(at + mark.len()..))?
    })
}

fn literal(argument: &str) -> Option<&str> {
    argument.strip_prefix('"')?.split_once('"').map(|(code, _)| code)
}

fn is_dotted(code: &str) -> bool {
    let is_word = |word: &str| {
        word.starts_with(|c: char| c.is_ascii_lowercase())
            && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    code.contains('.') && code.split('.').all(is_word)
}

fn is_page(page: &File, code: &str) -> bool {
    let mut lines = page.text.lines();
    lines.next() == Some(&format!("# {code}")) && lines.any(|line| !line.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    const SOURCE: &str = "crates/hookflow-text/src/a.rs";

    fn found(source: &str, page: Option<&str>) -> Vec<String> {
        let mut files = vec![(SOURCE, source)];
        files.extend(page.map(|text| ("docs/errors/queue.full.md", text)));
        check(&sample(&files)).into_iter().map(|finding| finding.what).collect()
    }

    #[test]
    fn codes_and_pages_match_both_ways() {
        let code = "fn a() { Code(\"queue.full\") }\n";
        assert!(found(code, Some("# queue.full\n\nToo many.\n")).is_empty());
        assert_eq!(found(code, None), ["`queue.full` has no page docs/errors/queue.full.md"]);
        assert_eq!(
            found(code, Some("# queue.full\n\n")),
            ["begins with `# queue.full` and then says something"]
        );
        assert_eq!(found(code, Some("# Queue\n\nx\n")).len(), 1);
        assert_eq!(
            found("// Code(\"queue.full\")\n", Some("# queue.full\n\nx\n")),
            ["no code has this page"]
        );
    }

    #[test]
    fn a_code_is_dotted_words_written_out() {
        assert_eq!(found("Code(\"full\")", None), ["`full` is not dotted words such as `queue.full`"]);
        assert_eq!(found("Code(\"queue.Full\")", None).len(), 1);
        assert_eq!(found("x(Code(word))", None), ["a code is written out where it is made: `Code(\"…\")`"]);
        assert!(found("pub struct Code(pub &'static str);\nStatusCode(200)\n", None).is_empty());
    }
}
