//! Disks that are full or may not be written: said plainly, survived, and over when they are.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::json;

use super::program::Home;

/// A small disk of its own, taken away when this drops.
pub(crate) struct Disk(PathBuf);

impl Disk {
    /// `None`, with the reason printed, where the test may not mount.
    pub(crate) fn new(at: &Path, options: &str) -> Option<Self> {
        std::fs::create_dir(at).unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|output| output.status.success());
        if !mounted {
            println!("skipped: no right to mount a small disk (it needs root)");
            return None;
        }
        Some(Self(at.to_owned()))
    }

    /// Fills it to the last byte.
    fn fill(&self) {
        use std::io::Write as _;
        let mut ballast = std::fs::File::create(self.0.join("ballast")).unwrap();
        while ballast.write_all(&[7; 4096]).is_ok() {}
        while ballast.write_all(&[7]).is_ok() {}
    }

    /// Becomes another disk of this size, with the same files.
    pub(crate) fn grow(&self, size: &str) {
        let options = format!("remount,{size}");
        let status = Command::new("mount").args(["-o", &options]).arg(&self.0).status();
        assert!(status.is_ok_and(|status| status.success()));
    }

    /// Makes room again.
    fn clear(&self) {
        std::fs::remove_file(self.0.join("ballast")).unwrap();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let ended = Command::new("umount").arg("-l").arg(&self.0).status();
        assert!(ended.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_survived_and_over_when_there_is_room() {
    let home = Home::new();
    let Some(disk) = Disk::new(&home.path("disk"), "size=8m,mode=700") else { return };
    let server = home.serve_in(&home.path("disk/data"), &[]).await;
    let ask = json!({"sessionId": "s", "message": "x".repeat(2000)});
    assert_eq!(server.post("/api/mcp/interact", &ask).await.status, 200);
    disk.fill();
    // What is left in the files of the store is used up first.
    let mut written = 0;
    let refused = loop {
        let answer = server.post("/api/mcp/interact", &ask).await;
        if answer.status != 200 {
            break answer;
        }
        written += 1;
        assert!(written < 10_000, "the disk is never full");
    };
    assert_eq!((refused.status, refused.code().as_str()), (507, "storage_error"), "{refused:?}");
    assert_eq!(refused.json()["details"]["reason"], "disk_full");
    assert_eq!(refused.json()["blame"], "server");
    let line = server.raw(format!("{ask}\n").as_bytes()).await;
    assert!(line.contains("\"code\":\"storage_error\""), "{line}");
    let made = server.post("/api/v1/contexts", &json!({})).await;
    assert_eq!(made.status, 507, "{made:?}");
    for path in ["/health", "/ready"] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, 503, "{path}: {answer:?}");
        assert!(answer.body.contains("disk is full"), "{path}: {answer:?}");
    }
    let judged = home.run(&["doctor", &server.addr.to_string()]).await;
    let said = String::from_utf8_lossy(&judged.stdout).into_owned();
    assert_eq!(judged.status.code(), Some(1), "{said}");
    let data = home.path("disk/data").canonicalize().unwrap();
    let first =
        "✗ Rapport answers, and cannot serve now: the store cannot write: the disk is full.";
    assert!(said.starts_with(first), "{said}");
    for words in ["[store.disk_full]", &format!("$ du -xh {} ", data.display())] {
        assert!(said.contains(words), "`{words}` is not in: {said}");
    }
    // What is stored can be read all the same.
    assert_eq!(server.messages("s").await.len(), 2 * (written + 1));

    disk.clear();
    assert_eq!(server.post("/api/mcp/interact", &ask).await.status, 200);
    assert_eq!(server.get("/health").await.status, 200);
    assert_eq!(server.get("/ready").await.status, 200);
    let messages = server.messages("s").await;
    assert_eq!(messages.len(), 2 * (written + 2));
    assert!(server.stop().await.status.success());
    let server = home.serve_in(&home.path("disk/data"), &[]).await;
    assert_eq!(server.messages("s").await, messages);
    server.stop().await;
}

#[tokio::test]
async fn a_read_only_data_folder_is_refused_at_the_start_with_what_to_do() {
    let home = Home::new();
    let Some(_disk) = Disk::new(&home.path("disk"), "size=1m,ro") else { return };
    for data in ["disk", "disk/data"] {
        let data = home.path(data);
        let ended = home.run(&["serve", "--port", "0", "--data", data.to_str().unwrap()]).await;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains(data.to_str().unwrap()), "{said}");
        assert!(said.to_lowercase().contains("read-only"), "{said}");
        assert!(!said.contains("panicked"), "{said}");
        assert_eq!(String::from_utf8_lossy(&ended.stdout), "");
    }
}

#[tokio::test]
async fn a_data_folder_that_is_a_file_or_holds_rubbish_is_refused_and_left_alone() {
    let home = Home::new();
    std::fs::write(home.path("file"), "mine").unwrap();
    std::fs::create_dir(home.path("rubbish")).unwrap();
    let rubbish = "not a database, but a letter to my aunt ".repeat(200);
    std::fs::write(home.path("rubbish/rapport.db"), &rubbish).unwrap();
    for name in ["file", "rubbish"] {
        let path = home.path(name);
        let ended = home.run(&["serve", "--port", "0", "--data", path.to_str().unwrap()]).await;
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(matches!(ended.status.code(), Some(1 | 2)), "{name}: {said}");
        assert!(said.contains("error: "), "{name}: {said}");
        assert!(!said.contains("panicked"), "{name}: {said}");
    }
    assert_eq!(std::fs::read_to_string(home.path("file")).unwrap(), "mine");
    assert_eq!(std::fs::read_to_string(home.path("rubbish/rapport.db")).unwrap(), rubbish);
}
