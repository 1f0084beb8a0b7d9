//! Diagnostics: every mistake in a file, all at once, each with its place, its reason and the nearest right word.

use crate::Span;
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use std::fmt;
use std::sync::Arc;

/// A dotted word that names a refusal, a diagnostic or a fault. Each has a page in `docs/errors`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Code(pub &'static str);

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// Whether a file can be used in spite of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The file can be used.
    Warning,
    /// The file cannot be used.
    Error,
}

/// One mistake in a file.
#[derive(Debug, Clone)]
pub struct Diagnostic {
    /// What kind of mistake.
    pub code: Code,
    /// Whether it stops the load.
    pub severity: Severity,
    /// One sentence, without its place.
    pub message: String,
    /// Where.
    pub span: Span,
    /// A word or two under the marked place.
    pub label: String,
    /// Other places that belong to it.
    pub also: Vec<(Span, String)>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// Sets the words under the marked place.
    pub fn label(&mut self, label: impl Into<String>) -> &mut Self {
        self.label = label.into();
        self
    }

    /// Adds another place that belongs to it.
    pub fn also(&mut self, span: &Span, label: impl Into<String>) -> &mut Self {
        self.also.push((span.clone(), label.into()));
        self
    }

    /// Says what to do.
    pub fn help(&mut self, help: impl Into<String>) -> &mut Self {
        self.help = Some(help.into());
        self
    }

    fn render(&self, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let source = &self.span.source;
        // A code is already in every terminal's and editor's search; the renderer puts it in brackets.
        let mut snippet = Snippet::source(&*source.text)
            .path(&source.name)
            .annotation(AnnotationKind::Primary.span(self.span.range.clone()).label(&self.label));
        for (span, label) in self.also.iter().filter(|(span, _)| Arc::ptr_eq(&span.source, source)) {
            snippet = snippet.annotation(AnnotationKind::Context.span(span.range.clone()).label(label));
        }
        let mut group =
            Group::with_title(level.primary_title(&self.message).id(self.code.0)).element(snippet);
        for (span, label) in self.also.iter().filter(|(span, _)| !Arc::ptr_eq(&span.source, source)) {
            group = group.element(
                Snippet::source(&*span.source.text)
                    .path(&span.source.name)
                    .annotation(AnnotationKind::Context.span(span.range.clone()).label(label)),
            );
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

/// All that was found, in the order it was found.
#[derive(Debug, Clone, Default)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds an error and returns it, to be given a label, another place or help.
    pub fn error(&mut self, code: Code, span: &Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(code, Severity::Error, span, message.into())
    }

    /// Adds a warning.
    pub fn warning(&mut self, code: Code, span: &Span, message: impl Into<String>) -> &mut Diagnostic {
        self.add(code, Severity::Warning, span, message.into())
    }

    fn add(&mut self, code: Code, severity: Severity, span: &Span, message: String) -> &mut Diagnostic {
        self.list.push_mut(Diagnostic {
            code,
            severity,
            message,
            span: span.clone(),
            label: String::new(),
            also: Vec::new(),
            help: None,
        })
    }

    /// Takes over what another reading found.
    pub fn extend(&mut self, other: Self) {
        self.list.extend(other.list);
    }

    /// Everything, in the order it was found.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// Whether anything stops the load.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// How many errors and how many warnings.
    pub fn counts(&self) -> (usize, usize) {
        let errors = self.list.iter().filter(|diagnostic| diagnostic.severity == Severity::Error).count();
        (errors, self.list.len() - errors)
    }

    /// Whether nothing was found.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// The codes, in order.
    pub fn codes(&self) -> Vec<&'static str> {
        self.list.iter().map(|diagnostic| diagnostic.code.0).collect()
    }

    /// Everything, in the order of the files.
    pub fn sorted(&self) -> Vec<&Diagnostic> {
        let mut sorted: Vec<_> = self.list.iter().collect();
        sorted.sort_by(|a, b| {
            (&a.span.source.name, a.span.range.start).cmp(&(&b.span.source.name, b.span.range.start))
        });
        sorted
    }

    /// Every diagnostic with its file, line, column, snippet, reason and help, for a terminal.
    pub fn render(&self, color: bool) -> String {
        self.render_first(usize::MAX, color)
    }

    /// The same of the first `most`.
    pub fn render_first(&self, most: usize, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        self.sorted()
            .iter()
            .take(most)
            .map(|diagnostic| diagnostic.render(&renderer) + "\n")
            .collect::<Vec<_>>()
            .join("\n")
    }
}
