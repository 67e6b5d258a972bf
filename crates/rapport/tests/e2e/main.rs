//! The real program from outside: its own process, real sockets, real files, faults on purpose.

#[cfg(test)]
mod program;
#[cfg(test)]
mod talk;
