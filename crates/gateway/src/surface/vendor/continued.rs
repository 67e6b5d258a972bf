//! An answer that one model begins and another ends: opt-in, by the route.
//!
//! When the first breaks off after it has said something, the next is asked the same with what was
//! said as the beginning of its answer, and its words go on in the same block. Nothing is lost but
//! the joint, which may show in the wording; the record of the call names both.

use std::sync::Arc;

use tokio::sync::mpsc;
use wire::Fault;
use wire::event::Event;
use wire::prompt::Prompt;
use wire::reply::Reply;

use crate::flow::{STEPS_MAX, Said};
use crate::model::{Failed, Upstream, culprit};

/// Streams from the first target; the others go on where it breaks off.
pub(super) async fn stream(
    targets: Vec<Arc<Upstream>>,
    prompt: Prompt,
    out: mpsc::Sender<Event>,
) -> Result<Reply, Fault> {
    let mut said = Said::default();
    let mut last = None;
    for (place, upstream) in targets.iter().enumerate() {
        let mut prompt = prompt.clone();
        upstream.model().clone_into(&mut prompt.model);
        if place > 0 {
            // Only words can be gone on with: a tool call cut in half is no beginning.
            if !said.is_words() {
                break;
            }
            said.lead(&mut prompt, upstream);
        }
        let (events, mut came) = mpsc::channel(STEPS_MAX);
        let call = upstream.stream(&prompt, events);
        let relay = async {
            while let Some(event) = came.recv().await {
                if let Some(event) = said.take(event, place > 0)
                    && out.send(event).await.is_err()
                {
                    // Whoever left wants nothing more; the call ends with its future.
                    return;
                }
            }
        };
        let (outcome, ()) = tokio::join!(call, relay);
        match outcome {
            Ok(reply) => return Ok(said.whole(reply, place > 0)),
            Err(Failed { fault, .. }) if culprit(&fault).is_elsewhere() => last = Some(fault),
            Err(Failed { fault, .. }) => return Err(fault),
        }
        if said.is_empty() {
            // Nothing went out: the walk asks the next one in the ordinary way.
            break;
        }
    }
    Err(last.unwrap_or_else(|| Fault::internal("nobody was asked")))
}
