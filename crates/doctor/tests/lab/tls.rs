//! Certificates that clients refuse, and ports that speak TLS when they should not.

use std::io::{Read, Write};
use std::sync::Arc;

use doctor::Request;
use rcgen::{CertificateParams, DistinguishedName, DnType, Issuer, KeyPair, date_time_ymd};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivatePkcs8KeyDer};

use super::servers::{Server, http, serve};
use super::{broken, fix, request, well};

/// An authority of our own, and the file with its certificate.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    file: tempfile::NamedTempFile,
}

impl Authority {
    fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = params(&[], name);
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        let own = params.self_signed(&key).unwrap();
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(own.pem().as_bytes()).unwrap();
        Self { issuer: Issuer::new(params, key), file }
    }

    /// What is asked by somebody who trusts this authority.
    fn trusted(&self, target: &str) -> Request {
        Request { roots: Some(self.file.path().to_owned()), ..request(target) }
    }

    fn serve(&self, params: &CertificateParams) -> Server {
        let key = KeyPair::generate().unwrap();
        let own = params.signed_by(&key, &self.issuer).unwrap();
        tls(own.der().clone(), &key, false)
    }
}

fn params(names: &[&str], common: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, common);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2060, 1, 1);
    params
}

/// A TLS server that speaks HTTP inside.
fn tls(own: CertificateDer<'static>, key: &KeyPair, wants_client: bool) -> Server {
    let key = PrivatePkcs8KeyDer::from(key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = if wants_client {
        let mut roots = RootCertStore::empty();
        roots.add(own.clone()).unwrap();
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        builder.with_client_cert_verifier(verifier.build().unwrap())
    } else {
        builder.with_no_client_auth()
    };
    let config = Arc::new(builder.with_single_cert(vec![own], key.into()).unwrap());
    serve("127.0.0.1:0", move |mut stream| {
        let mut connection = rustls::ServerConnection::new(Arc::clone(&config)).unwrap();
        let mut inside = rustls::Stream::new(&mut connection, &mut stream);
        let mut buffer = [0_u8; 1024];
        if inside.read(&mut buffer).is_ok_and(|length| length > 0) {
            drop(inside.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"));
        }
        drop(inside.flush());
    })
}

#[tokio::test]
async fn a_self_signed_certificate_is_refused_until_it_is_trusted() {
    let key = KeyPair::generate().unwrap();
    let own = params(&["localhost"], "just me").self_signed(&key).unwrap();
    let server = tls(own.der().clone(), &key, false);
    for target in ["https://localhost:PORT", "localhost:PORT"] {
        let target = target.replace("PORT", &server.port.to_string());
        let report = broken(&request(&target), "tls.self_signed", "just me").await;
        fix(&report, "SSL_CERT_FILE");
    }
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(own.pem().as_bytes()).unwrap();
    let roots = Some(file.path().to_owned());
    let target = format!("https://localhost:{}", server.port);
    well(&Request { roots, ..request(&target) }).await;
}

#[tokio::test]
async fn a_self_signed_root_that_serves_is_well_for_those_who_trust_it() {
    let key = KeyPair::generate().unwrap();
    let mut params = params(&["localhost"], "root and server");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let own = params.self_signed(&key).unwrap();
    let server = tls(own.der().clone(), &key, false);
    let target = format!("https://localhost:{}", server.port);
    broken(&request(&target), "tls.self_signed", "root and server").await;
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(own.pem().as_bytes()).unwrap();
    well(&Request { roots: Some(file.path().to_owned()), ..request(&target) }).await;
}

#[tokio::test]
async fn an_unknown_authority_is_named_and_trusting_it_helps() {
    let authority = Authority::new("Lab Local CA");
    let server = authority.serve(&params(&["localhost"], "server"));
    let target = format!("https://localhost:{}/health", server.port);
    let report = broken(&request(&target), "tls.unknown_ca", "Lab Local CA").await;
    fix(&report, "SSL_CERT_FILE");
    well(&authority.trusted(&target)).await;
}

#[tokio::test]
async fn dates_that_do_not_hold_today_are_named_and_a_new_certificate_helps() {
    let authority = Authority::new("Dates");
    let mut expired = params(&["localhost"], "old");
    expired.not_after = date_time_ymd(2021, 2, 3);
    let mut early = params(&["localhost"], "young");
    early.not_before = date_time_ymd(2059, 2, 3);
    for (bad, id, evidence) in
        [(expired, "tls.expired", "2021-02-03"), (early, "tls.not_yet_valid", "2059-02-03")]
    {
        let server = authority.serve(&bad);
        let target = format!("https://localhost:{}", server.port);
        let report = broken(&authority.trusted(&target), id, evidence).await;
        fix(&report, "mkcert localhost 127.0.0.1 ::1");
    }
    let renewed = authority.serve(&params(&["localhost", "127.0.0.1", "::1"], "new"));
    well(&authority.trusted(&format!("https://localhost:{}", renewed.port))).await;
}

#[tokio::test]
async fn names_that_are_not_the_servers_are_told_apart() {
    let authority = Authority::new("Names");
    let cases = [
        (params(&["example.internal"], "x"), "localhost", "tls.wrong_host", "example.internal"),
        (params(&[], "localhost"), "localhost", "tls.no_san", "CN=localhost"),
        (params(&["localhost"], "x"), "127.0.0.1", "tls.ip_not_in_cert", "is for localhost"),
    ];
    for (bad, host, id, evidence) in cases {
        let server = authority.serve(&bad);
        let target = format!("https://{host}:{}", server.port);
        let report = broken(&authority.trusted(&target), id, evidence).await;
        fix(&report, "mkcert");
        if id == "tls.ip_not_in_cert" {
            let other = format!("https://localhost:{}", server.port);
            fix(&report, &other);
            well(&authority.trusted(&other)).await;
        }
    }
    let renewed = authority.serve(&params(&["localhost", "127.0.0.1"], "new"));
    for host in ["localhost", "127.0.0.1"] {
        well(&authority.trusted(&format!("https://{host}:{}", renewed.port))).await;
    }
}

#[tokio::test]
async fn a_server_that_wants_a_clients_certificate_is_named() {
    let authority = Authority::new("Both Ways");
    let key = KeyPair::generate().unwrap();
    let own = params(&["localhost"], "x").signed_by(&key, &authority.issuer).unwrap();
    let strict = tls(own.der().clone(), &key, true);
    let target = format!("https://localhost:{}", strict.port);
    let report = broken(&authority.trusted(&target), "tls.client_cert", "mutual TLS").await;
    fix(&report, "--cert");
    let open = tls(own.der().clone(), &key, false);
    well(&authority.trusted(&format!("https://localhost:{}", open.port))).await;
}

#[tokio::test]
async fn a_server_with_an_old_version_is_named() {
    let old = super::servers::answers("127.0.0.1:0", b"\x15\x03\x01\0\x02\x02\x46");
    let target = format!("https://localhost:{}", old.port);
    let report = broken(&request(&target), "tls.version", "ProtocolVersion").await;
    fix(&report, "TLSv1.2");
}

#[tokio::test]
async fn tls_and_plain_http_are_not_mixed_up() {
    let authority = Authority::new("Mix");
    let secure = authority.serve(&params(&["localhost"], "x"));
    let plain = format!("http://localhost:{}/", secure.port);
    let right = format!("https://localhost:{}/", secure.port);
    let report = broken(&authority.trusted(&plain), "tls.http_to_https", "speaks TLS").await;
    fix(&report, &right);
    well(&authority.trusted(&right)).await;
    let open = http("200 OK");
    let wrong = format!("https://localhost:{}/", open.port);
    let report = broken(&request(&wrong), "tls.https_to_http", "plain HTTP").await;
    fix(&report, &wrong.replace("https", "http"));
    well(&request(&wrong.replace("https", "http"))).await;
}

#[tokio::test]
async fn a_certificate_for_another_purpose_is_refused_and_one_for_servers_heals() {
    let authority = Authority::new("Lab Local CA");
    let mut wrong = params(&["localhost"], "localhost");
    wrong.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    let server = authority.serve(&wrong);
    let target = authority.trusted(&format!("https://localhost:{}/", server.port));
    let report = broken(&target, "tls.bad_certificate", "refuse the certificate").await;
    fix(&report, "localhost");
    wrong.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ServerAuth];
    let server = authority.serve(&wrong);
    well(&authority.trusted(&format!("https://localhost:{}/", server.port))).await;
}

#[tokio::test]
async fn a_server_that_refuses_every_handshake_is_named_by_its_alert() {
    // A fatal alert, handshake_failure: no cipher in common.
    let server = super::servers::answers("127.0.0.1:0", b"\x15\x03\x03\x00\x02\x02\x28");
    let target = request(&format!("https://localhost:{}/", server.port));
    broken(&target, "tls.handshake", "the alert says").await;
}
