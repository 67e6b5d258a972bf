//! What the kernel tells of a process (`sys/proc_info.h`), read from its bytes.

/// State, user and start of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::sockets) struct Facts {
    pub(in crate::sockets) parent: u32,
    pub(in crate::sockets) uid: u32,
    pub(in crate::sockets) state: Option<char>,
    /// The name of its program, at most sixteen letters of it.
    pub(in crate::sockets) name: String,
    /// When it was started, in seconds since 1970; only the owner and root are told.
    pub(in crate::sockets) started: Option<i64>,
    /// How many files and sockets it has open.
    pub(in crate::sockets) open: Option<usize>,
}

/// `proc_bsdinfo`: what the owner of a process and root are told.
pub(in crate::sockets) fn whole(bytes: &[u8]) -> Option<Facts> {
    let second = bytes.get(120..128)?.try_into().ok()?;
    Some(Facts {
        parent: number(bytes, 16)?,
        uid: number(bytes, 20)?,
        state: state(number(bytes, 4)?),
        name: text(bytes.get(48..64)?),
        started: i64::try_from(u64::from_le_bytes(second)).ok(),
        open: usize::try_from(number(bytes, 96)?).ok(),
    })
}

/// `proc_bsdshortinfo`: what everybody is told.
pub(in crate::sockets) fn short(bytes: &[u8]) -> Option<Facts> {
    Some(Facts {
        parent: number(bytes, 4)?,
        uid: number(bytes, 36)?,
        state: state(number(bytes, 12)?),
        name: text(bytes.get(16..32)?),
        started: None,
        open: None,
    })
}

/// `proc_vnodepathinfo`: the folder a process works in.
pub(in crate::sockets) fn folder(bytes: &[u8]) -> Option<String> {
    Some(text(bytes.get(152..1176)?)).filter(|path| !path.is_empty())
}

/// `KERN_PROCARGS2`: the count of the words, the path of the program, zeros, the words.
pub(in crate::sockets) fn words(bytes: &[u8]) -> Vec<String> {
    let count = number(bytes, 0).and_then(|count| usize::try_from(count).ok()).unwrap_or(0);
    let rest = bytes.get(4..).unwrap_or_default();
    let path = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
    let rest = rest.get(path..).unwrap_or_default();
    let first = rest.iter().position(|byte| *byte != 0).unwrap_or(rest.len());
    let parts = rest.get(first..).unwrap_or_default().split(|byte| *byte == 0);
    parts.take(count).map(|word| String::from_utf8_lossy(word).into_owned()).collect()
}

/// The letters of Linux for states that mean the same.
fn state(number: u32) -> Option<char> {
    match number {
        2 => Some('R'),
        3 => Some('S'),
        4 => Some('T'),
        5 => Some('Z'),
        _ => None,
    }
}

fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}
