//! Which of two targets speaks, where a slow turn was sent to both: the first to say something.

use tokio::sync::watch;

/// The race of one call; without a second target its only runner wins.
#[derive(Debug)]
pub(super) struct Race(watch::Sender<Option<usize>>);

impl Default for Race {
    fn default() -> Self {
        Self(watch::Sender::new(None))
    }
}

impl Race {
    /// The target at this place has something to say; whether it may.
    pub(super) fn takes(&self, place: usize) -> bool {
        self.0.send_if_modified(|speaker| {
            let is_free = speaker.is_none();
            if is_free {
                *speaker = Some(place);
            }
            is_free
        });
        self.speaker() == Some(place)
    }

    /// Whoever spoke has nothing more to say, and somebody else may.
    pub(super) fn ends(&self) {
        self.0.send_replace(None);
    }

    /// Who speaks.
    pub(super) fn speaker(&self) -> Option<usize> {
        *self.0.borrow()
    }

    /// Waits until somebody speaks, and says who.
    pub(super) async fn decided(&self) -> usize {
        let mut seen = self.0.subscribe();
        let speaker = seen.wait_for(Option::is_some).await.ok().and_then(|speaker| *speaker);
        match speaker {
            Some(speaker) => speaker,
            // The sender is ours, so it is not gone.
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_first_to_speak_speaks() {
        let race = Race::default();
        assert_eq!(race.speaker(), None);
        assert!(race.takes(1) && race.takes(1), "the speaker goes on");
        assert!(!race.takes(0));
        assert_eq!(race.decided().await, 1);
    }
}
