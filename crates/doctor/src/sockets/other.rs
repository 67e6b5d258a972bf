//! Systems whose tables this build does not read yet: every question is answered "not available".

use super::{Elsewhere, Process, Table, Unavailable, Vitals};

pub(super) fn table() -> Result<Table, Unavailable> {
    Err(Unavailable::Platform(std::env::consts::OS))
}

pub(super) fn processes_naming(_number: &str) -> Vec<Process> {
    Vec::new()
}

pub(super) fn running() -> crate::guards::Running {
    crate::guards::Running::default()
}

pub(super) fn vitals(_pid: u32) -> Vitals {
    Vitals::default()
}

pub(super) fn group(_pid: u32) -> super::Group {
    super::Group::default()
}

pub(super) fn kills() -> Vec<super::Kill> {
    Vec::new()
}

pub(super) fn tracer(_pid: u32) -> Option<Process> {
    None
}

pub(super) fn runnable(_pid: u32) -> Vec<(u32, u64)> {
    Vec::new()
}

pub(super) fn arguments(_pid: u32) -> Vec<String> {
    Vec::new()
}

pub(super) fn is_filtered(_pid: u32) -> bool {
    false
}

pub(super) fn holder_of(_inode: u64) -> Option<Process> {
    None
}

pub(super) fn elsewhere(_port: u16) -> Vec<Elsewhere> {
    Vec::new()
}

pub(super) fn hidden_holder(uid: u32) -> String {
    format!("a hidden process of user {uid} ({})", super::why_hidden())
}
