//! Forms with files, as browsers and clients send them.

use bytes::Bytes;

/// One part of a form.
pub(super) struct Part {
    pub(super) name: String,
    pub(super) file: Option<String>,
    pub(super) media: Option<String>,
    pub(super) body: Bytes,
}

/// A form.
pub(super) struct Form(Vec<Part>);

impl Form {
    /// Reads a body of this media type; `None` when it is no form.
    pub(super) fn read(media: &str, body: &Bytes) -> Option<Self> {
        let (kind, rest) = media.split_once(';')?;
        if kind.trim() != "multipart/form-data" {
            return None;
        }
        let boundary = rest.split(';').find_map(|part| part.trim().strip_prefix("boundary="))?;
        let mark = format!("--{}", boundary.trim_matches('"'));
        let mut parts = Vec::new();
        let mut at = find(body, mark.as_bytes(), 0)?.checked_add(mark.len())?;
        while body.get(at..at + 2) == Some(b"\r\n") {
            let start = at + 2;
            let end = find(body, format!("\r\n{mark}").as_bytes(), start)?;
            let blank = find(body, b"\r\n\r\n", start).filter(|blank| *blank < end)?;
            let head = std::str::from_utf8(body.get(start..blank)?).ok()?;
            parts.push(part(head, body.slice(blank + 4..end))?);
            at = end + 2 + mark.len();
        }
        Some(Self(parts))
    }

    /// The text of a field.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(&self.named(name)?.body).ok()
    }

    /// A part, such as a file.
    pub(super) fn named(&self, name: &str) -> Option<&Part> {
        self.0.iter().find(|part| part.name == name || part.name == format!("{name}[]"))
    }
}

fn part(head: &str, body: Bytes) -> Option<Part> {
    let line = |name: &str| {
        head.lines().find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    };
    let disposition = line("content-disposition")?;
    let field = |name: &str| {
        disposition.split(';').find_map(|piece| {
            let value = piece.trim().strip_prefix(name)?.strip_prefix('=')?;
            Some(value.trim_matches('"').to_owned())
        })
    };
    let media = line("content-type").map(str::to_owned);
    Some(Part { name: field("name")?, file: field("filename"), media, body })
}

fn find(body: &[u8], what: &[u8], from: usize) -> Option<usize> {
    let rest = body.get(from..)?;
    rest.windows(what.len()).position(|window| window == what).map(|at| from + at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_and_files_are_found_and_what_is_no_form_is_none() {
        let body = Bytes::from_static(
            b"--x\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n--x\r\n\
              content-disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\
              content-type: text/plain\r\n\r\n{}\r\n--y\r\n--x--\r\n",
        );
        let form = Form::read("multipart/form-data; boundary=x", &body).unwrap();
        assert_eq!(form.text("purpose"), Some("batch"));
        let file = form.named("file").unwrap();
        assert_eq!(
            (file.file.as_deref(), file.media.as_deref()),
            (Some("a.jsonl"), Some("text/plain"))
        );
        assert_eq!(file.body, "{}\r\n--y");
        for cut in 0..body.len() - 4 {
            assert!(
                Form::read("multipart/form-data; boundary=x", &body.slice(..cut))
                    .is_none_or(|form| form.0.len() < 2 || form.named("file").is_some())
            );
        }
        assert!(Form::read("application/json", &body).is_none());
    }
}
