//! What is said to people about a configuration.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use super::source::{Position, Source};

/// Complaints that are kept; of more, only the number is told.
pub const MOST: usize = 1000;

/// The widest part of a line that is shown.
const WIDEST: usize = 160;

/// What is shown of a wide line before the text that is meant.
const BEFORE: usize = 60;

/// Whether a configuration may be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// It may not.
    Error,
    /// It may, but is hardly what was meant.
    Warning,
}

/// One thing that is wrong: `FILE:LINE:COLUMN: what`, the line with the text underlined, and what to do.
///
/// Nothing that it shows can steer a terminal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    severity: Severity,
    /// The number of the file, in the order of reading.
    file: usize,
    name: PathBuf,
    excerpt: Option<Excerpt>,
    message: String,
    hint: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Excerpt {
    position: Position,
    line: String,
    underline: String,
}

impl Complaint {
    /// About a file as a whole.
    pub(super) fn about_file(file: usize, name: PathBuf, message: String) -> Self {
        Self { severity: Severity::Error, file, name, excerpt: None, message, hint: None }
    }

    pub(super) fn new(file: usize, source: &Source, span: &Range<usize>, message: String) -> Self {
        let excerpt = Some(Excerpt::new(source, span));
        Self { severity: Severity::Error, file, name: source.name.clone(), excerpt, message, hint: None }
    }

    /// Says what to do about it.
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// Whether the configuration may be used all the same.
    pub fn severity(&self) -> Severity {
        self.severity
    }

    /// The file, as it is named to people.
    pub fn file(&self) -> &Path {
        &self.name
    }

    /// What is wrong, without its place.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it, if there is something to say.
    pub fn what_to_do(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// Line and column in its file, from 1; `None` if it is about the whole file.
    pub fn position(&self) -> Option<(usize, usize)> {
        self.excerpt.as_ref().map(|excerpt| (excerpt.position.line, excerpt.position.column))
    }

    fn order(&self) -> (usize, Option<Position>) {
        (self.file, self.excerpt.as_ref().map(|excerpt| excerpt.position))
    }
}

impl Excerpt {
    fn new(source: &Source, span: &Range<usize>) -> Self {
        let position = source.position(span.start);
        let before = position.column - 1;
        let skipped = if before > WIDEST - BEFORE { before - BEFORE } else { 0 };
        let shown: String = source.line(position.line).chars().skip(skipped).take(WIDEST).collect();
        // A tab keeps its width in both lines.
        let lead: String = shown
            .chars()
            .chain(std::iter::repeat(' '))
            .take(before - skipped)
            .map(|c| if c == '\t' { c } else { ' ' })
            .collect();
        let room = shown.chars().count().saturating_sub(before - skipped).max(1);
        let underline = lead + &"^".repeat(source.width(span).min(room));
        Self { position, line: harmless(&without_passwords(&shown)), underline }
    }
}

/// The line with `*` for each character of a user name and password in a URL.
fn without_passwords(line: &str) -> String {
    let mut safe = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("://") {
        safe.push_str(before);
        safe.push_str("://");
        let end = after.find(|c: char| c.is_whitespace() || "/\"'".contains(c)).unwrap_or(after.len());
        let (authority, following) = after.split_at(end);
        let (user, host) = authority.split_at(authority.rfind('@').unwrap_or(0));
        safe.extend(user.chars().map(|_| '*'));
        safe.push_str(host);
        rest = following;
    }
    safe + rest
}

/// The text with one `�` for each character that a terminal would obey.
pub(super) fn harmless(text: &str) -> String {
    text.chars().map(|c| if c.is_control() && c != '\t' { '\u{fffd}' } else { c }).collect()
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", harmless(&self.name.display().to_string()))?;
        if let Some(Excerpt { position, .. }) = &self.excerpt {
            write!(f, ":{}:{}", position.line, position.column)?;
        }
        let kind = if self.severity == Severity::Warning { "warning: " } else { "" };
        write!(f, ": {kind}{}", harmless(&self.message))?;
        if let Some(Excerpt { line, underline, .. }) = &self.excerpt {
            write!(f, "\n    {line}\n    {underline}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n    {}", harmless(hint))?;
        }
        Ok(())
    }
}

/// All complaints about a configuration, by file (in the order of reading) and position.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Complaints {
    all: Vec<Complaint>,
    more: usize,
    more_warnings: usize,
}

impl Complaints {
    pub(super) fn add(&mut self, complaint: Complaint) {
        if self.has_room() {
            self.all.push(complaint);
        } else {
            self.count(complaint.severity == Severity::Warning);
        }
    }

    /// Counts one that is not kept.
    pub(super) fn count(&mut self, warning: bool) {
        if warning { self.more_warnings += 1 } else { self.more += 1 }
    }

    /// Whether another one will be kept, so that it is worth the trouble to find out what was meant.
    pub(super) fn has_room(&self) -> bool {
        self.all.len() < MOST
    }

    pub(super) fn sort(&mut self) {
        self.all.sort_by_key(Complaint::order);
    }

    /// Whether there is none, not even a warning.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Whether one of them keeps the configuration from being used.
    pub fn has_errors(&self) -> bool {
        self.errors() > 0
    }

    /// How many keep the configuration from being used.
    pub fn errors(&self) -> usize {
        self.of(Severity::Error).count() + self.more
    }

    /// How many are warnings.
    pub fn warnings(&self) -> usize {
        self.of(Severity::Warning).count() + self.more_warnings
    }

    /// Those that are kept, in order.
    pub fn iter(&self) -> std::slice::Iter<'_, Complaint> {
        self.all.iter()
    }

    fn of(&self, severity: Severity) -> impl Iterator<Item = &Complaint> {
        self.all.iter().filter(move |complaint| complaint.severity == severity)
    }
}

impl<'a> IntoIterator for &'a Complaints {
    type Item = &'a Complaint;
    type IntoIter = std::slice::Iter<'a, Complaint>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl fmt::Display for Complaints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (nth, complaint) in self.all.iter().enumerate() {
            if nth > 0 {
                f.write_str("\n\n")?;
            }
            write!(f, "{complaint}")?;
        }
        if self.more + self.more_warnings > 0 {
            write!(f, "\n\nand {} more", self.more + self.more_warnings)?;
        }
        Ok(())
    }
}
