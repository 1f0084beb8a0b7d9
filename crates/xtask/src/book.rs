//! `cargo xtask book`: the pages of `docs` as HTML, without scripts, and every link in the project's Markdown held to what it
//! leads to.
//!
//! A link to a page leads to its HTML, and a picture stands beside it. One to any other file of the project leads to a copy of it in the book, so that
//! the book can be moved as a folder.

mod page;

use crate::tree::Tree;
use anyhow::{Context as _, Result};
use page::{Link, Page, escaped, resolved};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

const DOCS: &str = "docs/";
const CONTENTS: &str = "docs/README.md";
/// The page of a code stands in the table of codes and in no other contents.
const CODES: &str = "docs/errors/";
const STYLE: &str = include_str!("book/book.css");

/// The pages as they are written, and what is wrong with the links.
#[derive(Debug)]
pub struct Book {
    /// What each file of the book holds, by its path.
    pub files: BTreeMap<String, String>,
    /// `file:line: what is wrong`.
    pub findings: Vec<String>,
}

/// Writes the book into the target folder.
///
/// # Errors
/// When the project cannot be read or the book not be written; a link that leads nowhere is an exit code instead.
pub fn run(root: &Path) -> Result<ExitCode> {
    let book = Book::of(&Tree::read(root)?);
    let folder = crate::bench::target(root)?.join("book");
    book.write(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    for finding in &book.findings {
        println!("{finding}");
    }
    println!("{}", folder.join("index.html").display());
    Ok(if book.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

impl Book {
    /// Makes the book of a project.
    pub fn of(tree: &Tree) -> Self {
        let markdown = tree.files.iter().filter(|file| file.extension() == Some("md"));
        let pages: BTreeMap<_, _> =
            markdown.map(|file| (file.path.as_str(), Page::read(&file.path, &file.text))).collect();
        let mut book = Self { files: BTreeMap::new(), findings: Vec::new() };
        for page in pages.values() {
            book.findings.extend(page.findings.iter().cloned());
            for link in &page.links {
                book.follow(tree, &pages, page, link);
            }
        }
        book.bind(&pages);
        book.findings.sort();
        book
    }

    /// Says when a link leads nowhere; brings what a page of the book links to into the book.
    fn follow(&mut self, tree: &Tree, pages: &BTreeMap<&str, Page>, page: &Page, link: &Link) {
        let Some((path, anchor)) = resolved(&page.path, &link.to) else { return };
        let at = format!("{}:{}", page.path, link.line);
        let Some(file) = tree.file(&path) else {
            self.findings.push(format!("{at}: there is no file {path}"));
            return;
        };
        if let Some(anchor) = anchor {
            let known = pages.get(path.as_str()).is_some_and(|page| page.anchors.contains(anchor));
            if !known {
                self.findings.push(format!("{at}: {path} has no heading #{anchor}"));
            }
        }
        let is_bound = path.starts_with(DOCS) && pages.contains_key(path.as_str());
        if page.path.starts_with(DOCS) && !is_bound {
            let name = if path.starts_with(DOCS) { page::written(&path) } else { page::copied(&path) };
            self.files.insert(name, file.text.clone());
        }
    }

    /// Puts each page of `docs` between the contents and the end.
    fn bind(&mut self, pages: &BTreeMap<&str, Page>) {
        let Some(contents) = pages.get(CONTENTS) else {
            self.findings.push(format!("{CONTENTS}: is missing"));
            return;
        };
        self.files.insert("book.css".into(), STYLE.into());
        for page in pages.values().filter(|page| page.path.starts_with(DOCS)) {
            let listed = page.path == CONTENTS
                || page.path.starts_with(CODES)
                || contents.links.iter().any(|link| format!("{DOCS}{}", link.to) == page.path);
            if !listed {
                self.findings.push(format!("{}:1: is not listed in {CONTENTS}", page.path));
            }
            self.files.insert(page.written(), html(page, contents));
        }
    }

    fn write(&self, folder: &Path) -> Result<()> {
        // What an earlier book had and this one has not must not stay.
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        for (name, content) in &self.files {
            let path = folder.join(name);
            fs::create_dir_all(path.parent().unwrap_or(folder))?;
            fs::write(path, content)?;
        }
        Ok(())
    }
}

fn html(page: &Page, contents: &Page) -> String {
    let up = "../".repeat(page.written().matches('/').count());
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <title>{title} · hookflow</title>\n<link rel=\"stylesheet\" href=\"{up}book.css\">\n\
         <nav>\n{nav}</nav>\n<main>\n{body}</main>\n</html>\n",
        title = escaped(&page.title),
        nav = nav(page, contents, &up),
        body = page.body,
    )
}

/// The contents beside a page: the sections and links of `docs/README.md`.
fn nav(page: &Page, contents: &Page, up: &str) -> String {
    let mut text = format!("<p><a href=\"{up}index.html\">hookflow</a></p>\n");
    let mut section = "";
    for link in &contents.links {
        let Some((path, _)) = resolved(CONTENTS, &link.to).filter(|(path, _)| path.starts_with(DOCS)) else {
            continue;
        };
        if link.section != section {
            section = &link.section;
            text.push_str(&format!("<h2>{}</h2>\n", escaped(section)));
        }
        let here = if path == page.path { " aria-current=\"page\"" } else { "" };
        let target = page::written(&path);
        text.push_str(&format!("<a href=\"{up}{target}\"{here}>{}</a>\n", escaped(&link.text)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::File;

    fn book(files: &[(&str, &str)]) -> Book {
        let files = files.iter().map(|(path, text)| File { path: (*path).into(), text: (*text).into() });
        Book::of(&Tree { files: files.collect(), ..Tree::default() })
    }

    const CONTENTS: (&str, &str) = ("docs/README.md", "# Book\n\n## All\n\n- [A](a.md): one\n");

    #[test]
    fn a_link_that_leads_nowhere_is_found() {
        let wrong =
            "# A\n\n[x](b.md) [y](#none)\n[z](README.md#all) [w](../flows/a.yaml) [h](https://a.example)\n";
        let found = book(&[CONTENTS, ("docs/a.md", wrong)]).findings;
        assert_eq!(
            found,
            [
                "docs/a.md:3: docs/a.md has no heading #none",
                "docs/a.md:3: there is no file docs/b.md",
                "docs/a.md:4: there is no file flows/a.yaml",
            ]
        );
    }

    #[test]
    fn a_page_that_nobody_lists_and_html_of_its_own_are_found() {
        let found = book(&[CONTENTS, ("docs/a.md", "# A\n\n<b>x\n"), ("docs/b.md", "# B\n")]).findings;
        assert_eq!(
            found,
            ["docs/a.md:3: HTML in a page: <b>", "docs/b.md:1: is not listed in docs/README.md",]
        );
        assert_eq!(book(&[]).findings, ["docs/README.md: is missing"]);
    }

    #[test]
    fn links_lead_to_pages_and_to_copies() {
        let page =
            "# A & B\n\n## One `two`\n\n[x](#one-two) [y](../flows/a.yaml) [z](README.md) ![p](p.svg)\n";
        let book =
            book(&[CONTENTS, ("docs/a.md", page), ("docs/p.svg", "<svg/>"), ("flows/a.yaml", "flow: a\n")]);
        assert!(book.findings.is_empty(), "{:?}", book.findings);
        assert_eq!(
            book.files.keys().map(String::as_str).collect::<Vec<_>>(),
            ["a.html", "book.css", "index.html", "p.svg", "project/flows/a.yaml"]
        );
        let html = &book.files["a.html"];
        for part in [
            "<title>A &amp; B · hookflow</title>",
            "<h2 id=\"one-two\">",
            "href=\"#one-two\"",
            "href=\"project/flows/a.yaml\"",
            "href=\"index.html\"",
            "<img src=\"p.svg\" alt=\"p\" />",
            "<a href=\"a.html\" aria-current=\"page\">A</a>",
        ] {
            assert!(html.contains(part), "{part} in {html}");
        }
    }
}
