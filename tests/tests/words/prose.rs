//! Running text as words: without code, without addresses, and with the places where a phrase cannot continue.

/// A piece of running text, lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum TextToken {
    Word {
        line: usize,
        text: String,
    },
    /// Text in backticks: it takes a word's place in a sentence, and is not checked itself.
    Code,
    /// Punctuation, or a new paragraph, list item or table cell.
    Break,
}

/// The tokens of Markdown, or of a comment, that starts at `line`.
pub(crate) fn tokens(line: usize, text: &str) -> Vec<TextToken> {
    let mut reader = TextReader { rest: text, line, found: Vec::new() };
    reader.start_line();
    while let Some(next) = reader.rest.chars().next() {
        match next {
            '`' => reader.code(),
            ']' if reader.rest.starts_with("](") => reader.skip_past(')'),
            letter if letter.is_alphabetic() => reader.word(),
            '\n' => {
                reader.advance(1);
                reader.start_line();
            }
            '.' if !ends_sentence(reader.rest) => reader.advance(1),
            ',' | ';' | ':' | '.' | '!' | '?' | '(' | ')' | '|' | '"' | '<' | '–' | '—' | '…' => {
                reader.found.push(TextToken::Break);
                reader.advance(next.len_utf8());
            }
            other => reader.advance(other.len_utf8()),
        }
    }
    reader.found
}

fn ends_sentence(rest: &str) -> bool {
    rest[1..].chars().next().is_none_or(|after| !after.is_alphanumeric())
}

/// Whether a line begins a paragraph, a list item, a heading or a row.
fn begins_block(line: &str) -> bool {
    let bare = line.trim_start();
    let numbered = bare.trim_start_matches(|letter: char| letter.is_ascii_digit());
    bare.is_empty()
        || bare.starts_with(['#', '|', '>'])
        || bare.starts_with("- ")
        || bare.starts_with("* ")
        || numbered.len() < bare.len() && numbered.starts_with(". ")
}

struct TextReader<'a> {
    rest: &'a str,
    line: usize,
    found: Vec<TextToken>,
}

impl TextReader<'_> {
    fn advance(&mut self, bytes: usize) {
        self.line += self.rest[..bytes].matches('\n').count();
        self.rest = &self.rest[bytes..];
    }

    fn skip_past(&mut self, end: char) {
        let length = self.rest.find(end).map_or(self.rest.len(), |index| index + end.len_utf8());
        self.advance(length);
    }

    /// Skips blocks of code, and notes where a phrase cannot continue.
    fn start_line(&mut self) {
        while self.is_at_fence() {
            self.skip_past('\n');
            while !self.rest.is_empty() && !self.is_at_fence() {
                self.skip_past('\n');
            }
            self.skip_past('\n');
            self.found.push(TextToken::Break);
        }
        if begins_block(self.rest.lines().next().unwrap_or_default()) {
            self.found.push(TextToken::Break);
        }
    }

    fn is_at_fence(&self) -> bool {
        self.rest.trim_start_matches(' ').starts_with("```")
    }

    fn code(&mut self) {
        let ticks = self.rest.len() - self.rest.trim_start_matches('`').len();
        let paragraph = self.rest.find("\n\n").unwrap_or(self.rest.len());
        let fence = &self.rest[..ticks];
        match self.rest[ticks..paragraph.max(ticks)].find(fence) {
            Some(length) => {
                self.found.push(TextToken::Code);
                self.advance(ticks + length + ticks);
            }
            None => self.advance(ticks),
        }
    }

    fn word(&mut self) {
        let inside = |letter: char| letter.is_alphanumeric() || matches!(letter, '\'' | '’' | '-' | '_');
        let length = self.rest.find(|letter| !inside(letter)).unwrap_or(self.rest.len());
        let text = self.rest[..length].trim_end_matches(['\'', '’', '-', '_']).to_lowercase();
        self.found.push(TextToken::Word { line: self.line, text });
        self.advance(length);
    }
}
