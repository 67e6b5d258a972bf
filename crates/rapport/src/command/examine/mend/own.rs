//! Repairs this product's own configuration: keys whose name was written a little wrong.

use crate::config::{Place, Refused};

/// The text with the keys that were meant, and what was done.
pub(super) fn repaired(text: &str, refused: &Refused) -> (String, Vec<String>) {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut notes = Vec::new();
    for problem in &refused.problems {
        let Some(Place::File(_, Some(line))) = &problem.place else { continue };
        let Some((wrong, right)) = meant(&problem.text) else { continue };
        let Ok(at) = usize::try_from(line.saturating_sub(1)) else { continue };
        // A group stands on a line above its member, or on the same.
        let place = (0..=at).rev().find(|row| lines.get(*row).is_some_and(|l| names(l, wrong)));
        let Some(line) = place.and_then(|row| lines.get_mut(row)) else { continue };
        *line = line.replacen(wrong, right, 1);
        let note = format!("`{wrong}` is called `{right}`");
        if !notes.contains(&note) {
            notes.push(note);
        }
    }
    (lines.concat(), notes)
}

/// The part of a key that is wrong, and what it should be, from the text of the problem.
fn meant(text: &str) -> Option<(&str, &str)> {
    let (_, rest) = text.split_once("unknown key `")?;
    let (wrong, rest) = rest.split_once("`: did you mean `")?;
    let right = rest.split('`').next()?;
    let pairs: Vec<(&str, &str)> = wrong.split('.').zip(right.split('.')).collect();
    let same_length = wrong.split('.').count() == right.split('.').count();
    let mut others = pairs.into_iter().filter(|(wrong, right)| wrong != right);
    let only = others.next().filter(|_| same_length)?;
    others.next().is_none().then_some(only)
}

/// Whether a line gives `name` a value.
fn names(line: &str, name: &str) -> bool {
    line.match_indices(name).any(|(at, _)| {
        let before = line.get(..at).and_then(|head| head.chars().next_back());
        let after = line.get(at + name.len()..).unwrap_or_default();
        let is_start = before.is_none_or(|c| " \t{,\"'.[".contains(c));
        let after = after.trim_start_matches(['"', '\'']).trim_start();
        is_start && after.starts_with([':', '=', '.', ']'])
    })
}

#[cfg(test)]
mod tests {
    use super::{meant, names};

    #[test]
    fn the_part_of_a_key_that_is_wrong_is_found() {
        let text = "unknown key `server.prot`: did you mean `server.port`?";
        assert_eq!(meant(text), Some(("prot", "port")));
        let text = "unknown key `sever.port`: did you mean `server.port`?";
        assert_eq!(meant(text), Some(("sever", "server")));
        assert_eq!(meant("unknown key `x`: `rapport config docs` lists all keys"), None);
        assert!(names("  prot: 1", "prot") && names("sever: {port: 1}", "sever"));
        assert!(!names("  report: 1", "port") && !names("# prot", "prot"));
    }
}
