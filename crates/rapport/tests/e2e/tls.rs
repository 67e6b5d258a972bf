//! TLS on the same port: for nobody, for those who ask, for everybody.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::house::{House, Server, everything, get, line};

fn encrypted(server: &Server, data: &Path) -> StreamOwned<ClientConnection, TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_file(data.join("tls/certificate.pem")).unwrap();
    roots.add(certificate).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let connection = ClientConnection::new(Arc::new(config), name).unwrap();
    StreamOwned::new(connection, server.connect())
}

#[test]
fn optional_tls_serves_both_and_every_protocol_inside() {
    let house = House::new();
    let server = house.serve(&["--tls", "optional"]);
    server.printed("to trust the certificate");
    assert!(server.get("/health").starts_with("HTTP/1.1 200"));
    let inside = get(encrypted(&server, &house.data()), "/health");
    assert!(inside.starts_with("HTTP/1.1 200"), "{inside}");
    let mut stream = encrypted(&server, &house.data());
    stream.write_all(b"{\"sessionId\":\"s\",\"message\":\"hi\"}\n").unwrap();
    assert!(line(&mut stream).contains("\"sessionId\":\"s\""));
}

#[test]
fn required_tls_names_the_mismatch_in_the_callers_protocol() {
    let house = House::with("tls: {mode: required}\n");
    let server = house.serve(&[]);
    let port = server.port;
    let plain = server.get("/health");
    assert!(plain.starts_with("HTTP/1.1 400"), "{plain}");
    assert!(plain.contains(&format!("https://localhost:{port}/")), "{plain}");
    let mut stream = server.connect();
    stream.write_all(b"{\"message\":\"hi\"}\n").unwrap();
    let said = everything(stream);
    assert!(said.starts_with("ERROR: TLS required"), "{said}");
    assert!(get(encrypted(&server, &house.data()), "/health").starts_with("HTTP/1.1 200"));
}

#[test]
fn without_tls_a_handshake_gets_an_alert_and_one_line_in_the_log() {
    let house = House::new();
    let server = house.serve(&[]);
    let mut stream = server.connect();
    let hello = [&[0x16, 0x03, 0x01, 0x00, 0x20, 0x01][..], &[0; 31]].concat();
    stream.write_all(&hello).unwrap();
    let mut alert = Vec::new();
    stream.read_to_end(&mut alert).unwrap();
    assert_eq!(alert, [0x15, 0x03, 0x01, 0x00, 0x02, 0x02, 0x46]);
    server.logged("`tls.mode` is off");
}

#[test]
fn a_reload_takes_a_new_certificate_without_closing_the_port() {
    let house = House::new();
    let server = house.serve(&["--tls", "optional"]);
    let path = house.data().join("tls/certificate.pem");
    let first = std::fs::read(&path).unwrap();
    std::fs::remove_dir_all(house.data().join("tls")).unwrap();
    server.signal(rustix::process::Signal::HUP);
    server.logged("was reloaded");
    assert_ne!(std::fs::read(&path).unwrap(), first);
    // The client trusts the new certificate only.
    assert!(get(encrypted(&server, &house.data()), "/health").starts_with("HTTP/1.1 200"));
}
