//! TLS: the hub's own certificate, and which client certificates it accepts.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context;
use rustls::{
    RootCertStore, ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::config::Config;

/// Builds the configuration of the listening side. A client without a certificate completes the handshake and is then
/// told UNAUTHENTICATED in words; a certificate that is expired, revoked or of another authority ends the handshake.
pub(crate) fn server_config(config: &Config) -> anyhow::Result<Arc<ServerConfig>> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut authorities = RootCertStore::empty();
    for path in &config.tls.client_authorities {
        for certificate in certificates(&config.path(path))? {
            authorities
                .add(certificate)
                .with_context(|| format!("{} holds no usable authority", config.path(path).display()))?;
        }
    }
    let mut lists = Vec::new();
    for path in &config.tls.revocation_lists {
        let path = config.path(path);
        let read = CertificateRevocationListDer::pem_file_iter(&path)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .with_context(|| format!("cannot read revocation list {}", path.display()))?;
        lists.extend(read);
    }
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
        .with_crls(lists)
        .allow_unauthenticated()
        .build()
        .context("client authorities or revocation lists cannot be used")?;
    let key_path = config.path(&config.tls.private_key);
    let key = PrivateKeyDer::from_pem_file(&key_path)
        .with_context(|| format!("cannot read private key {}", key_path.display()))?;
    let chain = certificates(&config.path(&config.tls.certificate))?;
    let mut tls = ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .context("no usable TLS version")?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)
        .context("certificate and private key do not fit together")?;
    tls.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(tls))
}

fn certificates(path: &PathBuf) -> anyhow::Result<Vec<CertificateDer<'static>>> {
    let certificates = CertificateDer::pem_file_iter(path)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .with_context(|| format!("cannot read certificate {}", path.display()))?;
    anyhow::ensure!(!certificates.is_empty(), "{} holds no certificate", path.display());
    Ok(certificates)
}
