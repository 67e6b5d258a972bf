//! A command that is seen in a terminal ends with it.

use std::process::Command;

use crate::house::House;

/// Starts a program in a terminal of its own, waits for a word, takes the terminal away, and
/// prints how the program ended.
const TERMINAL: &str = r"
import os, pty, sys, time
word = sys.argv[1].encode()
pid, terminal = pty.fork()
if pid == 0:
    os.execv(sys.argv[2], sys.argv[2:])
said = b''
while word not in said:
    said += os.read(terminal, 65536)
os.close(terminal)
for _ in range(300):
    ended, status = os.waitpid(pid, os.WNOHANG)
    if ended:
        print('ended', os.waitstatus_to_exitcode(status))
        sys.exit(0)
    time.sleep(0.1)
os.kill(pid, 9)
print('goes on without its terminal')
";

#[test]
fn a_command_ends_with_its_terminal() {
    let house = House::new();
    for (word, arguments) in [
        ("is listening", &["mock", "--port", "0"][..]),
        ("127.0.0.1:9", &["inspect", "--to", "127.0.0.1:9", "--listen", "127.0.0.1:0"]),
    ] {
        let program = house.command(arguments);
        let output = Command::new("python3")
            .args(["-c", TERMINAL, word])
            .arg(program.get_program())
            .args(program.get_args())
            .env("TERM", "xterm")
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(said.starts_with("ended"), "{arguments:?}: {said}");
    }
}
