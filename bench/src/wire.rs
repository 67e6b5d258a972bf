//! The thinnest clients that measure little of themselves: HTTP/1.1 keep-alive and JSON lines.

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// One connection.
#[derive(Debug)]
pub(crate) struct Line {
    stream: TcpStream,
    held: Vec<u8>,
    headers: &'static str,
}

impl Line {
    /// Connects, without Nagle's delay.
    pub(crate) async fn open(address: &str) -> Result<Self> {
        Self::open_with(address, "").await
    }

    /// As [`Line::open`], with header lines for every request.
    pub(crate) async fn open_with(address: &str, headers: &'static str) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, held: Vec::with_capacity(16 * 1024), headers })
    }

    /// Sends a JSON line and reads the reply line.
    pub(crate) async fn exchange(&mut self, line: &str) -> Result<Vec<u8>> {
        self.stream.write_all(line.as_bytes()).await?;
        loop {
            if let Some(end) = self.held.iter().position(|b| *b == b'\n') {
                return Ok(self.held.drain(..=end).collect());
            }
            self.more().await?;
        }
    }

    /// Sends a POST with a JSON body and reads the whole answer's body.
    pub(crate) async fn post(&mut self, path: &str, body: &str) -> Result<Vec<u8>> {
        self.post_with(path, "", body).await
    }

    /// As [`Line::post`], with further header lines.
    pub(crate) async fn post_with(
        &mut self,
        path: &str,
        headers: &str,
        body: &str,
    ) -> Result<Vec<u8>> {
        self.send_with(path, headers, body).await?;
        let (head, length) = self.head().await?;
        let length = length.with_context(|| format!("no length in: {head}"))?;
        if !head.starts_with("HTTP/1.1 2") {
            bail!("{head}");
        }
        while self.held.len() < length {
            self.more().await?;
        }
        Ok(self.held.drain(..length).collect())
    }

    /// Sends a POST and reads the whole answer, with a length or in chunks.
    pub(crate) async fn answered(&mut self, path: &str, body: &str) -> Result<()> {
        self.send(path, body).await?;
        let (head, length) = self.head().await?;
        if !head.starts_with("HTTP/1.1 2") {
            bail!("{head}");
        }
        let Some(length) = length else { return self.rest(b"\r\n0\r\n\r\n").await };
        while self.held.len() < length {
            self.more().await?;
        }
        self.held.drain(..length);
        Ok(())
    }

    /// Reads on until these bytes have come.
    pub(crate) async fn rest(&mut self, mark: &[u8]) -> Result<()> {
        loop {
            if let Some(at) = find(&self.held, mark) {
                self.held.drain(..at + mark.len());
                return Ok(());
            }
            self.more().await?;
        }
    }

    /// Sends a POST and returns when these bytes have come in the body.
    pub(crate) async fn until(&mut self, path: &str, body: &str, mark: &[u8]) -> Result<()> {
        self.send(path, body).await?;
        let (head, _) = self.head().await?;
        if !head.starts_with("HTTP/1.1 200") {
            bail!("{head}");
        }
        while !contains(&self.held, mark) {
            self.more().await?;
        }
        Ok(())
    }

    /// Sends a POST and waits for nothing.
    pub(crate) async fn send(&mut self, path: &str, body: &str) -> Result<()> {
        self.send_with(path, self.headers, body).await
    }

    async fn send_with(&mut self, path: &str, headers: &str, body: &str) -> Result<()> {
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n\
             {headers}Content-Length: {}\r\n\r\n",
            body.len()
        );
        self.stream.write_all(format!("{head}{body}").as_bytes()).await?;
        Ok(())
    }

    async fn head(&mut self) -> Result<(String, Option<usize>)> {
        loop {
            if let Some(end) = find(&self.held, b"\r\n\r\n") {
                let head: Vec<u8> = self.held.drain(..end + 4).collect();
                let head = String::from_utf8_lossy(&head).into_owned();
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length")
                        .then(|| value.trim().parse().ok())?
                });
                return Ok((head, length));
            }
            self.more().await?;
        }
    }

    async fn more(&mut self) -> Result<()> {
        if self.stream.read_buf(&mut self.held).await? == 0 {
            bail!("the connection was closed");
        }
        Ok(())
    }
}

fn find(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    bytes.windows(needle.len()).position(|w| w == needle)
}

fn contains(bytes: &[u8], needle: &[u8]) -> bool {
    find(bytes, needle).is_some()
}
