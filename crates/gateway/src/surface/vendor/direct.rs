//! The model calls that need no router, each by its path: the router's handlers answer them.

use std::pin::Pin;

use axum::extract::{Extension, Request, State};
use axum::response::{IntoResponse, Response};
use wire::Fault;

use super::{
    Who, chat_completions, cohere, completions, embed, gemini, messages, ollama, responses,
};
use crate::auth::Caller;
use crate::gate::Gateway;
use crate::surface::door::RequestId;
use crate::surface::problem::Failed;

/// A call, by the path of its POST.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Direct {
    /// The whole path, or the beginning of those that end in what is wanted of which model.
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
    Direct { path: "/v1beta/models/", handler: |g, w, r| ready(gemini::named(g, w, r)) },
    Direct { path: "/v1/models/", handler: |g, w, r| ready(gemini::named(g, w, r)) },
];

fn ready(answer: impl Future<Output = Result<Response, Failed>> + Send + 'static) -> Answering {
    Box::pin(async move { answer.await.into_response() })
}

impl Direct {
    /// Whether this path is one of this call. A path with something escaped is the router's: it
    /// knows what is a name then, and what are two.
    pub(crate) fn is_at(self, path: &[u8]) -> bool {
        match path.strip_prefix(self.path.as_bytes()) {
            Some([]) => !self.is_folder(),
            Some(rest) => {
                self.is_folder()
                    && !rest.contains(&b'%')
                    && std::str::from_utf8(rest).is_ok_and(gemini::is_call)
            }
            None => false,
        }
    }

    /// Whether a path that begins like this can be one of this call.
    pub(crate) fn may_be_at(self, begin: &[u8]) -> bool {
        let path = self.path.as_bytes();
        path.starts_with(begin) || self.is_folder() && begin.starts_with(path)
    }

    fn is_folder(self) -> bool {
        self.path.ends_with('/')
    }

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
