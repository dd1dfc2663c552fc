//! A company's own certificate authority, which no system knows.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::place;

/// The authority. Its folder goes when it is dropped.
pub struct Authority {
    folder: PathBuf,
}

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// When `openssl` is missing.
    #[must_use]
    pub fn new() -> Self {
        let folder = place::scratch().join(format!("authority-{}", place::unique()));
        fs::create_dir_all(&folder).expect("a folder can be made");
        let this = Self { folder };
        this.openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 \
             -subj /CN=Story -addext keyUsage=critical,keyCertSign",
        );
        this
    }

    /// Its certificate (PEM).
    #[must_use]
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// What a server needs that calls itself `name` (`IP:127.0.0.1`, `DNS:git.example.org`).
    ///
    /// # Panics
    /// When `openssl` is missing.
    #[must_use]
    pub fn server(&self, name: &str) -> TlsAcceptor {
        self.openssl("req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out request.pem -subj /CN=server");
        fs::write(self.folder.join("names"), format!("subjectAltName={name}\n")).expect("written");
        self.openssl(
            "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out cert.pem",
        );
        let chain = CertificateDer::pem_file_iter(self.folder.join("cert.pem")).expect("a certificate");
        let chain = chain.collect::<Result<Vec<_>, _>>().expect("a certificate");
        let key = PrivateKeyDer::from_pem_file(self.folder.join("key.pem")).expect("a key");
        let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions of TLS")
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .expect("a certificate with its key");
        TlsAcceptor::from(Arc::new(config))
    }

    fn openssl(&self, arguments: &str) {
        let output = Command::new("openssl")
            .args(arguments.split_whitespace())
            .current_dir(&self.folder)
            .output()
            .expect("openssl");
        assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}
