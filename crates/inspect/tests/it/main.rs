//! The proxy between real sockets: what goes through, what is kept of it, what rules do.

#[cfg(test)]
mod again;
#[cfg(test)]
mod hides;
#[cfg(test)]
mod house;
#[cfg(test)]
mod local;
#[cfg(test)]
mod measures;
#[cfg(test)]
mod packets;
#[cfg(test)]
mod passes;
#[cfg(test)]
mod plays;
#[cfg(test)]
mod reads;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod two;
#[cfg(test)]
mod two_rules;
