//! Messages as the model sees them: lines of text, read character by character by the grammar of RFC 9110 §5.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The fields of a message. Names are in small letters; each character of a value stands for one byte.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(pub Vec<(String, String)>);

impl Message {
    pub fn push(&mut self, name: &str, value: impl Into<String>) {
        self.0.push((name.to_owned(), value.into()));
    }

    pub fn lines(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(of, _)| of == name).map(|(_, value)| value.as_str()).collect()
    }

    pub fn first(&self, name: &str) -> Option<&str> {
        self.lines(name).first().copied()
    }

    pub fn has(&self, name: &str) -> bool {
        !self.lines(name).is_empty()
    }

    /// The same for the code under test. A line that HTTP does not allow is left out here and in the model
    /// (see [`Message::legal`]).
    pub fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in &self.0 {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_bytes(&bytes(value)).unwrap());
        }
        headers
    }

    /// Without lines that no field may hold.
    pub fn legal(mut self) -> Self {
        self.0.retain(|(_, value)| HeaderValue::from_bytes(&bytes(value)).is_ok());
        self
    }
}

fn bytes(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(b'?')).collect()
}

pub fn trimmed(text: &str) -> String {
    text.trim_matches([' ', '\t']).to_owned()
}

/// The members of a list, empty ones left out (RFC 9110 §5.6.1.2), over all lines (§5.3).
pub fn members(message: &Message, name: &str) -> Vec<String> {
    places(message, name).into_iter().filter(|member| !member.is_empty()).collect()
}

/// The same with the empty ones.
pub fn places(message: &Message, name: &str) -> Vec<String> {
    message.lines(name).into_iter().flat_map(split).collect()
}

/// A line at its commas, but for those in quoted strings (RFC 9110 §5.6.4). A quote that begins no whole quoted
/// string is a character like any other.
fn split(line: &str) -> Vec<String> {
    let text: Vec<char> = line.chars().collect();
    let mut found = vec![String::new()];
    let mut at = 0;
    while at < text.len() {
        let end = if text[at] == '"' { end_of_quoted(&text, at) } else { None };
        match end {
            Some(end) => {
                found.last_mut().unwrap().extend(&text[at..=end]);
                at = end;
            }
            None if text[at] == ',' => found.push(String::new()),
            None => found.last_mut().unwrap().push(text[at]),
        }
        at += 1;
    }
    found.iter().map(|member| trimmed(member)).collect()
}

/// Where the quoted string that begins at `open` ends.
fn end_of_quoted(text: &[char], open: usize) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in text.iter().enumerate().skip(open + 1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some(at),
            _ => {}
        }
    }
    None
}

/// What a quoted string says, its escapes undone (RFC 9110 §5.6.4); anything else as it is.
pub fn unquoted(text: &str) -> String {
    let chars: Vec<char> = text.chars().collect();
    let whole = chars.first() == Some(&'"') && end_of_quoted(&chars, 0) == Some(chars.len() - 1);
    if !whole {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut escaped = false;
    for c in &chars[1..chars.len() - 1] {
        if *c == '\\' && !escaped {
            escaped = true;
        } else {
            out.push(*c);
            escaped = false;
        }
    }
    out
}

/// A cache directive (RFC 9111 §5.2): its name in small letters, and what follows its `=`.
pub struct Directive {
    pub name: String,
    pub argument: Option<String>,
    /// There is a space before the `=`, where none may be: the number is malformed.
    spaced: bool,
}

pub fn directives(message: &Message, field: &str) -> Vec<Directive> {
    let parse = |member: &String| {
        let (name, argument) = match member.find('=') {
            Some(at) => (&member[..at], Some(member[at + 1..].to_owned())),
            None => (member.as_str(), None),
        };
        let spaced = name.ends_with([' ', '\t']);
        Directive { name: name.trim_end_matches([' ', '\t']).to_ascii_lowercase(), argument, spaced }
    };
    members(message, field).iter().map(parse).collect()
}

impl Directive {
    /// The argument as seconds (RFC 9111 §1.2.2), as a token or a quoted string (§5.2).
    pub fn seconds(&self) -> Option<i128> {
        if self.spaced {
            return None;
        }
        delta_seconds(&unquoted(self.argument.as_ref()?))
    }
}

/// Digits and nothing else; what is larger than 2³¹ is that (RFC 9111 §1.2.2).
pub fn delta_seconds(text: &str) -> Option<i128> {
    if text.is_empty() || !text.chars().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let digits = text.trim_start_matches('0');
    let largest = 2_147_483_648;
    Some(if digits.len() > 12 { largest } else { digits.parse().unwrap_or(0).min(largest) })
}

/// A field name in small letters, if it is one: a token (RFC 9110 §5.1, §5.6.2).
pub fn field_name(text: &str) -> Option<String> {
    let is_tchar = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    (!text.is_empty() && text.chars().all(is_tchar)).then(|| text.to_ascii_lowercase())
}

/// The names of a list of field names, if it names any and nothing else.
pub fn field_names(text: &str) -> Option<Vec<String>> {
    let names: Vec<String> = text.split(',').map(trimmed).filter(|name| !name.is_empty()).collect();
    let names: Option<Vec<String>> = names.iter().map(|name| field_name(name)).collect();
    names.filter(|names| !names.is_empty())
}
