//! TLS: the hub's own certificate, and which client certificates it accepts, at the handshake and at every call after it.

use std::{fs, io, path::Path, sync::Arc, time::Duration};

use anyhow::Context;
use arc_swap::ArcSwap;
use aws_lc_rs::digest;
use chrono::{DateTime, Utc};
use rustls::{
    CertificateError, RootCertStore, ServerConfig,
    crypto::aws_lc_rs as provider,
    pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer, UnixTime, pem::PemObject},
    server::{WebPkiClientVerifier, danger::ClientCertVerifier},
};
use x509_parser::{parse_x509_certificate, parse_x509_crl};

use crate::{config::TlsConfig, current::InForce, identity::IdentityError, status};

/// Longest sleep towards an expiry: the clock may be set meanwhile.
const EXPIRY_SLEEP_MAX: Duration = Duration::from_secs(3_600);

/// The certificates in force: the hub's own, and those that vouch for or against callers.
pub(crate) struct Trust {
    calls: Arc<ServerConfig>,
    files: Arc<ServerConfig>,
    clients: Arc<dyn ClientCertVerifier>,
    digest: String,
    /// The files of certificates and revocation lists, and the last second in which each holds.
    expiries: Vec<(String, i64)>,
}

impl Trust {
    /// Reads the files, whose relative paths start in `folder`. A client without a certificate completes the handshake and is then told UNAUTHENTICATED in words;
    /// a certificate that is expired, revoked or of another authority ends the handshake.
    pub(crate) fn load(tls: &TlsConfig, folder: &Path) -> anyhow::Result<Self> {
        let mut read = Reader { context: digest::Context::new(&digest::SHA256), expiries: Vec::new() };
        let provider = Arc::new(provider::default_provider());
        let mut authorities = RootCertStore::empty();
        for path in &tls.client_authorities {
            for certificate in read.certificates(&folder.join(path))? {
                authorities
                    .add(certificate)
                    .with_context(|| format!("{} holds no usable authority", folder.join(path).display()))?;
            }
        }
        let mut lists = Vec::new();
        for path in &tls.revocation_lists {
            lists.extend(read.revocation_lists(&folder.join(path))?);
        }
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::new(authorities), Arc::clone(&provider))
            .with_crls(lists)
            .allow_unauthenticated()
            .build()
            .context("client authorities or revocation lists cannot be used")?;
        let key_path = folder.join(&tls.private_key);
        let key = PrivateKeyDer::from_pem_file(&key_path)
            .with_context(|| format!("cannot read private key {}", key_path.display()))?;
        let chain = read.certificates(&folder.join(&tls.certificate))?;
        let mut server = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
            .context("no usable TLS version")?
            .with_client_cert_verifier(Arc::clone(&clients))
            .with_single_cert(chain, key)
            .context("certificate and private key do not fit together")?;
        server.alpn_protocols = vec![b"h2".to_vec()];
        // Of the suites both sides know the hub chooses.
        server.ignore_client_order = true;
        let mut files = server.clone();
        files.alpn_protocols.push(b"http/1.1".to_vec());
        Ok(Self {
            calls: Arc::new(server),
            files: Arc::new(files),
            clients,
            digest: hex::encode(read.context.finish()),
            expiries: read.expiries,
        })
    }

    /// For the next handshake of one who calls.
    pub(crate) fn for_calls(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.calls)
    }

    /// For the next handshake of one who fetches files.
    pub(crate) fn for_files(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.files)
    }

    /// SHA-256 over certificates and revocation lists, hex. The private key is not in it: it belongs to its certificate.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// The files of certificates and revocation lists, and the whole days they still hold.
    pub(crate) fn days_left(&self, now: DateTime<Utc>) -> impl Iterator<Item = (&str, i64)> {
        let day = 24 * 60 * 60;
        self.expiries.iter().map(move |(name, end)| (name.as_str(), (end - now.timestamp()).div_euclid(day)))
    }
}

struct Reader {
    context: digest::Context,
    expiries: Vec<(String, i64)>,
}

impl Reader {
    fn bytes(&mut self, path: &Path) -> anyhow::Result<Vec<u8>> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        self.context.update(&(bytes.len() as u64).to_be_bytes());
        self.context.update(&bytes);
        Ok(bytes)
    }

    fn certificates(&mut self, path: &Path) -> anyhow::Result<Vec<CertificateDer<'static>>> {
        let certificates = CertificateDer::pem_slice_iter(&self.bytes(path)?)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("cannot read certificate {}", path.display()))?;
        anyhow::ensure!(!certificates.is_empty(), "{} holds no certificate", path.display());
        for certificate in &certificates {
            if let Some(end) = not_after(certificate) {
                self.expiries.push((path.display().to_string(), end));
            }
        }
        Ok(certificates)
    }

    /// A file without a list is refused: half-written, it would let everybody in again.
    fn revocation_lists(&mut self, path: &Path) -> anyhow::Result<Vec<CertificateRevocationListDer<'static>>> {
        let lists = CertificateRevocationListDer::pem_slice_iter(&self.bytes(path)?)
            .collect::<Result<Vec<_>, _>>()
            .with_context(|| format!("cannot read revocation list {}", path.display()))?;
        anyhow::ensure!(!lists.is_empty(), "{} holds no revocation list", path.display());
        for list in &lists {
            if let Some(end) = next_update(list) {
                self.expiries.push((path.display().to_string(), end));
            }
        }
        Ok(lists)
    }
}

/// The last second in which a certificate holds.
fn not_after(certificate: &[u8]) -> Option<i64> {
    parse_x509_certificate(certificate).ok().map(|(_, parsed)| parsed.validity().not_after.timestamp())
}

/// The second by which a revocation list is to be replaced. A list that is older is used on: it still says who is revoked.
fn next_update(list: &[u8]) -> Option<i64> {
    let (_, parsed) = parse_x509_crl(list).ok()?;
    parsed.next_update().map(|time| time.timestamp())
}

/// Why a certificate is refused, if that is what the error says.
fn refusal(error: &rustls::Error) -> Option<IdentityError> {
    let rustls::Error::InvalidCertificate(refused) = error else { return None };
    Some(match refused {
        CertificateError::Revoked => IdentityError::Revoked,
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => IdentityError::Expired,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => IdentityError::OtherUsage,
        _ => IdentityError::NotTrusted,
    })
}

/// Stable reason of a handshake that a certificate ended.
pub(crate) fn refused_certificate(error: &io::Error) -> Option<&'static str> {
    let error = error.get_ref()?.downcast_ref::<rustls::Error>()?;
    refusal(error).map(status::identity_reason)
}

/// The certificate of one connection. The handshake accepted it; reloads and time may take that back.
pub(crate) struct PeerTrust {
    chain: Vec<CertificateDer<'static>>,
    not_after: i64,
    /// The certificates it was last found good under.
    good_under: ArcSwap<Trust>,
}

impl PeerTrust {
    /// As the handshake under this trust left it; none without a certificate.
    pub(crate) fn new(chain: Option<&[CertificateDer<'_>]>, trust: Arc<Trust>) -> Option<Self> {
        let chain: Vec<_> = chain?.iter().map(|certificate| certificate.clone().into_owned()).collect();
        let not_after = chain.iter().filter_map(|certificate| not_after(certificate)).min()?;
        Some(Self { chain, not_after, good_under: ArcSwap::new(trust) })
    }

    /// Whether the certificate is accepted now. Looked at anew only after a reload changed the certificates in force.
    pub(crate) fn check(&self, current: &dyn InForce) -> Result<(), IdentityError> {
        let now = UnixTime::now();
        if i64::try_from(now.as_secs()).is_ok_and(|now| now > self.not_after) {
            return Err(IdentityError::Expired);
        }
        let trust = current.trust();
        if Arc::ptr_eq(&self.good_under.load(), &trust) {
            return Ok(());
        }
        let Some((certificate, intermediates)) = self.chain.split_first() else {
            return Err(IdentityError::NoCertificate);
        };
        match trust.clients.verify_client_cert(certificate, intermediates, now) {
            Ok(_) => {
                self.good_under.store(trust);
                Ok(())
            }
            Err(error) => Err(refusal(&error).unwrap_or(IdentityError::NotTrusted)),
        }
    }

    /// Waits until the certificate is no longer accepted. Calls find that out for themselves; this is for streams that go on.
    pub(crate) async fn lost(&self, current: &dyn InForce) {
        let mut changes = current.changes();
        while self.check(current).is_ok() {
            tokio::select! {
                _ = changes.changed() => {}
                () = tokio::time::sleep(self.expires_in()) => {}
            }
        }
    }

    fn expires_in(&self) -> Duration {
        // The last second is one in which it still holds.
        let left = self.not_after.saturating_sub(Utc::now().timestamp()).saturating_add(1);
        Duration::from_secs(u64::try_from(left).unwrap_or(0)).min(EXPIRY_SLEEP_MAX)
    }
}
