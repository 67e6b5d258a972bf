//! The real program from outside: its own process, real sockets, real files, faults on purpose.

#[cfg(test)]
mod cli;
#[cfg(test)]
mod cli_chat;
#[cfg(test)]
mod cli_context;
#[cfg(test)]
mod commands;
#[cfg(test)]
mod connect;
#[cfg(test)]
mod connections;
#[cfg(test)]
mod debug;
#[cfg(test)]
mod doctor_all;
#[cfg(test)]
mod doctor_moved;
#[cfg(test)]
mod doctor_slips;
#[cfg(test)]
mod doctor_states;
#[cfg(test)]
mod doctor_store;
#[cfg(test)]
mod house;
#[cfg(test)]
mod inspect;
#[cfg(test)]
#[cfg(unix)]
mod inspect_attach;
#[cfg(test)]
#[cfg(unix)]
mod inspect_run;
#[cfg(test)]
#[cfg(target_os = "linux")]
mod inspect_screen;
#[cfg(test)]
mod joined;
#[cfg(test)]
mod logins;
#[cfg(test)]
mod mock_replay;
#[cfg(test)]
mod models;
#[cfg(test)]
mod mounts;
#[cfg(test)]
mod ports;
#[cfg(test)]
mod shutdown;
#[cfg(test)]
mod slips;
#[cfg(test)]
mod tls;

// The program and conversations with it, for the faults below.
#[cfg(test)]
mod program;
#[cfg(test)]
mod progress;
#[cfg(test)]
mod talk;

#[cfg(test)]
mod doctor;
#[cfg(test)]
mod documents;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod faults_disk;
#[cfg(test)]
mod faults_lines;
#[cfg(test)]
mod faults_slow;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod kill_branches;
#[cfg(test)]
mod leaving;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod many;
#[cfg(test)]
mod providers;
#[cfg(test)]
mod requests;
#[cfg(test)]
mod responses;
#[cfg(test)]
mod secrets;
#[cfg(all(test, unix))]
mod terminal;
#[cfg(test)]
mod upstream;
#[cfg(test)]
mod websocket;
