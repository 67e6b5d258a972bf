//! Command lines, and what is read out of the last words of a server.

use super::Command;

#[test]
fn a_command_line_is_taken_apart_as_a_shell_does() {
    let cases: [(&str, &[&str]); 5] = [
        ("npx -y server", &["npx", "-y", "server"]),
        ("python3 'my server.py' --x=\"a b\"", &["python3", "my server.py", "--x=a b"]),
        (r"a\ b c", &["a b", "c"]),
        ("x ''", &["x", ""]),
        ("  x  ", &["x"]),
    ];
    for (text, words) in cases {
        assert_eq!(Command::parse(text).unwrap().words, words, "{text}");
    }
    assert!(Command::parse("x 'y").unwrap_err().contains("not closed"));
    assert!(Command::parse("  ").unwrap_err().contains("empty"));
}

#[test]
fn a_line_shows_where_its_words_end() {
    assert_eq!(Command::parse("a 'b c' ''").unwrap().line(), "a 'b c' ''");
}

#[test]
fn a_shell_reads_the_line_of_a_command_as_the_command() {
    for words in [["python3", "-c", "print(1/0)"], ["a b", "it's", ""], ["x", "$HOME", "a;b"]] {
        let words = words.map(str::to_owned).to_vec();
        let line = Command { words: words.clone(), ..Command::default() }.line();
        assert_eq!(Command::parse(&line).unwrap().words, words, "{line}");
        assert!(!line.contains("-c print(1/0)"), "a shell would stumble over {line}");
    }
}
