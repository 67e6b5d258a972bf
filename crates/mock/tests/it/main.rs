//! The mock server as its callers see it: bytes over real sockets.

#[cfg(test)]
mod anthropic;
#[cfg(test)]
mod beside;
#[cfg(test)]
mod client;
#[cfg(test)]
mod control;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod openai;
mod others;
#[cfg(test)]
mod rules;
