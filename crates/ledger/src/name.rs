//! How names of models meet rows: snapshots belong to their family, regions are no part of a name.

/// How well a row's name fits, by the length of what fits; a name beats a pattern.
pub(crate) fn fit(row: &str, name: &str) -> Option<(bool, usize)> {
    match row.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix).then_some((false, prefix.len())),
        None => {
            let rest = name.strip_prefix(row)?;
            (rest.is_empty() || is_snapshot(rest)).then_some((true, row.len()))
        }
    }
}

/// Whether this end of a name only says which edition of the model it is: a date such as
/// `-20251101`, `-2025-11-01` or `@20251101`, a four-digit month and day, a three-digit number, a
/// version such as `-v1:0`, `-latest`, or several of these.
fn is_snapshot(rest: &str) -> bool {
    let Some(rest) = rest.strip_prefix(['-', '@', ':']) else { return false };
    rest.split(['-', '@', ':']).all(|word| {
        let digits = word.strip_prefix('v').unwrap_or(word);
        let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
        let is_edition = match word.strip_prefix('v') {
            Some(_) => is_number,
            None => is_number && (digits.len() > 1 || rest.len() == digits.len() && digits == "0"),
        };
        is_edition || word == "latest" || (word == "0" && rest.contains(':'))
    })
}

/// The name without a region in front: `us.`, `eu.`, `apac.`, `global.`.
pub(crate) fn without_region(name: &str) -> &str {
    const REGIONS: [&str; 7] = ["us.", "eu.", "apac.", "jp.", "au.", "us-gov.", "global."];
    REGIONS.iter().find_map(|region| name.strip_prefix(region)).unwrap_or(name)
}

/// The name as its maker writes it, where a reseller puts things around it: `anthropic/claude-…`,
/// `accounts/fireworks/models/…`, `…:free`.
pub(crate) fn bare(name: &str) -> &str {
    let name = name.rsplit_once('/').map_or(name, |(_, last)| last);
    without_region(name)
}
