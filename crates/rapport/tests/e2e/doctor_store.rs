//! `rapport doctor --store`: a sound store, a damaged one, and none.

use std::io::Write as _;

use crate::house::{House, line, text};

/// What is said, and must be found again in the file.
const WORDS: &str = "All that is gold does not glitter";

fn say(house: &House) -> std::path::PathBuf {
    let server = house.serve(&[]);
    let mut stream = server.connect();
    for n in 0..5 {
        let body = format!("{{\"sessionId\":\"a\",\"message\":\"{WORDS} {n}\"}}\n");
        stream.write_all(body.as_bytes()).unwrap();
        assert!(line(&mut stream).contains("glitter"));
    }
    // Also while the server runs.
    let folder = house.data().display().to_string();
    let sound = house.run(&["doctor", "--store", &folder, "--json"]);
    let said: serde_json::Value = serde_json::from_slice(&sound.stdout).unwrap();
    assert_eq!((&said["ok"], &said["entries"]), (&true.into(), &10.into()), "{said}");
    drop(stream);
    assert!(server.terminate().success());
    house.data().join("rapport.db")
}

#[test]
fn a_store_is_verified_and_its_damage_is_named() {
    let house = House::new();
    let file = say(&house);
    let sound = house.run(&["doctor", "--store"]);
    assert_eq!(sound.status.code(), Some(0), "{}", text(&sound.stderr));
    let said = text(&sound.stdout);
    assert!(said.contains("sound") && said.contains("1 contexts, 10 entries"), "{said}");

    let mut bytes = std::fs::read(&file).unwrap();
    let places: Vec<usize> = (0..bytes.len() - WORDS.len())
        .filter(|at| &bytes[*at..*at + WORDS.len()] == WORDS.as_bytes())
        .collect();
    assert!(!places.is_empty(), "the words are in the file");
    for at in places {
        bytes[at + 12] = b'l';
    }
    std::fs::write(&file, bytes).unwrap();
    let damaged = house.run(&["doctor", "--store"]);
    assert_eq!(damaged.status.code(), Some(1), "{}", text(&damaged.stderr));
    let said = text(&damaged.stdout);
    assert!(said.contains("damaged") && said.contains("context `a`, entry 1: its bytes"), "{said}");
    assert!(said.contains("rapport restore FILE"), "{said}");
}

#[test]
fn damage_where_no_entry_lies_is_found_too() {
    let house = House::new();
    let file = say(&house);
    let sql =
        "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'ctx_log'";
    let (page, size) = {
        let store = storage::rusqlite::Connection::open(&file).unwrap();
        let mut statement = store.prepare(sql).unwrap();
        let mut rows = statement.query([]).unwrap();
        let row = rows.next().unwrap().expect("the table is there");
        let number = |at| usize::try_from(row.get::<_, u32>(at).unwrap()).unwrap();
        (number(0), number(1))
    };
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[(page - 1) * size..page * size].fill(0xa5);
    std::fs::write(&file, bytes).unwrap();
    let damaged = house.run(&["doctor", "--store", "--json"]);
    assert_eq!(damaged.status.code(), Some(1), "{}", text(&damaged.stdout));
    let said: serde_json::Value = serde_json::from_slice(&damaged.stdout).unwrap();
    assert_eq!(said["ok"], false, "{said}");
}

#[test]
fn a_restore_tells_what_it_did_and_wants_a_backup() {
    let house = House::new();
    let copy = say(&house).with_file_name("copy.db");
    assert!(house.run(&["backup", copy.to_str().unwrap()]).status.success());
    let again = house.run(&["restore", copy.to_str().unwrap()]);
    assert!(text(&again.stdout).contains("is in backups/"), "{}", text(&again.stdout));
    std::fs::remove_file(house.data().join("rapport.db")).unwrap();
    let fresh = house.run(&["restore", copy.to_str().unwrap()]);
    assert!(fresh.status.success() && !text(&fresh.stdout).contains("backups/"));
    let none = house.run(&["restore", "nothing.db"]);
    assert_eq!(none.status.code(), Some(1));
    assert!(text(&none.stderr).contains("no backup `nothing.db`"), "{}", text(&none.stderr));
}

#[test]
fn a_folder_without_a_store_is_a_mistake_of_the_caller() {
    let house = House::new();
    let empty = house.path().display().to_string();
    let none = house.run(&["doctor", "--store", &empty]);
    assert_eq!(none.status.code(), Some(2));
    assert!(text(&none.stderr).contains("there is no store in"), "{}", text(&none.stderr));
    house.write("rapport.db", "this is no database, however long it may be\n");
    let broken = house.run(&["doctor", "--store", &empty]);
    assert_eq!(broken.status.code(), Some(1));
    assert!(text(&broken.stdout).contains("cannot be read"), "{}", text(&broken.stdout));
}

/// The first page of every table and index, with its name; and the size of a page.
#[expect(clippy::result_large_err, reason = "the readers of rows return the library's error")]
fn roots(file: &std::path::Path) -> (Vec<(String, usize)>, usize) {
    let store = storage::rusqlite::Connection::open(file).unwrap();
    let sql = "SELECT name, rootpage FROM sqlite_schema WHERE rootpage > 0 ORDER BY name";
    let mut statement = store.prepare(sql).unwrap();
    let found = statement.query_map([], |row| Ok((row.get(0)?, row.get::<_, u32>(1)?))).unwrap();
    let roots = found.map(|root| {
        let (name, page): (String, u32) = root.unwrap();
        (name, usize::try_from(page).unwrap())
    });
    let size: u32 = store.query_row("PRAGMA page_size", [], |row| row.get(0)).unwrap();
    (roots.collect(), usize::try_from(size).unwrap())
}

/// What the doctor says of a store with these bytes: never a crash.
#[track_caller]
fn judged(house: &House, file: &std::path::Path, bytes: &[u8], what: &str) -> bool {
    std::fs::write(file, bytes).unwrap();
    for log in ["rapport.db-wal", "rapport.db-shm"] {
        drop(std::fs::remove_file(file.with_file_name(log)));
    }
    let done = house.run(&["doctor", "--store", "--json"]);
    let code = done.status.code();
    assert!(matches!(code, Some(0 | 1)), "{what}: {code:?} {}", text(&done.stderr));
    assert!(!text(&done.stderr).contains("panicked"), "{what}: {}", text(&done.stderr));
    let said: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(said["ok"], code == Some(0), "{what}: {said}");
    assert_eq!(std::fs::read(file).unwrap(), bytes, "{what}: the doctor changed the file");
    code == Some(0)
}

#[test]
fn a_page_of_any_table_that_is_rubbish_is_found() {
    let house = House::new();
    let file = say(&house);
    let sound = std::fs::read(&file).unwrap();
    let (roots, size) = roots(&file);
    assert!(roots.len() > 20, "{roots:?}");
    assert!(judged(&house, &file, &sound, "nothing"), "a sound store is called damaged");
    for (name, page) in roots {
        let mut bytes = sound.clone();
        bytes[(page - 1) * size..page * size].fill(0xa5);
        assert!(!judged(&house, &file, &bytes, &name), "damage of `{name}` is not found");
    }
}

#[test]
fn a_file_that_was_cut_off_or_lost_its_head_is_found() {
    let house = House::new();
    let file = say(&house);
    let sound = std::fs::read(&file).unwrap();
    for part in [4, 2] {
        let cut = &sound[..sound.len() / part];
        assert!(!judged(&house, &file, cut, "cut"), "the first 1/{part} of a file is called sound");
    }
    let mut headless = sound.clone();
    headless[..100].fill(0);
    assert!(!judged(&house, &file, &headless, "head"));
    assert!(judged(&house, &file, &sound, "whole again"));
}

#[test]
fn single_bits_that_flip_are_found_or_harmless() {
    let house = House::new();
    let file = say(&house);
    let sound = std::fs::read(&file).unwrap();
    let mut found = 0;
    for n in 0..24_usize {
        let at = (n * 7_919_977 + 101) % sound.len();
        let mut bytes = sound.clone();
        bytes[at] ^= 1 << (n % 8);
        found += usize::from(!judged(&house, &file, &bytes, &format!("bit of byte {at}")));
    }
    println!("{found} of 24 flipped bits matter");
}

#[test]
fn a_store_whose_log_of_writes_was_deleted_is_what_it_was_before_them() {
    let house = House::new();
    let file = say(&house);
    let server = house.serve(&[]);
    let mut stream = server.connect();
    stream.write_all(b"{\"sessionId\":\"a\",\"message\":\"only in the log\"}\n").unwrap();
    assert!(line(&mut stream).contains("only in the log"));
    drop(stream);
    server.signal(rustix::process::Signal::KILL);
    drop(server);
    let bytes = std::fs::read(&file).unwrap();
    assert!(judged(&house, &file, &bytes, "without its log"), "what is left is whole");
    let server = house.serve(&[]);
    assert!(server.terminate().success());
}
