//! Reads one value: from text to what its kind says, with the problem named when it is not.

use std::time::Duration;

/// `true` or `false`, also as `yes`, `on`, `1`.
pub(super) fn bool(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" | "1" => Some(true),
        "false" | "no" | "off" | "0" => Some(false),
        _ => None,
    }
}

/// A whole number within limits; `_` may group digits.
pub(super) fn count(text: &str, low: u64, high: u64) -> Option<u64> {
    let digits = text.trim().replace('_', "");
    digits.parse().ok().filter(|number| (low..=high).contains(number))
}

/// A time: `30`, `30s`, `1.5s`, `500ms`, `2m`, `1h`. At most a week, so that sums cannot overflow.
pub(super) fn duration(text: &str) -> Option<Duration> {
    const WEEK: f64 = 7.0 * 24.0 * 3600.0;
    let (number, unit) = number_and_unit(text)?;
    let factor = match unit.as_str() {
        "ms" => 0.001,
        "" | "s" | "seconds" | "second" => 1.0,
        "m" | "min" | "minutes" | "minute" => 60.0,
        "h" | "hours" | "hour" => 3600.0,
        _ => return None,
    };
    let seconds = number * factor;
    (seconds > 0.0 && seconds <= WEEK).then(|| Duration::from_secs_f64(seconds))
}

/// A size: `4194304`, `4 MiB`, `32MB`.
pub(super) fn bytes(text: &str, low: u64, high: u64) -> Option<u64> {
    let cut = text.trim().find(|c: char| !c.is_ascii_digit() && c != '_');
    let (digits, unit) = text.trim().split_at(cut.unwrap_or(text.trim().len()));
    let number: u64 = digits.replace('_', "").parse().ok()?;
    let factor: u64 = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" | "bytes" => 1,
        "k" | "kb" => 1000,
        "kib" => 1024,
        "mb" => 1_000_000,
        "m" | "mib" => 1024 * 1024,
        "gb" => 1_000_000_000,
        "g" | "gib" => 1024 * 1024 * 1024,
        _ => return None,
    };
    number.checked_mul(factor).filter(|bytes| (low..=high).contains(bytes))
}

/// Texts between commas.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(ToOwned::to_owned).collect()
}

fn number_and_unit(text: &str) -> Option<(f64, String)> {
    let text = text.trim();
    let cut = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, unit) = text.split_at(cut);
    Some((digits.parse().ok()?, unit.trim().to_ascii_lowercase()))
}

/// Replaces `${NAME}` and `${NAME:-otherwise}` by what `lookup` knows; `$${` stays `${`.
///
/// Gives the text and the names that were used, or the name that is not set.
pub(super) fn interpolate(
    text: &str,
    lookup: &dyn Fn(&str) -> Option<String>,
) -> Result<(String, Vec<String>), String> {
    let mut out = String::new();
    let mut used = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        if let Some(before) = before.strip_suffix('$') {
            out.push_str(before);
            out.push_str("${");
            rest = after;
            continue;
        }
        out.push_str(before);
        let Some((inside, after)) = after.split_once('}') else {
            return Err(format!("`${{{after}` has no closing brace: write `${{NAME}}`"));
        };
        let (name, otherwise) = match inside.split_once(":-") {
            Some((name, otherwise)) => (name, Some(otherwise)),
            None => (inside, None),
        };
        match lookup(name).or_else(|| otherwise.map(ToOwned::to_owned)) {
            Some(value) => out.push_str(&value),
            None => {
                return Err(format!(
                    "`${{{name}}}` is not set: set the environment variable {name}, or write \
                     `${{{name}:-otherwise}}`"
                ));
            }
        }
        used.push(name.to_owned());
        rest = after;
    }
    out.push_str(rest);
    Ok((out, used))
}

#[cfg(test)]
mod tests {
    use super::{bytes, duration, interpolate};
    use std::time::Duration;

    #[test]
    fn times_and_sizes_are_read_with_their_units() {
        assert_eq!(duration("30"), Some(Duration::from_secs(30)));
        assert_eq!(duration("1.5 s"), Some(Duration::from_millis(1500)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("2m"), Some(Duration::from_mins(2)));
        for wrong in ["0", "-1", "soon", "1e9h", "5 days", "1.2.3"] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
        assert_eq!(bytes("4 MiB", 1, u64::MAX), Some(4 * 1024 * 1024));
        assert_eq!(bytes("32MB", 1, u64::MAX), Some(32_000_000));
        assert_eq!(bytes("99999999999 GiB", 1, u64::MAX), None);
    }

    #[test]
    fn variables_are_put_in_and_missing_ones_named() {
        let lookup = |name: &str| (name == "KEY").then(|| "v".to_owned());
        let check = |text: &str| interpolate(text, &lookup).map(|(text, _)| text);
        assert_eq!(check("a${KEY}b"), Ok("avb".to_owned()));
        assert_eq!(check("${NO:-x}"), Ok("x".to_owned()));
        assert_eq!(check("$${KEY}"), Ok("${KEY}".to_owned()));
        assert!(check("${NO}").unwrap_err().contains("NO"));
        assert!(check("${KEY").is_err());
    }
}
