//! Structured dictionaries by the algorithm of RFC 9651 §4.2, step by step.

/// A value without its parameters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    Integer(i128),
    Boolean(bool),
    /// A string or a token.
    Text(String),
    /// A decimal, a date, a byte sequence or a display string, which no directive has.
    Other,
    List(Vec<Value>),
}

/// The members in order, each key once with its last value; `None` if it is no dictionary.
pub fn parse(text: &str) -> Option<Vec<(String, Value)>> {
    let mut input = Input { rest: text.chars().collect() };
    input.skip(&[' ']);
    let members = input.dictionary()?;
    input.skip(&[' ']);
    input.rest.is_empty().then_some(members)
}

struct Input {
    rest: Vec<char>,
}

impl Input {
    fn peek(&self) -> Option<char> {
        self.rest.first().copied()
    }

    fn take(&mut self) -> Option<char> {
        if self.rest.is_empty() { None } else { Some(self.rest.remove(0)) }
    }

    fn skip(&mut self, these: &[char]) {
        while self.peek().is_some_and(|c| these.contains(&c)) {
            self.take();
        }
    }

    fn take_while(&mut self, may: impl Fn(char) -> bool) -> String {
        let mut taken = String::new();
        while self.peek().is_some_and(&may) {
            taken.extend(self.take());
        }
        taken
    }

    fn dictionary(&mut self) -> Option<Vec<(String, Value)>> {
        let mut members: Vec<(String, Value)> = Vec::new();
        while !self.rest.is_empty() {
            let key = self.key()?;
            let value = if self.peek() == Some('=') {
                self.take();
                self.item_or_list()?
            } else {
                self.parameters()?;
                Value::Boolean(true)
            };
            members.retain(|(known, _)| *known != key);
            members.push((key, value));
            self.skip(&[' ', '\t']);
            if self.rest.is_empty() {
                return Some(members);
            }
            if self.take()? != ',' {
                return None;
            }
            self.skip(&[' ', '\t']);
            if self.rest.is_empty() {
                return None;
            }
        }
        Some(members)
    }

    fn item_or_list(&mut self) -> Option<Value> {
        if self.peek() == Some('(') { self.list() } else { self.item() }
    }

    fn list(&mut self) -> Option<Value> {
        self.take();
        let mut items = Vec::new();
        while !self.rest.is_empty() {
            self.skip(&[' ']);
            if self.peek() == Some(')') {
                self.take();
                self.parameters()?;
                return Some(Value::List(items));
            }
            items.push(self.item()?);
            if !matches!(self.peek()?, ' ' | ')') {
                return None;
            }
        }
        None
    }

    fn item(&mut self) -> Option<Value> {
        let value = self.bare()?;
        self.parameters()?;
        Some(value)
    }

    fn parameters(&mut self) -> Option<()> {
        while self.peek() == Some(';') {
            self.take();
            self.skip(&[' ']);
            self.key()?;
            if self.peek() == Some('=') {
                self.take();
                self.bare()?;
            }
        }
        Some(())
    }

    fn key(&mut self) -> Option<String> {
        let starts = |c: char| c.is_ascii_lowercase() || c == '*';
        self.peek().filter(|c| starts(*c))?;
        Some(self.take_while(|c| starts(c) || c.is_ascii_digit() || "_-.".contains(c)))
    }

    fn bare(&mut self) -> Option<Value> {
        match self.peek()? {
            '-' | '0'..='9' => self.number(),
            '"' => self.string(),
            '*' | 'a'..='z' | 'A'..='Z' => Some(Value::Text(
                self.take_while(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c)),
            )),
            ':' => self.bytes(),
            '?' => {
                self.take();
                match self.take()? {
                    '1' => Some(Value::Boolean(true)),
                    '0' => Some(Value::Boolean(false)),
                    _ => None,
                }
            }
            '@' => {
                self.take();
                self.number().filter(|number| matches!(number, Value::Integer(_))).map(|_| Value::Other)
            }
            '%' => self.display(),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<Value> {
        let negative = self.peek() == Some('-');
        if negative {
            self.take();
        }
        self.peek().filter(char::is_ascii_digit)?;
        let mut text = String::new();
        let mut decimal = false;
        while let Some(c) = self.peek() {
            if c == '.' && !decimal {
                if text.len() > 12 {
                    return None;
                }
                decimal = true;
            } else if !c.is_ascii_digit() {
                break;
            }
            text.extend(self.take());
            if text.len() > if decimal { 16 } else { 15 } {
                return None;
            }
        }
        match text.split_once('.') {
            None => text.parse::<i128>().ok().map(|n| Value::Integer(if negative { -n } else { n })),
            Some((_, fraction)) => (1..=3).contains(&fraction.len()).then_some(Value::Other),
        }
    }

    fn string(&mut self) -> Option<Value> {
        self.take();
        let mut text = String::new();
        loop {
            match self.take()? {
                '\\' => text.push(self.take().filter(|c| matches!(c, '"' | '\\'))?),
                '"' => return Some(Value::Text(text)),
                c if (' '..='~').contains(&c) => text.push(c),
                _ => return None,
            }
        }
    }

    fn bytes(&mut self) -> Option<Value> {
        self.take();
        let text = self.take_while(|c| c != ':');
        // Base64 (RFC 4648 §4), whose padding may be left out.
        let data = text.trim_end_matches('=');
        let padding = match data.len() % 4 {
            0 => 0,
            1 => return None,
            part => 4 - part,
        };
        let legal = data.chars().all(|c| c.is_ascii_alphanumeric() || "+/".contains(c))
            && [0, padding].contains(&(text.len() - data.len()));
        (self.take() == Some(':') && legal).then_some(Value::Other)
    }

    fn display(&mut self) -> Option<Value> {
        self.take();
        if self.take()? != '"' {
            return None;
        }
        let mut bytes = Vec::new();
        loop {
            match self.take()? {
                '%' => {
                    let hex = [self.take()?, self.take()?];
                    let value = |c: char| "0123456789abcdef".find(c);
                    bytes.push(u8::try_from(value(hex[0])? * 16 + value(hex[1])?).ok()?);
                }
                '"' => return String::from_utf8(bytes).ok().map(|_| Value::Other),
                c if (' '..='~').contains(&c) => bytes.push(u8::try_from(c).ok()?),
                _ => return None,
            }
        }
    }
}
