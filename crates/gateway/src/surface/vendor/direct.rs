//! The model calls that need no router, each by its path: the router's handlers answer them.

use std::pin::Pin;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use wire::Fault;

use super::{Who, chat_completions, cohere, completions, embed, messages, ollama, responses};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::door::RequestId;
use crate::surface::problem::Failed;

/// A call, by the path of its POST.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct {
    /// The whole path.
    pub(crate) path: &'static str,
    handler: fn(Gateway, Who, Request) -> Answering,
}

type Answering = Pin<Box<dyn Future<Output = Response> + Send>>;

/// All of them.
pub(crate) const DIRECT: &[Direct] = &[
    Direct { path: "/v1/messages", handler: |g, w, r| ready(messages(State(g), w, r)) },
    Direct {
        path: "/v1/chat/completions",
        handler: |g, w, r| ready(chat_completions(State(g), w, r)),
    },
    Direct { path: "/v1/responses", handler: |g, w, r| ready(responses::create(State(g), w, r)) },
    Direct {
        path: "/v1/completions",
        handler: |g, w, r| ready(completions::completions(State(g), w, r)),
    },
    Direct { path: "/v1/embeddings", handler: |g, w, r| ready(embed::openai(State(g), w, r)) },
    Direct { path: "/api/chat", handler: |g, w, r| ready(ollama::chat(State(g), w, r)) },
    Direct { path: "/api/generate", handler: |g, w, r| ready(ollama::generate(State(g), w, r)) },
    Direct { path: "/api/embed", handler: |g, w, r| ready(embed::ollama(State(g), w, r)) },
    Direct { path: "/v2/chat", handler: |g, w, r| ready(cohere::chat(State(g), w, r)) },
];

fn ready(answer: impl Future<Output = Result<Response, Failed>> + Send + 'static) -> Answering {
    Box::pin(async move { answer.await.into_response() })
}

impl Direct {
    /// Answers a request that the door has let in.
    pub(crate) async fn answer(self, gate: Gateway, mut request: Request) -> Response {
        let extensions = request.extensions_mut();
        let (caller, id) = (extensions.remove::<Caller>(), extensions.remove::<RequestId>());
        let (Some(caller), Some(id)) = (caller, id) else {
            return Failed::from(Fault::internal("a call without a caller")).into_response();
        };
        (self.handler)(gate, (Extension(caller), Extension(id)), request).await
    }
}
