//! The words of a sentence, each with its place.
//!
//! Invariant: places count characters from the sentence's start, so a fault
//! can be shown under the very word; a phrase is taken whole or not at all.

/// What is wrong with a sentence, and where: characters from its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) from: usize,
    pub(super) width: usize,
    pub(super) message: String,
    pub(super) hint: String,
}

/// The words of a line with their places.
pub(super) struct Words<'a> {
    words: Vec<(usize, &'a str)>,
    pub(super) next: usize,
    length: usize,
}

impl<'a> Words<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let mut words: Vec<(usize, &'a str)> = Vec::new();
        let mut chars = 0;
        for (piece, gap) in pieces(text) {
            if !gap {
                words.push((chars, piece));
            }
            chars += piece.chars().count();
        }
        Self {
            words,
            next: 0,
            length: chars,
        }
    }

    pub(super) fn peek(&self) -> Option<&'a str> {
        self.words.get(self.next).map(|(_, word)| *word)
    }

    /// Takes the words of a phrase, all of them or none.
    pub(super) fn eat(&mut self, phrase: &str) -> bool {
        let mut at = self.next;
        for expected in phrase.split(' ') {
            match self.words.get(at) {
                Some((_, word)) if word.eq_ignore_ascii_case(expected) => at += 1,
                _ => return false,
            }
        }
        self.next = at;
        true
    }

    pub(super) fn take(&mut self, what: &str) -> Result<&'a str, Fault> {
        let Some(word) = self.peek() else {
            return Err(self.fault(format!("the sentence ends before {what}"), "say it"));
        };
        self.next += 1;
        Ok(word)
    }

    /// A fault at the next word, or at the end.
    pub(super) fn fault(&self, message: impl Into<String>, hint: impl Into<String>) -> Fault {
        let (from, width) = match self.words.get(self.next) {
            Some((from, word)) => (*from, word.chars().count()),
            None => (self.length.saturating_sub(1), 1),
        };
        Fault {
            from,
            width,
            message: message.into(),
            hint: hint.into(),
        }
    }

    /// A fault at the word before.
    pub(super) fn fault_before(
        &mut self,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Fault {
        self.next = self.next.saturating_sub(1);
        self.fault(message, hint)
    }

    pub(super) fn at_parenthesis(&self) -> bool {
        self.peek().is_some_and(|word| word.starts_with('('))
    }

    /// The words between the next parentheses, if they come next.
    pub(super) fn parenthesis(&mut self) -> Option<String> {
        if !self.at_parenthesis() {
            return None;
        }
        let length = self.words[self.next..]
            .iter()
            .position(|(_, word)| word.ends_with(')'))?;
        let inside = &self.words[self.next..=self.next + length];
        let text: Vec<&str> = inside.iter().map(|(_, word)| *word).collect();
        self.next += length + 1;
        let text = text.join(" ");
        Some(text[1..text.len() - 1].trim().to_owned())
    }
}

/// The text in stretches of words and of gaps.
fn pieces(text: &str) -> impl Iterator<Item = (&str, bool)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let gap = first.is_whitespace();
        let end = rest
            .find(|c: char| c.is_whitespace() != gap)
            .unwrap_or(rest.len());
        let (piece, after) = rest.split_at(end);
        rest = after;
        Some((piece, gap))
    })
}

/// The second of the day of `09:00` or `09:00:30`.
pub(super) fn clock(word: &str) -> Option<i64> {
    let mut parts = word.split(':');
    let mut part = |max: i64| -> Option<i64> {
        let text = parts.next()?;
        let two = text.len() == 2 && text.bytes().all(|b| b.is_ascii_digit());
        text.parse().ok().filter(|n| two && *n <= max)
    };
    let (hour, minute) = (part(23)?, part(59)?);
    let second = if word.len() > 5 { part(59)? } else { 0 };
    parts
        .next()
        .is_none()
        .then_some(hour * 3_600 + minute * 60 + second)
}

/// `90s`, `5m`, `2h`, up to a month.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let unit = match text.chars().next_back()? {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return None,
    };
    let digits = &text[..text.len() - 1];
    let number: i64 = digits.parse().ok().filter(|n| *n >= 0)?;
    number.checked_mul(unit).filter(|s| *s <= 30 * 86_400)
}

/// `2h late`: how long after it happened a record comes, in seconds.
pub(super) fn lateness(words: &mut Words<'_>, late: &mut i64) -> bool {
    let at = words.next;
    if let Some(span) = words.peek().and_then(seconds) {
        words.next += 1;
        if words.eat("late") {
            *late = span;
            return true;
        }
    }
    words.next = at;
    false
}
