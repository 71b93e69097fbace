//! The rules, what they find, and a test of each.

use std::fmt;

use millstream_tests::root;

use super::prose::{TextToken, tokens};
use super::rust::{ProseKind, humps, prose, type_names, without_tests};
use super::tree::{SourceFile, documents, rust_files};

/// Each of the rates, in 10,000 words of comments and documents, stays below this.
const MOST_IN_TEN_THOUSAND: f64 = 3.0;
const MOST_ONE_WORD_TYPES: f64 = 35.0;
const MOST_SHORT_DOCS: f64 = 8.0;
/// A doc comment of so few words says nothing that its item's name does not.
const SHORT_DOC: usize = 4;

const TELL: [&str; 3] = ["told", "tell", "tells"];
const SOMEBODY: [&str; 4] = ["whoever", "nobody", "somebody", "anybody"];
const TO_BE: [&str; 6] = ["is", "are", "was", "were", "be", "been"];
/// `is no longer` and the like are idiomatic; `is no function` is not.
const AFTER_NO: &str = "longer more less fewer better worse different larger smaller higher lower faster slower \
    earlier later older newer use help one";

/// A share or a rate, with the places that count towards it.
#[derive(Default)]
struct Tally {
    of: usize,
    places: Vec<String>,
}

impl Tally {
    fn per(&self, scale: f64) -> f64 {
        if self.of == 0 { 0.0 } else { self.places.len() as f64 * scale / self.of as f64 }
    }
}

/// What was measured in all files.
#[derive(Default)]
struct Figures {
    tell: Tally,
    somebody: Tally,
    one_word_types: Tally,
    short_docs: Tally,
    avoided: Vec<String>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "told, tell, tells:      {:5.1} in 10,000 words (below 3)", self.tell.per(1e4))?;
        writeln!(f, "whoever, nobody, …:     {:5.1} in 10,000 words (below 3)", self.somebody.per(1e4))?;
        writeln!(f, "one-word type names:    {:5.1} % (below 35)", self.one_word_types.per(1e2))?;
        writeln!(f, "doc comments ≤ 4 words: {:5.1} % (below 8)", self.short_docs.per(1e2))?;
        write!(f, "words to avoid:         {:5}", self.avoided.len())
    }
}

impl Figures {
    /// The places to change, of each rule that is broken.
    fn offences(&self) -> Vec<String> {
        let limits = [
            (&self.tell, 1e4, MOST_IN_TEN_THOUSAND),
            (&self.somebody, 1e4, MOST_IN_TEN_THOUSAND),
            (&self.one_word_types, 1e2, MOST_ONE_WORD_TYPES),
            (&self.short_docs, 1e2, MOST_SHORT_DOCS),
        ];
        let broken = limits.into_iter().filter(|(tally, scale, most)| tally.per(*scale) >= *most);
        self.avoided.iter().chain(broken.flat_map(|(tally, ..)| &tally.places)).cloned().collect()
    }

    fn add_document(&mut self, file: &SourceFile, avoid: &[AvoidedPhrase]) {
        let text = tokens(1, &file.text);
        self.count_words(&file.path, &text);
        self.avoided.extend(avoided(&file.path, &text, avoid));
    }

    fn add_rust(&mut self, file: &SourceFile, avoid: &[AvoidedPhrase]) {
        let is_product = file.is_of_the_product();
        let code = if file.is_of_tests() { "" } else { without_tests(&file.text) };
        let last_line = code.lines().count();
        for piece in prose(&file.text) {
            let text = tokens(piece.line, &piece.text);
            match piece.kind {
                ProseKind::Literal if !is_product || piece.line > last_line => continue,
                ProseKind::Literal => {}
                ProseKind::Comment | ProseKind::ItemDoc => self.count_words(&file.path, &text),
            }
            self.avoided.extend(avoided(&file.path, &text, avoid));
            if is_product && piece.kind == ProseKind::ItemDoc {
                self.count_doc(&file.path, piece.line, &piece.text);
            }
        }
        if is_product {
            self.count_types(&file.path, code);
        }
    }

    fn count_words(&mut self, path: &str, text: &[TextToken]) {
        for token in text {
            let TextToken::Word { line, text } = token else { continue };
            for (tally, words) in [(&mut self.tell, &TELL[..]), (&mut self.somebody, &SOMEBODY[..])] {
                tally.of += 1;
                if words.contains(&text.as_str()) {
                    tally.places.push(format!("{path}:{line}: {text:?} is used too often"));
                }
            }
        }
    }

    fn count_doc(&mut self, path: &str, line: usize, text: &str) {
        let words = text.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count();
        self.short_docs.of += 1;
        if words <= SHORT_DOC {
            self.short_docs
                .places
                .push(format!("{path}:{line}: a doc comment of {words} words: say why, or delete it"));
        }
    }

    fn count_types(&mut self, path: &str, code: &str) {
        for (line, name) in type_names(code) {
            self.one_word_types.of += 1;
            if humps(name) < 2 {
                self.one_word_types.places.push(format!("{path}:{line}: {name} has one word: give it a second"));
            }
        }
    }
}

/// A phrase of the table in `docs/style.md`, and what to write in its place.
struct AvoidedPhrase {
    words: Vec<String>,
    instead: String,
}

/// Reads the table under `| avoid | write |`.
fn phrases(style: &str) -> Vec<AvoidedPhrase> {
    let rows = style.lines().skip_while(|line| !line.starts_with("| avoid |")).skip(2);
    let mut found = Vec::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut cells = row.trim_matches(['|', ' ']).splitn(2, " | ");
        let (avoid, instead) = (cells.next().unwrap_or_default(), cells.next().unwrap_or_default());
        for phrase in avoid.split('`').skip(1).step_by(2) {
            let words = phrase.split_whitespace().map(str::to_owned).collect();
            found.push(AvoidedPhrase { words, instead: instead.to_owned() });
        }
    }
    found
}

fn avoided(path: &str, text: &[TextToken], avoid: &[AvoidedPhrase]) -> Vec<String> {
    let mut found = Vec::new();
    for (index, token) in text.iter().enumerate() {
        let TextToken::Word { line, text: word } = token else { continue };
        for phrase in avoid.iter().filter(|phrase| starts_with(&text[index..], &phrase.words)) {
            found.push(format!("{path}:{line}: avoid {:?}: {}", phrase.words.join(" "), phrase.instead));
        }
        if TO_BE.contains(&word.as_str()) && is_no_thing(text, index) {
            found.push(format!("{path}:{line}: avoid {:?}: \"{word} not a …\", \"isn't one\"", format!("{word} no …")));
        }
    }
    found
}

fn starts_with(text: &[TextToken], words: &[String]) -> bool {
    let is_word = |token: &TextToken, wanted: &String| matches!(token, TextToken::Word { text, .. } if text == wanted);
    text.len() >= words.len() && text.iter().zip(words).all(|(token, wanted)| is_word(token, wanted))
}

/// Whether the verb at `index` begins a phrase like `is no function` or `is none`, without `there` before it.
fn is_no_thing(text: &[TextToken], index: usize) -> bool {
    let word = |token: Option<&TextToken>| match token {
        Some(TextToken::Word { text, .. }) => text.clone(),
        _ => String::new(),
    };
    let clause = text[..index].iter().rev().take(3).take_while(|token| **token != TextToken::Break);
    if clause.into_iter().any(|token| word(Some(token)) == "there") {
        return false;
    }
    match word(text.get(index + 1)).as_str() {
        "none" => true,
        "no" => match text.get(index + 2) {
            Some(TextToken::Word { text, .. }) => !AFTER_NO.split_whitespace().any(|allowed| allowed == text),
            Some(TextToken::Code) => true,
            Some(TextToken::Break) | None => false,
        },
        _ => false,
    }
}

fn house_phrases() -> Vec<AvoidedPhrase> {
    phrases(&std::fs::read_to_string(root().join("docs/style.md")).expect("the style guide"))
}

#[test]
fn comments_names_and_documents_keep_the_house_style() {
    let avoid = house_phrases();
    let (sources, documents) = (rust_files(), documents());
    assert!(sources.len() > 100 && documents.len() > 50, "the files were found");
    let mut figures = Figures::default();
    sources.iter().for_each(|file| figures.add_rust(file, &avoid));
    documents.iter().for_each(|file| figures.add_document(file, &avoid));
    println!("{figures}");
    let offences = figures.offences();
    assert!(offences.is_empty(), "docs/style.md says why:\n{}\n\n{figures}", offences.join("\n"));
}

fn source(path: &str, text: &str) -> SourceFile {
    SourceFile { path: path.to_owned(), text: text.to_owned() }
}

fn measured(path: &str, text: &str) -> Figures {
    let mut figures = Figures::default();
    let file = source(path, text);
    if path.ends_with(".rs") {
        figures.add_rust(&file, &house_phrases());
    } else {
        figures.add_document(&file, &house_phrases());
    }
    figures
}

#[test]
fn each_rule_catches_its_offence() {
    let cases = [
        ("docs/a.md", "All is well.\nIt goes\non by itself.\n", "docs/a.md:2: avoid \"goes on\""),
        ("docs/a.md", "| a | It is told. |\n", "docs/a.md:1: avoid \"told\""),
        ("docs/a.md", "```sh\nx\n```\n\nFor whoever.\n", "docs/a.md:5: avoid \"whoever\""),
        ("docs/a.md", "A record that is no bid is refused.\n", "docs/a.md:1: avoid \"is no …\""),
        ("docs/a.md", "A value that is no `u32`.\n", "avoid \"is no …\""),
        ("docs/a.md", "One that is none.\n", "avoid \"is no …\""),
        ("host/src/a.rs", "fn a() {} // started anew\n", "host/src/a.rs:1: avoid \"anew\""),
        ("host/src/a.rs", "fn a<'a>() {\n    /* by\n    and by */\n}\n", "host/src/a.rs:2: avoid \"by and by\""),
        ("host/src/a.rs", "\n//! What it\n//! gives up.\n", "host/src/a.rs:3: avoid \"gives up\""),
        ("host/src/a.rs", "const A: char = '\"';\n/// Heed it.\nfn a() {}\n", "host/src/a.rs:2: avoid \"heed\""),
        ("host/src/a.rs", "fn a() { b(\"\\\"x\\\" was given up\") }\n", "host/src/a.rs:1: avoid \"given up\""),
        ("host/src/a.rs", "const A: &str = r#\"somebody \"x\" \"#;\n", "host/src/a.rs:1: avoid \"somebody\""),
        ("tests/a.rs", "// nobody\n", "tests/a.rs:1: avoid \"nobody\""),
        ("docs/a.md", "It tells.\n", "docs/a.md:1: \"tells\" is used too often"),
        ("host/src/a.rs", "\npub(crate) struct Place {\n", "host/src/a.rs:2: Place has one word"),
        ("guest-sdk/src/a.rs", "type Kept<T> = Vec<T>;\n", "Kept has one word"),
        ("host/src/a.rs", "/// The topic.\nfn a() {}\n", "host/src/a.rs:1: a doc comment of 2 words"),
    ];
    for (path, text, expected) in cases {
        let found = measured(path, text).offences();
        assert!(found.iter().any(|offence| offence.contains(expected)), "{path} {text:?} {expected}: {found:?}");
    }
}

#[test]
fn good_text_passes() {
    let cases = [
        ("docs/a.md", "There is no such function, it is no longer there, and the answer is no.\n"),
        ("docs/a.md", "Write `told` in backticks, [as here](told.md#whoever), or as code:\n\n```sh\ngoes on\n```\n"),
        ("docs/a.md", "- It goes\n- on the list, and it goes. On it goes, and by then, and by now.\n"),
        ("host/src/a.rs", "/// Says why in more than four words.\nfn told() { let nobody = \"a\"; }\n"),
        ("host/src/a.rs", "#[cfg(test)]\nmod tests {\n    const A: &str = \"told\";\n}\n"),
        ("host/src/a/tests.rs", "struct Place;\nconst A: &str = \"told\";\n"),
        ("tests/a.rs", "struct Place;\n/// The topic.\nconst A: &str = \"told\";\n"),
        ("host/src/a.rs", "struct InstancePermit;\nimpl Iterator for InstancePermit {\n    type Item = u8;\n}\n"),
    ];
    for (path, text) in cases {
        assert_eq!(measured(path, text).offences(), Vec::<String>::new(), "{path} {text:?}");
    }
}

#[test]
fn figures_are_shares_of_all() {
    let three =
        measured("host/src/a.rs", "struct Place;\nstruct OriginCheck;\nenum HTTPServer {}\ntype Utf8Text = String;\n");
    assert_eq!((three.one_word_types.places.len(), three.one_word_types.of), (1, 4));
    assert!(three.offences().is_empty(), "25 % is below the limit");
    let rare = measured("docs/a.md", &format!("tell {}", "word ".repeat(9_999)));
    assert_eq!(rare.tell.per(1e4), 1.0);
    assert!(rare.offences().is_empty(), "one in ten thousand");
}
