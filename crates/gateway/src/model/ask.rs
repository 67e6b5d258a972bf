//! What an upstream is asked: the body in its words, and the two ways to ask.

use tokio::sync::mpsc::Sender;
use wire::Fault;
use wire::dialect::Written;
use wire::event::Event;
use wire::prompt::Prompt;
use wire::reply::Reply;

use super::upstream::{Failed, Upstream};
use crate::provider;

impl Upstream {
    /// The body of a request, as this provider takes it, and what could not be said in it.
    pub(crate) fn written(&self, prompt: &Prompt, stream: bool) -> Written {
        let told = self.site.settings.transcript.of(prompt);
        let prompt = told.as_ref().unwrap_or(prompt);
        let Written { body, dropped } = self.site.dialect.render(prompt, stream);
        let quirks = &self.site.settings.row.quirks;
        // Others who speak the dialect need not share the company's quirks.
        if quirks.always || self.site.client.base().host() == self.site.settings.row.host() {
            return Written { body: provider::apply(quirks, body), dropped };
        }
        Written { body, dropped }
    }

    fn body(&self, prompt: &Prompt, stream: bool) -> Vec<u8> {
        self.written(prompt, stream).body
    }

    /// Exactly what would be sent: address, headers with every secret hidden, body.
    #[must_use]
    pub fn render(
        &self,
        prompt: &Prompt,
        stream: bool,
    ) -> (String, Vec<(String, String)>, Vec<u8>) {
        let headers = self.headers(stream, self.site.keys.first());
        let shown = headers.iter().map(|(name, value)| {
            let value =
                if value.is_sensitive() { "[hidden]" } else { value.to_str().unwrap_or("") };
            (name.as_str().to_owned(), value.to_owned())
        });
        (self.shown_url(stream), shown.collect(), self.body(prompt, stream))
    }

    /// The address of a request as it may be shown: without the key, where that is a part of it.
    #[must_use]
    pub fn shown_url(&self, stream: bool) -> String {
        self.site.clean(&self.url(stream))
    }

    /// Asks the model and waits for the whole reply; tries again where that may help.
    ///
    /// # Errors
    /// `upstream_unavailable`, `upstream_error`, `upstream_invalid`, `rate_limited` or `timeout`
    /// with `details.stage`, all after the last try.
    pub async fn send(&self, prompt: &Prompt) -> Result<Reply, Fault> {
        self.send_written(self.body(prompt, false)).await
    }

    /// As [`Upstream::send`], with a body of [`Upstream::written`].
    pub(crate) async fn send_written(&self, body: Vec<u8>) -> Result<Reply, Fault> {
        self.run(body.into(), None).await.map_err(|failed| failed.fault)
    }

    /// Asks the model and forwards what it says as it comes, as fast as `events` is read.
    ///
    /// The last event, [`Event::Done`] or [`Event::Fault`], is not forwarded: it is the result. A
    /// receiver that is gone does not end the call; dropping the future does. Nothing is tried
    /// again once an event was forwarded.
    ///
    /// # Errors
    /// As [`Upstream::send`], with what had come.
    pub async fn stream(&self, prompt: &Prompt, events: Sender<Event>) -> Result<Reply, Failed> {
        self.stream_written(self.body(prompt, true), events).await
    }

    /// As [`Upstream::stream`], with a body of [`Upstream::written`].
    pub(crate) async fn stream_written(
        &self,
        body: Vec<u8>,
        events: Sender<Event>,
    ) -> Result<Reply, Failed> {
        self.run(body.into(), Some(&events)).await
    }
}
