//! Texts that may be secret: written plainly, or kept in a file or the environment.

use std::fmt;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::super::reader::{Reader, Said};
use super::super::table::{Kind, Shown};
use super::endpoint::only;
use super::{quoted, shown};
use crate::base::token::Token;
use crate::base::units::ByteSize;

/// The longest secret.
const LONGEST: ByteSize = ByteSize::kib(64);

/// A text that may be secret. It is never shown unless it was written plainly.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    value: String,
    source: SecretSource,
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretSource {
    /// In the configuration itself.
    Plain,
    /// In a file, with or without a line's end after it.
    File(PathBuf),
    /// In a variable of the environment.
    Env(String),
}

impl Secret {
    /// A text that is no secret.
    pub fn plain(value: impl Into<String>) -> Self {
        Self { value: value.into(), source: SecretSource::Plain }
    }

    /// What is kept in a file, or why it cannot be had.
    pub fn in_file(file: PathBuf) -> Result<Self, String> {
        let value = contents(&file)?;
        Ok(Self { value, source: SecretSource::File(file) })
    }

    /// The text itself: not to be logged.
    pub fn expose(&self) -> &str {
        &self.value
    }

    /// Where it is kept.
    pub fn source(&self) -> &SecretSource {
        &self.source
    }

    /// Whether it was written plainly.
    pub fn is_plain(&self) -> bool {
        self.source == SecretSource::Plain
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            SecretSource::Plain => write!(f, "{:?}", self.value),
            other => write!(f, "<{other:?}>"),
        }
    }
}

/// A text that may be secret.
pub struct SecretText;

/// A text that may be secret.
pub fn secret() -> SecretText {
    SecretText
}

impl Kind for SecretText {
    type Value = Secret;

    fn name(&self) -> String {
        "text, { file = PATH } or { env = NAME }".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Secret> {
        if let Some(text) = said.get_ref().as_str() {
            return Some(Secret::plain(text));
        }
        let example = "\"text\", { file = \"/run/secrets/key\" } or { env = \"ORIGIN_KEY\" }";
        let Some(table) = said.get_ref().as_table() else {
            reader.wrong_kind(said, "a text, or a table that says where it is kept", example);
            return None;
        };
        if !only(&["file", "env"], table, reader) {
            return None;
        }
        let found = match (table.get("file"), table.get("env")) {
            (Some(file), None) => from_file(file, reader),
            (None, Some(name)) => from_environment(name, reader),
            _ => {
                let message = format!("{} takes one of file and env", reader.key());
                reader.complain(&said.span(), message, Some(format!("such as {example}")));
                None
            }
        };
        found.filter(|secret| {
            let is_empty = secret.value.is_empty();
            if is_empty {
                reader.complain(&said.span(), format!("the value of {} is empty", reader.key()), None);
            }
            !is_empty
        })
    }

    fn show(&self, value: &Secret) -> Shown {
        match &value.source {
            SecretSource::Plain => shown(&value.value),
            SecretSource::File(file) => {
                Shown::Value(format!("{{ file = {} }}", quoted(&file.display().to_string())))
            }
            SecretSource::Env(name) => Shown::Value(format!("{{ env = {} }}", quoted(name))),
        }
    }
}

/// A token: see [`Token`].
pub struct TokenText;

/// A token: see [`Token`].
pub fn token() -> TokenText {
    TokenText
}

impl Kind for TokenText {
    type Value = Secret;

    fn name(&self) -> String {
        "token, { file = PATH } or { env = NAME }".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Secret> {
        let secret = secret().read(said, reader)?;
        match secret.expose().parse::<Token>() {
            Ok(_) => Some(secret),
            Err(why) => {
                reader.complain(&said.span(), format!("{} is no token", reader.key()), Some(why.to_string()));
                None
            }
        }
    }

    fn show(&self, value: &Secret) -> Shown {
        secret().show(value)
    }
}

/// A token that is not written in the configuration itself.
pub struct KeptToken;

/// A token that is not written in the configuration itself, which is shown to people.
pub fn kept_token() -> KeptToken {
    KeptToken
}

impl Kind for KeptToken {
    type Value = Secret;

    fn name(&self) -> String {
        "{ file = PATH } or { env = NAME }".into()
    }

    fn read(&self, said: &Said<'_>, reader: &mut Reader) -> Option<Secret> {
        if said.get_ref().as_str().is_none() {
            return token().read(said, reader);
        }
        let message = format!("{} is not written here: the configuration is shown to people", reader.key());
        let hint = "such as { file = \"/run/secrets/admin-token\" } or { env = \"FOREBAY_ADMIN_TOKEN\" }";
        reader.complain(&said.span(), message, Some(hint.into()));
        None
    }

    fn show(&self, value: &Secret) -> Shown {
        secret().show(value)
    }
}

fn from_file(said: &Said<'_>, reader: &mut Reader) -> Option<Secret> {
    let text = reader.text(said, "a path", "{ file = \"/run/secrets/key\" }")?;
    let file = reader.directory().join(text);
    reader.seen.note_file(&file);
    match contents(&file) {
        Ok(value) => Some(Secret { value, source: SecretSource::File(file) }),
        Err(reason) => {
            reader.complain(&said.span(), format!("the secret file {text} {reason}"), None);
            None
        }
    }
}

/// The text of a file without the end of its last line.
fn contents(file: &Path) -> Result<String, String> {
    let unreadable = |error: std::io::Error| format!("cannot be read: {error}");
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err("is no regular file".into());
    }
    let mut bytes = Vec::new();
    let opened = fs::File::open(file).map_err(unreadable)?;
    opened.take(LONGEST.0 + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    if bytes.len() as u64 > LONGEST.0 {
        return Err(format!("is longer than {LONGEST}"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| "is not text".to_owned())?;
    for end in ['\n', '\r'] {
        if text.ends_with(end) {
            text.pop();
        }
    }
    Ok(text)
}

fn from_environment(said: &Said<'_>, reader: &mut Reader) -> Option<Secret> {
    let name = reader.text(said, "the name of a variable", "{ env = \"ORIGIN_KEY\" }")?;
    let possible = !name.is_empty() && !name.contains(['=', '\0']);
    match possible.then(|| std::env::var(name)) {
        Some(Ok(value)) => Some(Secret { value, source: SecretSource::Env(name.to_owned()) }),
        Some(Err(std::env::VarError::NotUnicode(_))) => {
            reader.complain(&said.span(), format!("the environment variable {name} is not text"), None);
            None
        }
        Some(Err(std::env::VarError::NotPresent)) => {
            let message = format!("the environment variable {name} is not set");
            reader.complain(&said.span(), message, None);
            None
        }
        None => {
            reader.complain(&said.span(), format!("{name:?} is no name of a variable"), None);
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret { value: "hush".into(), source: SecretSource::Env("KEY".into()) };
        assert_eq!(format!("{secret:?}"), "<Env(\"KEY\")>");
        assert_eq!(secret.expose(), "hush");
        assert_eq!(SecretText.show(&secret), Shown::Value("{ env = \"KEY\" }".into()));
    }
}
