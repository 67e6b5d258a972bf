//! Follows a connection's packets through the rules, as the kernel does, to the rule that ends it.

use super::expression::{Act, Expression};
use super::packet::{Flow, Packet};
use super::registers::{Holds, Registers, between, compare, masked, swapped};
use super::set::Mapped;
use super::text;
use super::{Chain, Family, Home, Hook, Rule, Ruleset};
use crate::firewall::Deed;

/// Limit: jumps from chain to chain; the kernel allows sixteen.
const DEPTH_MAX: usize = 16;

/// A rule, or the default of a chain, that ends or turns the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::firewall) struct Suspect {
    pub(in crate::firewall) deed: Deed,
    /// Whether it surely meets this connection.
    pub(in crate::firewall) is_sure: bool,
    pub(in crate::firewall) home: Home,
    pub(in crate::firewall) chain: String,
    /// The base chain from which it was reached, and its hook.
    pub(in crate::firewall) base: String,
    pub(in crate::firewall) hook: Hook,
    /// The kernel's number of the rule; `None` for the default of a chain.
    pub(in crate::firewall) handle: Option<u64>,
    pub(in crate::firewall) text: String,
    /// Packets the rule has counted.
    pub(in crate::firewall) counter: Option<u64>,
    /// Whether it meets the answers, and not the question.
    pub(in crate::firewall) is_reply: bool,
}

/// Everything that may end or turn a connection; the one that surely ends it is the last.
pub(in crate::firewall) fn suspects(rules: &Ruleset, flow: &Flow) -> Vec<Suspect> {
    let mut found = Vec::new();
    let mut redirected = None;
    for is_reply in [false, true] {
        for hook in hooks(flow.is_local, is_reply) {
            let packet = Packet { flow: *flow, is_reply, hook: *hook, redirected };
            let mut run = Run { rules, packet, base: "", found: &mut found, in_doubt: false };
            if run.hook() == Way::Gone {
                return found;
            }
            redirected = run.packet.redirected;
        }
    }
    found
}

/// The places a packet passes, in this order.
fn hooks(is_local: bool, is_reply: bool) -> &'static [Hook] {
    match (is_local, is_reply) {
        (true, _) => &[Hook::Output, Hook::Postrouting, Hook::Prerouting, Hook::Input],
        (false, false) => &[Hook::Output, Hook::Postrouting],
        (false, true) => &[Hook::Prerouting, Hook::Input],
    }
}

/// How a chain ended for the packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Its end was reached.
    On,
    Accepted,
    Gone,
}

struct Run<'a> {
    rules: &'a Ruleset,
    packet: Packet,
    base: &'a str,
    found: &'a mut Vec<Suspect>,
    /// A rule before may have let the packet pass already.
    in_doubt: bool,
}

/// What a rule that was read to its end wants.
struct Read {
    holds: Holds,
    wish: Wish,
    counter: Option<u64>,
}

enum Wish {
    Act(Act),
    Deed(Deed),
}

impl<'a> Run<'a> {
    /// All base chains of the packet's place, the lowest priority first.
    fn hook(&mut self) -> Way {
        let mut chains: Vec<(&Chain, i32)> = self
            .rules
            .chains
            .iter()
            .filter_map(|chain| {
                let (hook, priority) = chain.hook?;
                let fits = hook == self.packet.hook && self.is_concerned(chain);
                fits.then_some((chain, priority))
            })
            .collect();
        chains.sort_by_key(|(_, priority)| *priority);
        for (chain, _) in chains {
            self.base = &chain.name;
            self.in_doubt = false;
            let mut way = self.chain(&chain.home, &chain.name, 0);
            if way == Way::On && chain.drops_by_default {
                way = self.suspect(Deed::Drop, Holds::Yes, (chain, None), None);
            }
            if way == Way::Gone {
                return way;
            }
        }
        Way::Accepted
    }

    fn is_concerned(&self, chain: &Chain) -> bool {
        let family = match chain.home.family {
            Family::Inet => true,
            Family::Ip => self.packet.is_four(),
            Family::Ip6 => !self.packet.is_four(),
            Family::Other => false,
        };
        // Only the first packet of a connection passes the rules of address translation.
        let is_first = !self.packet.is_reply && self.packet.flow.length.is_none();
        family && (is_first || !chain.is_nat)
    }

    fn chain(&mut self, home: &Home, name: &str, depth: usize) -> Way {
        let rules = self.rules;
        let own = |rule: &&'a Rule| rule.home == *home && rule.chain == name;
        for rule in rules.rules.iter().filter(own) {
            let read = self.rule(rule);
            let deed = match read.wish {
                _ if read.holds == Holds::No => continue,
                Wish::Act(Act::Continue) => continue,
                Wish::Act(Act::Drop) => Deed::Drop,
                Wish::Act(Act::Queue) => Deed::Hand,
                Wish::Deed(deed) => deed,
                Wish::Act(Act::Jump(to)) => match self.jump(home, &to, read.holds, depth) {
                    Way::On => continue,
                    way => return way,
                },
                Wish::Act(act) if read.holds == Holds::Yes => {
                    return match act {
                        Act::Goto(to) => self.jump(home, &to, Holds::Yes, depth),
                        Act::Accept => Way::Accepted,
                        _ => Way::On,
                    };
                }
                Wish::Act(act) => {
                    if let Act::Goto(to) = act {
                        self.jump(home, &to, Holds::Perhaps, depth);
                    }
                    self.in_doubt = true;
                    continue;
                }
            };
            let Some(chain) = rules.chains.iter().find(|c| c.home == *home && c.name == name)
            else {
                continue;
            };
            let way = self.suspect(deed, read.holds, (chain, Some(rule)), read.counter);
            if way != Way::On {
                return way;
            }
        }
        Way::On
    }

    fn jump(&mut self, home: &Home, to: &str, holds: Holds, depth: usize) -> Way {
        if depth >= DEPTH_MAX {
            return Way::On;
        }
        let before = self.in_doubt;
        self.in_doubt |= holds == Holds::Perhaps;
        let way = self.chain(home, to, depth + 1);
        if holds == Holds::Yes {
            return way;
        }
        // Whether it went there is not known; only an acceptance there matters afterwards.
        self.in_doubt = before || way == Way::Accepted;
        Way::On
    }

    /// Notes a rule that would end the packet's way, and says where that leaves the packet.
    fn suspect(
        &mut self,
        deed: Deed,
        holds: Holds,
        (chain, rule): (&Chain, Option<&Rule>),
        counter: Option<u64>,
    ) -> Way {
        let is_sure = holds == Holds::Yes && !self.in_doubt;
        self.found.push(Suspect {
            deed,
            is_sure,
            home: chain.home.clone(),
            chain: chain.name.clone(),
            base: self.base.to_owned(),
            hook: self.packet.hook,
            handle: rule.map(|rule| rule.handle),
            text: self.text(chain, rule),
            counter,
            is_reply: self.packet.is_reply,
        });
        match (deed, holds) {
            (_, Holds::No | Holds::Perhaps) => Way::On,
            (Deed::Redirect(to), Holds::Yes) => {
                self.packet.redirected = to.or(self.packet.redirected);
                Way::Accepted
            }
            (Deed::Hand, Holds::Yes) => Way::Accepted,
            (Deed::Drop | Deed::Reject, Holds::Yes) if is_sure => Way::Gone,
            // Whoever let it pass before spared it this.
            (Deed::Drop | Deed::Reject, Holds::Yes) => Way::Accepted,
        }
    }

    fn text(&self, chain: &Chain, rule: Option<&Rule>) -> String {
        match rule {
            Some(rule) => rule.said.clone().unwrap_or_else(|| text::of(rule, self.rules)),
            None if chain.home.is_legacy => format!("-P {} DROP", chain.name),
            None => "policy drop".to_owned(),
        }
    }

    fn rule(&self, rule: &Rule) -> Read {
        let mut registers = Registers::default();
        let mut read = Read { holds: Holds::Yes, wish: Wish::Act(Act::Continue), counter: None };
        for part in &rule.expressions {
            let holds = match part {
                Expression::Counter { packets } => {
                    read.counter = Some(*packets);
                    Holds::Yes
                }
                Expression::Verdict(act) => {
                    read.wish = Wish::Act(act.clone());
                    Holds::Yes
                }
                Expression::Reject(_) => {
                    read.wish = Wish::Deed(Deed::Reject);
                    Holds::Yes
                }
                Expression::Redirect { port } | Expression::Destination { port, .. } => {
                    let to = port.and_then(|register| registers.port(register));
                    read.wish = Wish::Deed(Deed::Redirect(to));
                    Holds::Yes
                }
                Expression::Lookup { from, to, set, inside } => {
                    let set = (&rule.home, set.as_str());
                    let (holds, act) = self.lookup(set, (*from, *to), &mut registers);
                    if let Some(act) = act {
                        read.wish = Wish::Act(act);
                    }
                    if *inside { holds } else { holds.negated() }
                }
                other => self.condition(other, &mut registers),
            };
            match holds {
                Holds::No => return Read { holds, ..read },
                Holds::Perhaps => read.holds = Holds::Perhaps,
                Holds::Yes => {}
            }
        }
        read
    }

    /// Whether a key is in a set, and the verdict a map has for it.
    fn lookup(
        &self,
        (home, name): (&Home, &str),
        (from, to): (u32, Option<u32>),
        registers: &mut Registers,
    ) -> (Holds, Option<Act>) {
        let Some(set) = self.rules.sets.iter().find(|s| s.home == *home && s.name == name) else {
            return (Holds::Perhaps, None);
        };
        let (holds, mapped) = set.find(&registers.load(from, set.size));
        match (to, mapped) {
            (_, Mapped::Verdict(act)) => return (holds, Some(act)),
            (Some(to), Mapped::Value(value)) => {
                registers.store(to, &value.into_iter().map(Some).collect());
            }
            (Some(to), Mapped::Nothing) if to > 0 => registers.store(to, &vec![None; 16]),
            _ => {}
        }
        (holds, None)
    }

    /// Loads and compares; a part that only computes holds.
    fn condition(&self, part: &Expression, registers: &mut Registers) -> Holds {
        match part {
            Expression::Load { to, key } => registers.store(*to, &self.packet.load(*key)),
            Expression::Value { to, value } => {
                registers.store(*to, &value.iter().copied().map(Some).collect());
            }
            Expression::Mask { from, to, mask, xor } => {
                let value = masked(&registers.load(*from, mask.len()), mask, xor);
                registers.store(*to, &value);
            }
            Expression::Swap { from, to, length, size } => {
                let value = swapped(&registers.load(*from, *length), *size);
                registers.store(*to, &value);
            }
            Expression::Compare { from, order, value } => {
                return compare(&registers.load(*from, value.len()), *order, value);
            }
            Expression::Range { from, inside, first, last } => {
                let holds = between(&registers.load(*from, first.len()), first, last);
                return if *inside { holds } else { holds.negated() };
            }
            Expression::Ports { .. } | Expression::OneOf { .. } | Expression::State { .. } => {
                return self.of_iptables(part);
            }
            Expression::Perhaps(_) => return Holds::Perhaps,
            _ => {}
        }
        Holds::Yes
    }

    fn of_iptables(&self, part: &Expression) -> Holds {
        let own = self.packet.redirected.unwrap_or(self.packet.flow.port);
        let inside = |port: u16, (first, last): (u16, u16)| (first..=last).contains(&port);
        let known = |holds: bool| if holds { Holds::Yes } else { Holds::No };
        let client = self.packet.flow.client;
        let (from, to) = if self.packet.is_reply { (own, client) } else { (client, own) };
        match part {
            Expression::Ports { source, destination, inverted } => known(
                inside(from, *source) == (inverted & 1 == 0)
                    && inside(to, *destination) == (inverted & 2 == 0),
            ),
            Expression::OneOf { ports, inverted } => {
                known(ports.iter().any(|range| inside(to, *range)) != *inverted)
            }
            Expression::State { mask } => {
                let key = super::expression::Key::Tracked(0);
                let state = super::registers::all(&self.packet.load(key)).unwrap_or_default();
                let state = crate::netlink::bytes::u32_at(&state, 0).unwrap_or_default();
                if state & mask == 0 { Holds::No } else { Holds::Yes }
            }
            _ => Holds::Perhaps,
        }
    }
}
