//! Exact token counts of OpenAI's models, offline; never on the path of a request.

use serde_json::json;
use tiktoken_rs::{CoreBPE, cl100k_base_singleton, o200k_base_singleton};
use wire::prompt::{Block, Prompt};
use wire::{Code, Fault};

/// What OpenAI adds to each message, and to the whole.
const MESSAGE: u64 = 3;
const PROMPT: u64 = 3;
/// Limit: bytes that are counted exactly; a second's work. What is longer is estimated.
const BYTES_MAX: usize = 16 << 20;
/// The makers' names of models, by their beginning, and which tokens they have. The longer
/// beginning stands first.
const FAMILIES: &[(&str, Tokens)] = &[
    ("gpt-4o", Tokens::O200k),
    ("gpt-4.1", Tokens::O200k),
    ("gpt-4.5", Tokens::O200k),
    ("chatgpt-4o", Tokens::O200k),
    ("gpt-5", Tokens::O200k),
    ("gpt-oss", Tokens::O200k),
    ("o1", Tokens::O200k),
    ("o3", Tokens::O200k),
    ("o4", Tokens::O200k),
    ("gpt-4", Tokens::Cl100k),
    ("gpt-3.5", Tokens::Cl100k),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tokens {
    O200k,
    Cl100k,
}

impl Tokens {
    /// The tables; unpacked when they are wanted first, which takes some tenths of a second.
    fn tables(self) -> &'static CoreBPE {
        match self {
            Self::O200k => o200k_base_singleton(),
            Self::Cl100k => cl100k_base_singleton(),
        }
    }
}

/// Which tokens a model has; `None` for those whose tokens nobody has published.
fn family(model: &str) -> Option<Tokens> {
    let name = model.rsplit('/').next().unwrap_or(model);
    FAMILIES.iter().find(|(begin, _)| name.starts_with(begin)).map(|(_, tokens)| *tokens)
}

/// Counts a prompt as the model's own provider would; `None` for a model whose tokens are not
/// known, or a prompt with parts that are no text. Tools are counted by their text; how a provider
/// writes them is not published.
pub(crate) async fn count(model: &str, prompt: Prompt) -> Option<u64> {
    let family = family(model)?;
    let texts = texts(&prompt)?;
    let framing = u64::try_from(prompt.messages.len()).unwrap_or(u64::MAX).saturating_mul(MESSAGE);
    let system =
        if prompt.system.as_deref().is_some_and(|text| !text.is_empty()) { MESSAGE } else { 0 };
    let counted = tokio::task::spawn_blocking(move || {
        let tables = family.tables();
        texts
            .iter()
            .map(|text| u64::try_from(tables.count_ordinary(text)).unwrap_or(0))
            .sum::<u64>()
    });
    let counted = counted.await.ok()?;
    Some(counted.saturating_add(framing).saturating_add(system).saturating_add(PROMPT))
}

/// The texts of lists of tokens, which are taken for those of `cl100k_base`: OpenAI's embedding
/// models have these, and so do clients that make tokens for a model they do not know.
///
/// # Errors
/// `invalid_input`, naming a token that is none.
pub(crate) async fn texts_of(lists: Vec<Vec<u64>>) -> Result<Vec<String>, Fault> {
    let unknown = |token: u64| {
        Fault::new(Code::InvalidInput, format!("`input` has the token `{token}`, which is none"))
            .hint(
                "tokens are read as those of cl100k_base; send texts instead, in LangChain by \
                   check_embedding_ctx_length=False",
            )
            .details(json!({"field": "input", "token": token}))
    };
    let read = tokio::task::spawn_blocking(move || {
        let tables = Tokens::Cl100k.tables();
        let read = |list: Vec<u64>| {
            let ranks = list.into_iter().map(|token| u32::try_from(token).ok().ok_or(token));
            let ranks = ranks.collect::<Result<Vec<u32>, u64>>()?;
            let bytes = tables.decode_bytes(&ranks).map_err(|unread| u64::from(unread.token))?;
            // A client may cut a long text within a character.
            Ok::<String, u64>(String::from_utf8_lossy(&bytes).into_owned())
        };
        lists.into_iter().map(read).collect::<Result<Vec<String>, u64>>()
    });
    let read =
        read.await.map_err(|cause| Fault::internal("reading tokens ended").because(cause))?;
    read.map_err(unknown)
}

/// Everything that is text in a prompt; `None` when there is more, or it is too much.
fn texts(prompt: &Prompt) -> Option<Vec<String>> {
    let mut out: Vec<String> = prompt.system.iter().cloned().collect();
    for message in &prompt.messages {
        out.push(message.role.as_str().to_owned());
        for block in &message.blocks {
            match block {
                Block::Text(text) => out.push(text.to_string()),
                Block::ToolUse { name, input, .. } => {
                    out.push(name.clone());
                    out.push(input.get().to_owned());
                }
                Block::ToolResult { content, .. } => out.push(content.clone()),
                Block::Thinking { .. } => {}
                Block::Image(_) | Block::Document(_) | Block::Audio(_) | Block::Other { .. } => {
                    return None;
                }
            }
        }
    }
    for tool in &prompt.tools {
        out.push(tool.name.clone());
        out.extend(tool.description.clone());
        out.push(tool.schema.get().to_owned());
    }
    (out.iter().map(String::len).sum::<usize>() <= BYTES_MAX).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wire::prompt::{Message, Role};

    /// Counts that OpenAI's own library gives for these texts.
    #[test]
    fn texts_have_the_tokens_that_their_maker_counts() {
        for (text, o200k, cl100k) in [
            ("hello world", 2, 2),
            ("tiktoken is great!", 6, 6),
            ("antidisestablishmentarianism", 6, 6),
            ("2 + 2 = 4", 7, 7),
            ("お誕生日おめでとう", 8, 9),
        ] {
            assert_eq!(Tokens::O200k.tables().count_ordinary(text), o200k, "{text}");
            assert_eq!(Tokens::Cl100k.tables().count_ordinary(text), cl100k, "{text}");
        }
    }

    #[tokio::test]
    async fn tokens_are_read_back() {
        let tokens = |text: &str| {
            let ranks = Tokens::Cl100k.tables().encode_ordinary(text);
            ranks.into_iter().map(u64::from).collect::<Vec<u64>>()
        };
        let lists = vec![tokens("hello world"), Vec::new(), tokens("お誕生日おめでとう")];
        let texts = texts_of(lists).await.unwrap();
        assert_eq!(texts, ["hello world", "", "お誕生日おめでとう"]);
        for wrong in [200_000, u64::MAX] {
            let fault = texts_of(vec![vec![1, wrong]]).await.unwrap_err();
            assert!(fault.text().contains(&format!("`{wrong}`")), "{fault}");
        }
    }

    #[test]
    fn a_model_is_known_by_its_name() {
        assert_eq!(family("gpt-5.5"), Some(Tokens::O200k));
        assert_eq!(family("openai/gpt-4o-mini"), Some(Tokens::O200k));
        assert_eq!(family("gpt-4-turbo"), Some(Tokens::Cl100k));
        assert_eq!(family("claude-sonnet-5-5"), None);
        // Nobody has said which tokens these have.
        assert_eq!(family("gpt-6.1-sol"), None);
    }

    #[tokio::test]
    async fn a_prompt_is_its_texts_and_the_framing() {
        let messages = vec![Message::text(Role::User, "hello world")];
        let prompt = Prompt { messages, ..Prompt::default() };
        // Two for the text, one for the role, three for the message, three for the reply.
        assert_eq!(count("gpt-4o", prompt.clone()).await, Some(9));
        assert_eq!(count("claude", prompt).await, None);
    }
}
