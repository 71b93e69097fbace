//! The word that someone probably meant.

/// The nearest of `known` to `word`, if it is near enough to be a slip.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = comparable(word);
    let tolerated = (word.chars().count() / 3).clamp(1, 3);
    known
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(&word, &comparable(candidate)), candidate))
        .filter(|(distance, _)| *distance <= tolerated)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// Case and the kind of separator are slips that cost nothing. Cut, since the distance takes quadratic time.
fn comparable(word: &str) -> String {
    word.chars().take(100).map(|c| if c == '-' || c == '.' { '_' } else { c.to_ascii_lowercase() }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_are_recognised_and_other_words_are_not() {
        let known = ["concurrency", "ordering", "topics", "env"];
        assert_eq!(nearest("concurency", known), Some("concurrency"));
        assert_eq!(nearest("odrering", known), Some("ordering"));
        assert_eq!(nearest("Topics", known), Some("topics"));
        assert_eq!(nearest("initial-offset", ["initial_offset"]), Some("initial_offset"));
        assert_eq!(nearest("colour", known), None);
        assert_eq!(nearest("", known), None);
    }
}
