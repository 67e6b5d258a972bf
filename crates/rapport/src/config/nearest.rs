//! Finds the known word that a misspelt one was meant to be.

/// The nearest of `known` to `word`, if it is near enough to be a mistake for it.
///
/// Near is at most a third of the word's letters, and at least one, counted as insertions,
/// deletions, replacements and swaps of neighbours.
pub(crate) fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (word.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|candidate| (distance(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The edit distance with swaps of neighbours (optimal string alignment), letter case ignored.
fn distance(left: &str, right: &str) -> usize {
    let left: Vec<char> = left.to_lowercase().chars().collect();
    let right: Vec<char> = right.to_lowercase().chars().collect();
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=right.len()).collect();
    for (row, a) in left.iter().enumerate() {
        let mut now = Vec::with_capacity(last.len());
        now.push(row + 1);
        for (column, b) in right.iter().enumerate() {
            let at = |line: &[usize], index: usize| line.get(index).copied().unwrap_or(usize::MAX);
            let replace = at(&last, column) + usize::from(a != b);
            let mut best = replace.min(at(&last, column + 1) + 1).min(at(&now, column) + 1);
            let swapped = row > 0
                && column > 0
                && left.get(row - 1) == Some(b)
                && right.get(column - 1) == Some(a);
            if swapped {
                best = best.min(at(&before, column - 1) + 1);
            }
            now.push(best);
        }
        before = std::mem::replace(&mut last, now);
    }
    last.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn counts_each_kind_of_mistake_once() {
        for (left, right, expected) in [
            ("port", "port", 0),
            ("prot", "port", 1),
            ("ports", "port", 1),
            ("prt", "port", 1),
            ("pork", "port", 1),
            ("", "port", 4),
            ("lisen", "listen", 1),
        ] {
            assert_eq!(distance(left, right), expected, "{left} {right}");
        }
    }

    #[test]
    fn a_mistake_has_a_neighbour_and_nonsense_has_none() {
        let known = ["server.port", "server.host", "log.level"];
        assert_eq!(nearest("sever.port", known), Some("server.port"));
        assert_eq!(nearest("server.prot", known), Some("server.port"));
        assert_eq!(nearest("completely.else", known), None);
    }
}
