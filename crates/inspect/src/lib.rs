//! A recording proxy: what really goes over the wire, as it was and as it reads.
//!
//! [`Proxy`] stands between a program and its server, passes every byte on at once and keeps a copy
//! in a [`Book`] of bounded size. [`decode::view`] reads an [`Exchange`]: events, JSON-RPC, calls
//! of models, and what is wrong with it.
//!
//! Invariants:
//! - what no rule touches goes on byte for byte, piece by piece as it came;
//! - recording never slows or stops the traffic: what finds no room is counted and not kept;
//! - nothing is sent anywhere but to the target; secrets are hidden in what is shown and stored.

pub mod capture;
pub mod decode;
pub mod export;
pub mod http;
pub mod http2;
pub mod measure;
pub mod redact;
pub mod screen;

mod claim;
mod collector;
mod diff;
mod filter;
mod player;
mod proxy;
mod replay;
mod rule;
mod stdio;
mod tasks;
mod tell;
mod visible;
mod websocket;

pub use capture::{Book, Ending, Exchange, Kind, News, Room};
pub use claim::{Claim, Judgement, junit};
pub use collector::Collector;
pub use diff::{Difference, diff};
pub use filter::Filter;
pub use player::{Fit, LeftOut, Pace, Player, Playing};
pub use proxy::{Held, Proxy, ReadTarget, Settings, Spent, Target, Verdict};
pub use replay::{replay, replay_with};
pub use rule::{Rule, Unreadable};
pub use stdio::wrap;
pub use tell::tell;
pub use visible::visible;
