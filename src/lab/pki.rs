//! The lab's own certificate authority and one server certificate for loopback.
//!
//! A stand-in that speaks TLS needs a certificate its peer can check. The
//! authority is made afresh for each run and its key is dropped as soon as the
//! server certificate is signed, so a lab CA left in a trust store can vouch
//! for nothing else. Peers trust it through a CA file (`SSL_CERT_FILE`,
//! `connection_verify`).

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// A CA certificate and a server certificate it signed, with the server's key,
/// all in PEM.
#[derive(Clone)]
pub struct Pki {
    authority: String,
    certificate: String,
    key: String,
}

/// Where [`Pki::write_to`] put its three files.
#[derive(Clone, Debug)]
pub struct PemFiles {
    /// The authority's certificate: what a peer must trust.
    pub authority: PathBuf,
    /// The server's certificate, for `localhost` and `127.0.0.1`.
    pub certificate: PathBuf,
    /// The server's private key (PKCS #8), readable by its owner only.
    pub key: PathBuf,
}

impl Pki {
    /// Makes an authority and a certificate for `localhost`, `127.0.0.1` and
    /// `::1` (ECDSA P-256).
    ///
    /// # Errors
    /// When the cryptographic library cannot make a key or sign.
    pub fn generate() -> Result<Self, rcgen::Error> {
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        authority
            .distinguished_name
            .push(DnType::CommonName, "evictd lab CA");
        authority.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority_key = KeyPair::generate()?;
        let authority_certificate = authority.self_signed(&authority_key)?;
        let issuer = Issuer::new(authority, authority_key);

        let names = ["localhost", "127.0.0.1", "::1"].map(String::from);
        let mut server = CertificateParams::new(names)?;
        server
            .distinguished_name
            .push(DnType::CommonName, "localhost");
        server.use_authority_key_identifier_extension = true;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let server_key = KeyPair::generate()?;
        let server_certificate = server.signed_by(&server_key, &issuer)?;

        Ok(Self {
            authority: authority_certificate.pem(),
            certificate: server_certificate.pem(),
            key: server_key.serialize_pem(),
        })
    }

    /// The authority's certificate in PEM.
    pub fn authority_pem(&self) -> &str {
        &self.authority
    }

    /// Writes `ca.pem`, `server.pem` and `server.key` into `directory`, which
    /// must exist.
    ///
    /// # Errors
    /// When a file cannot be written.
    pub fn write_to(&self, directory: &Path) -> io::Result<PemFiles> {
        let files = PemFiles {
            authority: directory.join("ca.pem"),
            certificate: directory.join("server.pem"),
            key: directory.join("server.key"),
        };
        write(&files.authority, &self.authority, 0o644)?;
        write(&files.certificate, &self.certificate, 0o644)?;
        write(&files.key, &self.key, 0o600)?;
        Ok(files)
    }

    /// A TLS server (1.2 and 1.3, no client certificate) with this certificate.
    ///
    /// # Errors
    /// When the certificate and the key do not belong together.
    pub fn server_config(&self) -> Result<Arc<rustls::ServerConfig>, rustls::Error> {
        let unreadable = |error| rustls::Error::General(format!("lab PEM: {error}"));
        let chain = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<Vec<_>, _>>()
            .map_err(unreadable)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(unreadable)?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(chain, key)?;
        Ok(Arc::new(config))
    }
}

fn write(path: &Path, pem: &str, mode: u32) -> io::Result<()> {
    OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(mode)
        .open(path)?
        .write_all(pem.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_client_that_trusts_the_ca_file_completes_a_handshake_and_another_does_not() {
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::generate().unwrap();
        let files = pki.write_to(directory.path()).unwrap();
        let stranger = Pki::generate().unwrap();
        let trusted = std::fs::read_to_string(&files.authority).unwrap();

        assert!(handshake(&pki, &trusted).is_ok());
        assert!(handshake(&pki, stranger.authority_pem()).is_err());
    }

    #[test]
    fn the_key_file_is_its_owners_only() {
        let directory = tempfile::tempdir().unwrap();
        let files = Pki::generate().unwrap().write_to(directory.path()).unwrap();
        let mode = std::fs::metadata(&files.key).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    /// Runs a TLS handshake in memory against `localhost`.
    fn handshake(pki: &Pki, trusted: &str) -> Result<(), rustls::Error> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(trusted.as_bytes()).unwrap())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut client =
            rustls::ClientConnection::new(Arc::new(config), "localhost".try_into().unwrap())?;
        let mut server = rustls::ServerConnection::new(pki.server_config()?)?;
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            client.write_tls(&mut flight).unwrap();
            server.read_tls(&mut flight.as_slice()).unwrap();
            server.process_new_packets()?;
            let mut flight = Vec::new();
            server.write_tls(&mut flight).unwrap();
            client.read_tls(&mut flight.as_slice()).unwrap();
            client.process_new_packets()?;
        }
        Ok(())
    }
}
