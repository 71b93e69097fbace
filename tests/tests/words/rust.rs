//! What people read in Rust source: comments, messages, names of types.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProseKind {
    Comment,
    /// `///`
    ItemDoc,
    Literal,
}

/// A run of comment lines, or one string literal.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RustProse {
    pub(crate) kind: ProseKind,
    pub(crate) line: usize,
    pub(crate) text: String,
}

/// The comments and string literals of a source file, in order.
pub(crate) fn prose(source: &str) -> Vec<RustProse> {
    let mut found: Vec<RustProse> = Vec::new();
    let mut rest = source;
    let mut before = ' ';
    let mut line = 1;
    while let Some(next) = rest.chars().next() {
        let (length, kind, text) = if rest.starts_with("//") {
            let length = rest.find('\n').unwrap_or(rest.len());
            let is_item_doc = rest.starts_with("///") && !rest.starts_with("////");
            let text = rest[..length].trim_start_matches(['/', '!']);
            (length, if is_item_doc { ProseKind::ItemDoc } else { ProseKind::Comment }, text)
        } else if rest.starts_with("/*") {
            let length = block_comment(rest);
            (length, ProseKind::Comment, rest[..length].trim_matches(['/', '*', '!']))
        } else if let Some((start, end, length)) = string_literal(rest, before) {
            (length, ProseKind::Literal, &rest[start..end])
        } else {
            let length = if next == '\'' { character_literal(rest) } else { next.len_utf8() };
            before = next;
            line += rest[..length].matches('\n').count();
            rest = &rest[length..];
            continue;
        };
        match found.last_mut() {
            Some(last) if kind != ProseKind::Literal && last.kind == kind && last.next_line() == line => {
                last.text.push('\n');
                last.text.push_str(text);
            }
            _ => found.push(RustProse { kind, line, text: text.to_owned() }),
        }
        before = ' ';
        line += rest[..length].matches('\n').count();
        rest = &rest[length..];
    }
    found
}

impl RustProse {
    fn next_line(&self) -> usize {
        self.line + self.text.matches('\n').count() + 1
    }
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0;
    let mut index = 0;
    while index < rest.len() {
        if rest[index..].starts_with("/*") {
            depth += 1;
            index += 2;
        } else if rest[index..].starts_with("*/") {
            depth -= 1;
            index += 2;
            if depth == 0 {
                return index;
            }
        } else {
            index += rest[index..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// Where the text of a string literal at the start of `rest` begins and ends, and where the literal ends.
fn string_literal(rest: &str, before: char) -> Option<(usize, usize, usize)> {
    let may_be_raw = !(before.is_alphanumeric() || before == '_') || matches!(before, 'b' | 'c');
    if may_be_raw && rest.starts_with('r') {
        let hashes = rest[1..].len() - rest[1..].trim_start_matches('#').len();
        let start = hashes + 2;
        if rest[hashes + 1..].starts_with('"') {
            let closing = format!("\"{}", "#".repeat(hashes));
            let end = rest[start..].find(&closing).map_or(rest.len(), |index| start + index);
            return Some((start, end, rest.len().min(end + closing.len())));
        }
    }
    if !rest.starts_with('"') {
        return None;
    }
    let mut escaped = false;
    for (index, letter) in rest.char_indices().skip(1) {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return Some((1, index, index + 1)),
            _ => {}
        }
    }
    Some((1, rest.len(), rest.len()))
}

/// The length of a character literal, or of the quote of a lifetime.
fn character_literal(rest: &str) -> usize {
    let mut letters = rest.char_indices().skip(1);
    match (letters.next(), letters.next()) {
        (Some((_, '\\')), Some((after, letter))) => {
            let tail = after + letter.len_utf8();
            rest[tail..].find('\'').map_or(1, |index| tail + index + 1)
        }
        (Some(_), Some((end, '\''))) => end + 1,
        _ => 1,
    }
}

/// The part of a source file before its own tests.
pub(crate) fn without_tests(source: &str) -> &str {
    let mut at = 0;
    for line in source.split_inclusive('\n') {
        let after = source[at + line.len()..].lines().next().unwrap_or_default();
        if line.starts_with("#[cfg(test)]") && after.starts_with("mod ") && after.ends_with('{') {
            return &source[..at];
        }
        at += line.len();
    }
    source
}

/// The types that a file declares at the level of its module, each with its line.
pub(crate) fn type_names(source: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (index, line) in source.lines().enumerate() {
        let mut words = line.split_whitespace().peekable();
        if line.starts_with(char::is_whitespace) {
            continue;
        }
        while words.peek().is_some_and(|word| word.starts_with("pub") || *word == "unsafe") {
            words.next();
        }
        if !matches!(words.next(), Some("struct" | "enum" | "trait" | "type" | "union")) {
            continue;
        }
        let name = words.next().unwrap_or_default();
        let end = name.find(|letter: char| !letter.is_alphanumeric()).unwrap_or(name.len());
        found.push((index + 1, &name[..end]));
    }
    found
}

/// How many words a name in CamelCase has; `HTTPServer` and `Utf8Text` have two.
pub(crate) fn humps(name: &str) -> usize {
    let letters: Vec<char> = name.chars().collect();
    let starts = |index: usize| {
        let next_is_lower = letters.get(index + 1).is_some_and(|next| next.is_lowercase());
        letters[index].is_uppercase() && (index == 0 || !letters[index - 1].is_uppercase() || next_is_lower)
    };
    (0..letters.len()).filter(|index| starts(*index)).count()
}
