//! The known name that a wrong one was most likely meant to be.

/// Limit: longer names are compared no further than this.
const CHARS_MAX: usize = 64;

/// The nearest of `known` within a few slips; the first of several.
#[must_use]
pub fn nearest<'a>(wrong: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong: Vec<char> = wrong.to_lowercase().chars().take(CHARS_MAX).collect();
    let allowed = wrong.len().div_ceil(3);
    known
        .map(|name| {
            let name_chars: Vec<char> = name.to_lowercase().chars().take(CHARS_MAX).collect();
            (distance(&wrong, &name_chars), name)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Insertions, deletions and replacements between two words.
fn distance(from: &[char], to: &[char]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(to) {
            let best = (diagonal + usize::from(a != b)).min(left + 1).min(*cell + 1);
            diagonal = *cell;
            *cell = best;
            left = best;
        }
    }
    row.last().copied().unwrap_or(0)
}
