//! An answer that one model begins and another ends: opt-in, by the route.
//!
//! When the first breaks off after it has said something, the next is asked the same with what was
//! said as the beginning of its answer, and its words go on in the same block. Nothing is lost but
//! the joint, which may show in the wording; the record of the call names whoever finished, with its
//! tokens and price, and the other among the tries.

use std::sync::Arc;

use tokio::sync::mpsc;
use wire::Fault;
use wire::event::Event;
use wire::prompt::Prompt;
use wire::reply::Reply;

use super::walk::is_content;
use crate::flow::{STEPS_MAX, Said};
use crate::model::{Failed, Upstream, culprit};
use crate::route::Record;

/// Streams from the first target, which gets this body; the others go on where it breaks off, asked
/// the prompt with what was said.
pub(super) async fn stream(
    (first, body): (Arc<Upstream>, Vec<u8>),
    later: Option<(Vec<Arc<Upstream>>, Prompt)>,
    (out, record): (mpsc::Sender<Event>, &Record),
) -> Result<Reply, Fault> {
    let mut said = Said::default();
    let outcome = one((&first, body), (&mut said, false), (&out, record)).await;
    let Err(Failed { fault, .. }) = outcome else {
        return outcome.map_err(|failed| failed.fault);
    };
    let mut last = fault;
    let (targets, prompt) = later.unwrap_or_default();
    for upstream in &targets {
        // Where nothing went out the walk asks the next one in the ordinary way; and only words can
        // be gone on with: a tool call cut in half is no beginning.
        if !culprit(&last).is_elsewhere() || said.is_empty() || !said.is_words() {
            break;
        }
        let mut prompt = prompt.clone();
        upstream.model().clone_into(&mut prompt.model);
        said.lead(&mut prompt, upstream);
        let body = upstream.written(&prompt, true).body;
        match one((upstream, body), (&mut said, true), (&out, record)).await {
            Ok(reply) => {
                record.lock().answers(Some(upstream));
                return Ok(reply);
            }
            Err(Failed { fault, .. }) => last = fault,
        }
    }
    Err(last)
}

/// Streams from one target, which goes on with what another said or begins.
async fn one(
    (upstream, body): (&Upstream, Vec<u8>),
    (said, goes_on): (&mut Said, bool),
    (out, record): (&mpsc::Sender<Event>, &Record),
) -> Result<Reply, Failed> {
    let (events, mut came) = mpsc::channel(STEPS_MAX);
    let call = upstream.stream_written(body, events);
    let relay = async {
        let mut is_silent = true;
        while let Some(event) = came.recv().await {
            if is_silent && is_content(&event) {
                is_silent = false;
                record.lock().speaks();
            }
            if let Some(event) = said.take(event, goes_on)
                && out.send(event).await.is_err()
            {
                // Whoever left wants nothing more; the call ends with its future.
                return;
            }
        }
    };
    let (outcome, ()) = tokio::join!(call, relay);
    outcome.map(|reply| std::mem::take(said).whole(reply, goes_on))
}
