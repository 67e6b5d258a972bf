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
        "SELECT rootpage, page_size FROM sqlite_schema, pragma_page_size WHERE name = 'share'";
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
