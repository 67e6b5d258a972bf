//! Which ports look alike, and which command lines announce a port.

use super::missing::{looks_like, was_started_for};

#[test]
fn one_slip_of_the_finger_makes_ports_look_alike() {
    for (left, right) in [(8080, 8808), (61900, 61909), (8080, 808), (3000, 30000), (8080, 8081)] {
        assert!(looks_like(left, right) && looks_like(right, left), "{left} {right}");
    }
    for (left, right) in [(8080, 8080), (8080, 9091), (8080, 80), (12345, 54321)] {
        assert!(!looks_like(left, right), "{left} {right}");
    }
}

#[test]
fn only_a_flag_announces_a_port() {
    for command in ["app --port 8080", "app --port=8080", "app -p 8080 x", "g -b 127.0.0.1:8080"] {
        assert!(was_started_for(command, 8080), "{command}");
    }
    for command in ["curl http://localhost:8080", "app --port 18080", "vim 8080", "app --port"] {
        assert!(!was_started_for(command, 8080), "{command}");
    }
}
