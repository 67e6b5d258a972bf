//! A conversation as one text, for models that were trained on one and not on messages.
//!
//! Invariant: what was written of a conversation is a prefix of what is written when messages are
//! added, apart from the last word that hands over to the model.

use wire::prompt::{Block, Message, Prompt, Role};

/// The words in which a provider wants a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transcript {
    /// Messages, as the API has them.
    #[default]
    Off,
    /// `Human:` and `Assistant:` before what each says, as Claude once was asked.
    Human,
    /// `<system>`, `<user>` and `<assistant>` around it.
    Xml,
}

impl Transcript {
    /// The words of the configuration.
    pub const WORDS: [(&'static str, Self); 3] =
        [("off", Self::Off), ("human", Self::Human), ("xml", Self::Xml)];

    /// The prompt with its conversation as one message of the user's, and the instructions before
    /// it. Pictures and other parts of the newest message stand beside the text.
    pub(super) fn of(self, prompt: &Prompt) -> Option<Prompt> {
        let (stop, turn) = match self {
            Self::Off => return None,
            Self::Human => ("\n\nHuman:", "\n\nAssistant:"),
            Self::Xml => ("</assistant>", "<assistant>\n"),
        };
        let mut text = String::new();
        if let Some(system) = prompt.system.as_deref().filter(|system| !system.is_empty()) {
            self.add(&mut text, Role::System, system);
        }
        for message in &prompt.messages {
            let said = said(message);
            if !said.trim().is_empty() {
                self.add(&mut text, message.role, &said);
            }
        }
        text.push_str(turn);
        let beside = prompt.messages.last().into_iter().flat_map(|message| &message.blocks);
        let beside = beside.filter(|block| {
            matches!(block, Block::Image(_) | Block::Document(_) | Block::Audio(_))
        });
        let mut blocks: Vec<Block> = beside.cloned().collect();
        blocks.push(Block::Text(text.into()));
        let mut out = prompt.clone();
        (out.system, out.system_raw) = (None, None);
        out.messages = vec![Message { role: Role::User, blocks, raw: None }];
        // The model would go on for the user otherwise.
        if !out.knobs.stop.iter().any(|known| known == stop) {
            out.knobs.stop.push(stop.to_owned());
        }
        Some(out)
    }

    fn add(self, text: &mut String, role: Role, said: &str) {
        let said = said.trim();
        let parts = match (self, role) {
            (Self::Human, Role::System) => ["", said, ""],
            (Self::Human, Role::Assistant) => ["\n\nAssistant: ", said, ""],
            (Self::Human, _) => ["\n\nHuman: ", said, ""],
            (_, Role::System) => ["<system>\n", said, "\n</system>\n"],
            (_, Role::Assistant) => ["<assistant>\n", said, "\n</assistant>\n"],
            (_, _) => ["<user>\n", said, "\n</user>\n"],
        };
        parts.into_iter().for_each(|part| text.push_str(part));
    }
}

/// What a message says in words; its thoughts are left out.
fn said(message: &Message) -> String {
    let texts = message.blocks.iter().filter_map(|block| match block {
        Block::Text(text) => Some(text.to_string()),
        Block::ToolUse { id, name, input } => Some(format!("[Tool call {id}: {name} {input}]")),
        Block::ToolResult { id, content, .. } => Some(format!("[Result of {id}: {content}]")),
        _ => None,
    });
    texts.collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prompt(messages: &[(Role, &str)]) -> Prompt {
        let messages = messages.iter().map(|(role, text)| Message::text(*role, *text)).collect();
        let system = Some("Be brief.".to_owned());
        Prompt { model: "m".to_owned(), system, messages, ..Prompt::default() }
    }

    #[track_caller]
    fn check(form: Transcript, messages: &[(Role, &str)], expected: &str) {
        let written = form.of(&prompt(messages)).unwrap();
        assert_eq!(written.messages.len(), 1);
        assert_eq!(written.messages[0].plain(), expected);
        assert_eq!(written.system, None);
    }

    #[test]
    fn a_conversation_is_told_with_the_words_of_its_form() {
        let talk = [(Role::User, "Hi"), (Role::Assistant, "Hello \n"), (Role::User, "Why?")];
        check(
            Transcript::Human,
            &talk,
            "Be brief.\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Why?\n\nAssistant:",
        );
        check(
            Transcript::Xml,
            &talk,
            "<system>\nBe brief.\n</system>\n<user>\nHi\n</user>\n<assistant>\nHello\n\
             </assistant>\n<user>\nWhy?\n</user>\n<assistant>\n",
        );
        assert!(Transcript::Off.of(&prompt(&talk)).is_none());
    }

    #[test]
    fn the_model_stops_before_it_speaks_for_the_user() {
        let written = Transcript::Human.of(&prompt(&[(Role::User, "Hi")])).unwrap();
        assert_eq!(written.knobs.stop, ["\n\nHuman:"]);
        let written = Transcript::Xml.of(&prompt(&[(Role::User, "Hi")])).unwrap();
        assert_eq!(written.knobs.stop, ["</assistant>"]);
    }
}
