//! Who may read what we write: on Unix its owner alone; on Windows a profile's folder is private.

use std::fs::{DirBuilder, Metadata, OpenOptions};

/// Makes the file that is opened readable for its owner only, when it is made.
pub(crate) fn narrow(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// Makes folders that only their owner may enter.
pub(crate) fn folder() -> DirBuilder {
    #[cfg_attr(not(unix), expect(unused_mut, reason = "there are no rights to set"))]
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

/// Whether other users may look into it.
#[cfg(unix)]
pub(crate) fn are_wide(found: &Metadata) -> bool {
    std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o077 != 0
}

/// Access lists are inherited from the profile; there is no short answer.
#[cfg(not(unix))]
pub(crate) fn are_wide(_found: &Metadata) -> bool {
    false
}
