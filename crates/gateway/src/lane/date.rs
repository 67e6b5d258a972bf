//! The date of responses, written anew once a second.

use jiff::Timestamp;

/// The last date that was written.
#[derive(Debug, Default)]
pub(super) struct Date {
    second: i64,
    text: String,
}

impl Date {
    /// The date of this moment, as HTTP has it.
    pub(super) fn now(&mut self) -> &[u8] {
        self.at(Timestamp::now())
    }

    fn at(&mut self, now: Timestamp) -> &[u8] {
        if self.text.is_empty() || self.second != now.as_second() {
            self.second = now.as_second();
            self.text = now.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
        }
        self.text.as_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::Date;

    #[test]
    fn a_date_is_written_as_http_has_it_and_follows_the_clock() {
        let mut date = Date::default();
        for (at, text) in [
            ("1994-11-06T08:49:37.9Z", "Sun, 06 Nov 1994 08:49:37 GMT"),
            ("1994-11-06T08:49:38Z", "Sun, 06 Nov 1994 08:49:38 GMT"),
        ] {
            assert_eq!(date.at(at.parse().unwrap()), text.as_bytes());
        }
    }
}
