//! What reading goes along with: where it is, what was said already, and what is wrong so far.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeString, DeValue};

use super::complaint::{Complaint, Complaints};
use super::seen::Seen;
use super::source::Source;

/// A value as it stands in a file.
pub(super) type Said<'a> = Spanned<DeValue<'a>>;

/// A key as it stands in a file.
pub(super) type Key<'a> = Spanned<DeString<'a>>;

/// Where something was said.
#[derive(Clone, Debug)]
pub(super) struct Place {
    file: usize,
    key: Range<usize>,
    value: Range<usize>,
}

/// Reading in progress. Keys have paths, such as `client.max_head` and `sites.shop.hosts[0]`.
#[derive(Debug, Default)]
pub(super) struct Reader {
    files: Vec<Arc<Source>>,
    file: usize,
    path: String,
    /// Words that may stand in place of the value that is being read.
    words: Vec<&'static str>,
    places: BTreeMap<String, Place>,
    /// Paths of which something is wrong, so that nothing is concluded from them.
    faulty: BTreeSet<String>,
    /// Lines of the present file that are no TOML: what was made of them is not spoken about.
    unreadable: BTreeSet<usize>,
    /// From where on nothing of the present file is spoken about.
    unreadable_from: Option<usize>,
    incomplete: bool,
    complaints: Complaints,
    /// What was read of the configuration itself, and what it was told from other files.
    pub seen: Seen,
    /// Files that it names for others to read.
    pub named: Vec<PathBuf>,
}

impl Reader {
    /// Goes on with a file; gives back its number.
    pub fn enter(&mut self, source: Arc<Source>) -> usize {
        self.files.push(source);
        self.file = self.files.len() - 1;
        self.unreadable.clear();
        self.unreadable_from = None;
        self.file
    }

    /// How many files there are so far.
    pub fn files(&self) -> usize {
        self.files.len()
    }

    /// Bytes of all of them.
    pub fn size(&self) -> u64 {
        self.files.iter().map(|source| source.text.len() as u64).sum()
    }

    /// Goes back to a file.
    pub fn reenter(&mut self, file: usize) {
        self.file = file;
        self.unreadable.clear();
        self.unreadable_from = None;
    }

    /// What paths are relative to.
    pub fn directory(&self) -> &Path {
        self.files.get(self.file).map_or(Path::new("/"), |source| &source.directory)
    }

    /// The path of what is being read.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The last key of that path, with its place in a list.
    pub fn key(&self) -> &str {
        self.path.rsplit('.').next().unwrap_or("")
    }

    /// Reads what is one step below.
    pub fn below<T>(&mut self, step: &str, read: impl FnOnce(&mut Self) -> T) -> T {
        let length = self.path.len();
        if !self.path.is_empty() && !step.starts_with('[') {
            self.path.push('.');
        }
        self.path.push_str(step);
        let words = std::mem::take(&mut self.words);
        let result = read(self);
        self.words = words;
        self.path.truncate(length);
        result
    }

    /// Reads what a word may stand in place of.
    pub fn or_word<T>(&mut self, word: &'static str, read: impl FnOnce(&mut Self) -> T) -> T {
        self.words.push(word);
        let result = read(self);
        self.words.pop();
        result
    }

    /// ` or "off"`, where `"off"` may be said instead.
    pub fn or(&self) -> String {
        self.words.iter().rev().fold(String::new(), |all, word| format!("{all} or {word:?}"))
    }

    /// Notes where the present path was said. Where it was said already, that is complained about, and `false`.
    pub fn note(&mut self, key: Range<usize>, value: Range<usize>) -> bool {
        let place = Place { file: self.file, key, value };
        let Some(earlier) = self.places.get(&self.path) else {
            self.places.insert(self.path.clone(), place);
            return true;
        };
        let (what, earlier) = (self.path.clone(), self.name(earlier));
        let hint = format!("it is at {earlier}: each table is written once, in one file");
        self.complain(&place.key, format!("{what} is said already"), Some(hint));
        false
    }

    /// Notes the place of a member of a list.
    pub fn note_member(&mut self, value: Range<usize>) {
        let place = Place { file: self.file, key: value.clone(), value };
        self.places.insert(self.path.clone(), place);
    }

    /// Notes where something was said that may be said in several files: the first place counts.
    pub fn note_again(&mut self, key: Range<usize>, value: Range<usize>) {
        let place = Place { file: self.file, key, value };
        self.places.entry(self.path.clone()).or_insert(place);
    }

    /// Whether something was said at a path.
    pub fn is_said(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Whether what stands at a path, and below it, is as it was meant.
    pub fn is_sound(&self, path: &str) -> bool {
        !self.faulty.range(path.to_owned()..).take_while(|faulty| faulty.starts_with(path)).any(|faulty| {
            faulty.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Takes note that something was meant to be at a path.
    pub fn suspect(&mut self, path: String) {
        self.faulty.insert(path);
    }

    /// Where something was said first, in the order of reading.
    pub fn order(&self, path: &str) -> (usize, usize) {
        self.places.get(path).map_or((usize::MAX, 0), |place| (place.file, place.value.start))
    }

    /// `FILE:LINE:COLUMN` of what was said at a path.
    pub fn where_is(&self, path: &str) -> String {
        self.places.get(path).map_or_else(|| path.to_owned(), |place| self.name(place))
    }

    fn name(&self, place: &Place) -> String {
        self.files.get(place.file).map_or_else(String::new, |source| {
            let at = source.position(place.key.start);
            format!("{}:{}:{}", source.name.display(), at.line, at.column)
        })
    }

    /// Complains about a text of the present file, which belongs to the present path.
    pub fn complain(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.faulty.insert(self.path.clone());
        self.add(self.file, span, message.into(), hint, false);
    }

    /// Warns about a text of the present file.
    pub fn warn(&mut self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) {
        self.add(self.file, span, message.into(), hint, true);
    }

    /// Complains about a value of the wrong kind.
    pub fn wrong_kind(&mut self, said: &Said<'_>, kind: &str, example: &str) {
        let (key, or) = (self.key(), self.or());
        let message = format!("{key} takes {kind}{or}, not {}", kind_of(said));
        self.complain(&said.span(), message, Some(format!("such as {example}")));
    }

    /// The text of a value; of another kind of value, complains.
    pub fn text<'a>(&mut self, said: &'a Said<'_>, kind: &str, example: &str) -> Option<&'a str> {
        let text = said.get_ref().as_str();
        if text.is_none() {
            self.wrong_kind(said, kind, example);
        }
        text
    }

    /// Complains about the value at a path, wherever that was said; of what was not said, about the nearest thing
    /// around it that was.
    pub fn object(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        self.faulty.insert(path.to_owned());
        self.speak_of(path, |place| &place.value, message.into(), hint, false);
    }

    /// Complains about the key at a path.
    pub fn object_to_key(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        self.faulty.insert(path.to_owned());
        self.speak_of(path, |place| &place.key, message.into(), hint, false);
    }

    /// Warns about the key at a path.
    pub fn doubt(&mut self, path: &str, message: impl Into<String>, hint: Option<String>) {
        self.speak_of(path, |place| &place.key, message.into(), hint, true);
    }

    fn speak_of(
        &mut self,
        path: &str,
        part: fn(&Place) -> &Range<usize>,
        message: String,
        hint: Option<String>,
        warning: bool,
    ) {
        let mut around = path;
        while !around.is_empty() {
            if let Some(place) = self.places.get(around) {
                let part = if around == path { part(place) } else { &place.key };
                let (file, span) = (place.file, part.clone());
                return self.add(file, &span, message, hint, warning);
            }
            around = around.rfind(['.', '[']).and_then(|end| around.get(..end)).unwrap_or("");
        }
        self.add(0, &(0..0), message, hint, warning);
    }

    /// Complains about a line that is no TOML.
    pub fn complain_of_line(&mut self, span: &Range<usize>, message: String, hint: Option<String>) {
        self.incomplete = true;
        let Some(source) = self.files.get(self.file) else { return };
        let line = source.line_of(span.start);
        if !self.unreadable.contains(&line) {
            self.add(self.file, span, message, hint, false);
            self.unreadable.insert(line);
        }
    }

    /// Says nothing about the rest of the present file.
    pub fn ignore_from(&mut self, offset: usize) {
        self.unreadable_from = Some(offset);
    }

    /// `FILE:LINE:COLUMN` of a text of the present file.
    pub fn place_of(&self, span: &Range<usize>) -> String {
        self.name(&Place { file: self.file, key: span.clone(), value: span.clone() })
    }

    /// Complains about a file that cannot be read at all.
    pub fn complain_of_file(&mut self, name: PathBuf, message: String) {
        self.incomplete = true;
        self.complaints.add(Complaint::about_file(self.files.len(), name, message));
    }

    /// Takes note that something was not read, so that nothing can be missed.
    pub fn is_missing_something(&mut self) {
        self.incomplete = true;
    }

    /// Whether everything was read.
    pub fn is_complete(&self) -> bool {
        !self.incomplete
    }

    /// Whether another complaint is worth the trouble.
    pub fn has_room(&self) -> bool {
        self.complaints.has_room()
    }

    fn add(
        &mut self,
        file: usize,
        span: &Range<usize>,
        message: String,
        hint: Option<String>,
        warning: bool,
    ) {
        let Some(source) = self.files.get(file) else {
            // A default, which has no file; a test reads them all.
            return self.complaints.add(Complaint::about_file(0, PathBuf::new(), message));
        };
        let past_the_end = self.unreadable_from.is_some_and(|end| end <= span.start);
        if file == self.file && (past_the_end || self.unreadable.contains(&source.line_of(span.start))) {
            return;
        }
        if !self.complaints.has_room() {
            return self.complaints.count(warning);
        }
        let mut complaint = Complaint::new(file, source, span, message);
        if let Some(hint) = hint {
            complaint = complaint.hint(hint);
        }
        self.complaints.add(if warning { complaint.warning() } else { complaint });
    }

    /// Whether something keeps the configuration from being used.
    pub fn has_errors(&self) -> bool {
        self.complaints.has_errors()
    }

    /// All complaints, in order.
    pub fn finish(mut self) -> Complaints {
        self.complaints.sort();
        self.complaints
    }
}

/// What a value is, in words.
pub(super) fn kind_of(said: &Said<'_>) -> String {
    match said.get_ref().type_str() {
        "array" => "a list".to_owned(),
        "integer" => "a number".to_owned(),
        "float" => "a number with a point".to_owned(),
        "string" => "a text".to_owned(),
        "boolean" => "true or false".to_owned(),
        "datetime" => "a date or time".to_owned(),
        other => format!("a {other}"),
    }
}
