//! The rounds of a turn as one stream: what came of each is passed on as parts of one reply.

use tokio::sync::mpsc;
use wire::Fault;
use wire::event::{Event, Part};

use super::super::{Answered, Ask, STEPS_MAX, Step};
use crate::gate::Gateway;

/// Passes the steps of one round on as parts of one reply.
pub(super) struct Relay<'a> {
    /// The tools that the caller runs, by name.
    pub(super) theirs: &'a [String],
    /// Only the first round begins the reply.
    pub(super) first: bool,
    /// The caller's dialect knows nothing of these tools.
    pub(super) hides: bool,
    /// Blocks of the rounds before.
    pub(super) offset: usize,
}

impl Relay<'_> {
    /// Runs one round; how many blocks it sent comes with its answer.
    pub(super) async fn turn(
        &self,
        gate: &Gateway,
        ask: Ask,
        steps: Option<&mpsc::Sender<Step>>,
    ) -> Result<(Answered, usize), Fault> {
        let Some(steps) = steps else {
            return Ok((Box::pin(super::super::once(gate, ask, None)).await?, 0));
        };
        let (send, mut came) = mpsc::channel(STEPS_MAX);
        let relay = async {
            // The place of each block of this round in the whole reply.
            let mut places: Vec<(usize, Option<usize>)> = Vec::new();
            let mut count = 0;
            while let Some(step) = came.recv().await {
                if let Some(step) = self.step(step, (&mut places, &mut count)) {
                    // A caller that left does not end the turn.
                    drop(steps.send(step).await);
                }
            }
            count
        };
        let turn = Box::pin(super::super::once(gate, ask, Some(send)));
        let (answered, count) = tokio::join!(turn, relay);
        Ok((answered?, count))
    }

    fn step(
        &self,
        step: Step,
        (places, count): (&mut Vec<(usize, Option<usize>)>, &mut usize),
    ) -> Option<Step> {
        let event = match step {
            Step::Event(event) => event,
            start @ Step::Start { .. } => return self.first.then_some(start),
        };
        let place = |places: &[(usize, Option<usize>)], index: usize| {
            places.iter().rev().find(|(known, _)| *known == index).and_then(|(_, place)| *place)
        };
        Some(Step::Event(match event {
            Event::Start { .. } if !self.first => return None,
            Event::Open { index, part } => {
                let hidden = self.hides
                    && matches!(&part, Part::Tool { name, .. } if !self.theirs.contains(name));
                let own = (!hidden).then(|| self.offset + *count);
                places.push((index, own));
                *count += usize::from(!hidden);
                Event::Open { index: own?, part }
            }
            Event::Text { index, text } => Event::Text { index: place(places, index)?, text },
            Event::Thinking { index, text } => {
                Event::Thinking { index: place(places, index)?, text }
            }
            Event::Input { index, json } => Event::Input { index: place(places, index)?, json },
            Event::Close { index } => Event::Close { index: place(places, index)? },
            other => other,
        }))
    }
}
