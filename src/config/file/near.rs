//! What a misspelt word was meant to be.

use strsim::osa_distance;

/// The longest word that anything is compared with: what is longer was not meant to be one of ours.
const LONGEST: usize = 64;

/// The longest ending that may be missing.
const ENDING: usize = 3;

/// The one of `known` that is nearest to `word`, if it is near, and how far it is: letters to change, to swap, to add
/// or to leave out. `-` counts as `_`, and the case of letters for nothing.
pub(super) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<(usize, &'a str)> {
    if word.len() > LONGEST {
        return None;
    }
    let word = plain(word);
    let reach = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|known| (distance(&word, &plain(known), reach), known))
        .filter(|(distance, known)| *distance <= reach && *distance < known.chars().count())
        .min_by_key(|(distance, _)| *distance)
}

/// How far apart two words are. One that is short of an ending of the other's is within reach.
fn distance(word: &str, known: &str, reach: usize) -> usize {
    let ending = word.strip_prefix(known).or_else(|| known.strip_prefix(word));
    let is_near = ending.is_some_and(|ending| ending.len() <= ENDING) && word.len().min(known.len()) > ENDING;
    let distance = osa_distance(word, known);
    if is_near { distance.min(reach) } else { distance }
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_near_is_guessed() {
        let known = ["header_timeout", "max_head", "ca"];
        let guess = |word| nearest(word, known).map(|(_, word)| word);
        assert_eq!(guess("header-timeout"), Some("header_timeout"));
        assert_eq!(guess("headertimeuot"), Some("header_timeout"));
        assert_eq!(guess("Max_Haed"), Some("max_head"));
        assert_eq!(guess("c"), Some("ca"));
        assert_eq!(nearest("warning", ["warn", "info"]).map(|(_, word)| word), Some("warn"));
        assert_eq!(nearest("listen", ["limit", "listeners"]).map(|(_, word)| word), Some("listeners"));
        assert_eq!(guess("xy"), None);
        assert_eq!(guess("colour"), None);
    }
}
