//! What a client carries for its session between two streams: what it listens to, in an event's id,
//! which comes back as `Last-Event-ID`. So subscriptions survive a restart without being stored.

use super::link::Level;

/// How such an id begins.
const PREFIX: &str = "sub-";
/// Limit: resources in one id, which is a header's value on its way back.
const RESOURCES_MAX: usize = 128;
/// The digits of one resource.
const DIGITS: usize = 16;

/// What a resource's address is remembered by.
pub(crate) fn mark(uri: &str) -> u64 {
    let hash = blake3::hash(uri.as_bytes());
    hash.as_bytes().iter().take(8).fold(0, |mark, byte| (mark << 8) | u64::from(*byte))
}

/// The id that says it; `None` when there is nothing to remember.
pub(crate) fn write(level: Option<Level>, mut marks: Vec<u64>) -> Option<String> {
    if level.is_none() && marks.is_empty() {
        return None;
    }
    marks.sort_unstable();
    marks.dedup();
    marks.truncate(RESOURCES_MAX);
    let level = level.map_or("any", Level::name);
    let marks: String = marks.iter().map(|mark| format!("{mark:0DIGITS$x}")).collect();
    Some(format!("{PREFIX}{level}-{marks}"))
}

/// What an id says; `None` when it is none of these.
pub(crate) fn read(id: &str) -> Option<(Option<Level>, Vec<u64>)> {
    let (level, marks) = id.strip_prefix(PREFIX)?.split_once('-')?;
    let level = if level == "any" { None } else { Some(Level::parse(level)?) };
    let (parts, rest) = marks.as_bytes().as_chunks::<DIGITS>();
    if !rest.is_empty() || parts.len() > RESOURCES_MAX {
        return None;
    }
    let one = |part: &[u8; DIGITS]| u64::from_str_radix(std::str::from_utf8(part).ok()?, 16).ok();
    Some((level, parts.iter().map(one).collect::<Option<Vec<u64>>>()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_tells_what_was_written_into_it() {
        assert_eq!(write(None, Vec::new()), None);
        let marks = vec![mark("rapport://context/a"), mark("rapport://context/b"), 7];
        let id = write(Some(Level::Warning), marks.clone()).unwrap();
        let (level, mut read_back) = read(&id).unwrap();
        read_back.sort_unstable();
        let mut sorted = marks;
        sorted.sort_unstable();
        assert_eq!((level, read_back), (Some(Level::Warning), sorted));
        let many: Vec<u64> = (0..1000).collect();
        assert_eq!(read(&write(None, many).unwrap()).unwrap().1.len(), RESOURCES_MAX);
        for foreign in ["", "3-1", "sub-", "sub-loud-", "sub-any-0", "sub-any-zzzzzzzzzzzzzzzz"] {
            assert_eq!(read(foreign), None, "{foreign}");
        }
    }
}
