//! The book is made, and every link in it leads to something, held by `cargo test`.

use std::collections::BTreeMap;
use std::path::Path;
use xtask::{book::Book, root, tree::Tree};

/// What stands between `open` and the next quotation mark.
fn values<'t>(text: &'t str, open: &str) -> Vec<&'t str> {
    text.split(open).skip(1).map(|rest| rest.split_once('"').map_or(rest, |(value, _)| value)).collect()
}

#[test]
fn every_link_leads_somewhere() {
    let book = Book::of(&Tree::read(&root()).unwrap());
    assert!(book.findings.is_empty(), "cargo xtask book finds:\n{}", book.findings.join("\n"));
    let pages: Vec<_> =
        book.files.iter().filter(|(name, _)| Path::new(name).extension() == Some("html".as_ref())).collect();
    assert!(pages.len() > 200, "only {} pages", pages.len());

    // What was read is judged above; this is what was written.
    let ids: BTreeMap<_, _> =
        pages.iter().map(|(name, text)| (name.as_str(), values(text, " id=\""))).collect();
    let (mut links, mut dead) = (0, Vec::new());
    for (name, text) in pages {
        assert!(!text.contains("<script"), "{name}");
        let pictures = values(text, " src=\"");
        for to in values(text, "href=\"").into_iter().chain(pictures).filter(|to| !to.starts_with("http")) {
            links += 1;
            let (file, anchor) = to.split_once('#').map_or((to, None), |(file, anchor)| (file, Some(anchor)));
            let depth = name.matches('/').count();
            let file = match file.strip_prefix(&"../".repeat(depth)) {
                _ if file.is_empty() => name.as_str(),
                Some(file) => file,
                None => "not from the top",
            };
            let leads = match anchor {
                Some(anchor) => ids.get(file).is_some_and(|ids| ids.contains(&anchor)),
                None => book.files.contains_key(file),
            };
            if !leads {
                dead.push(format!("{name}: {to}"));
            }
        }
    }
    assert!(links > 5_000, "only {links} links");
    assert!(dead.is_empty(), "{dead:?}");
}
