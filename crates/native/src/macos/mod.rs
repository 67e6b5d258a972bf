//! What macOS tells: values of the kernel, processes, names of users.

pub mod account;
pub mod process;
pub mod sysctl;
