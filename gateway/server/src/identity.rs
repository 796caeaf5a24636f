//! Who is at the other end of a connection: the system of an agency named by the client certificate's URI SAN.

use access::{AgencyCode, Caller};
use aws_lc_rs::digest;
use rustls::pki_types::CertificateDer;
use x509_parser::{extensions::GeneralName, parse_x509_certificate};

#[cfg(test)]
mod tests;

/// An authenticated peer; parsed once per connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    pub(crate) caller: Caller,
    /// SHA-256 of the certificate, hex.
    pub(crate) certificate_sha256: String,
}

/// Why a connection has no caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum IdentityError {
    #[error("no client certificate was presented")]
    NoCertificate,
    #[error("the client certificate cannot be read")]
    Unreadable,
    #[error("the client certificate has no URI SAN of the form spiffe://<trust-domain>/agency/<code>/system/<name>")]
    NoSpiffeId,
    #[error("the client certificate has more than one SPIFFE id")]
    SeveralSpiffeIds,
    #[error("the client certificate belongs to another trust domain")]
    OtherTrustDomain,
    #[error("the client certificate has been revoked")]
    Revoked,
    #[error("the client certificate has expired")]
    Expired,
    #[error("the client certificate is of no authority accepted now")]
    NotTrusted,
    #[error("the client certificate is not made for clients")]
    OtherUsage,
    #[error("the SPIFFE id in the client certificate is not spiffe://<trust-domain>/agency/<code>/system/<name>")]
    MalformedSpiffeId,
}

/// Longest system name.
const SYSTEM_NAME_CHARACTERS_MAX: usize = 64;

/// Reads the peer from its certificate chain, which TLS has verified already.
pub(crate) fn peer(chain: Option<&[CertificateDer<'_>]>, trust_domain: &str) -> Result<Peer, IdentityError> {
    let certificate = chain.and_then(<[_]>::first).ok_or(IdentityError::NoCertificate)?;
    let (_, parsed) = parse_x509_certificate(certificate).map_err(|_| IdentityError::Unreadable)?;
    let names = parsed.subject_alternative_name().map_err(|_| IdentityError::Unreadable)?;
    let mut ids = names.iter().flat_map(|extension| &extension.value.general_names).filter_map(|name| match name {
        GeneralName::URI(uri) if uri.starts_with("spiffe://") => Some(*uri),
        _ => None,
    });
    let id = ids.next().ok_or(IdentityError::NoSpiffeId)?;
    if ids.next().is_some() {
        return Err(IdentityError::SeveralSpiffeIds);
    }
    Ok(Peer {
        caller: caller(id, trust_domain)?,
        certificate_sha256: hex::encode(digest::digest(&digest::SHA256, certificate)),
    })
}

fn caller(id: &str, trust_domain: &str) -> Result<Caller, IdentityError> {
    let path = id.strip_prefix("spiffe://").ok_or(IdentityError::MalformedSpiffeId)?;
    let (domain, path) = path.split_once('/').ok_or(IdentityError::MalformedSpiffeId)?;
    if domain != trust_domain {
        return Err(IdentityError::OtherTrustDomain);
    }
    let parts: Vec<_> = path.split('/').collect();
    let ["agency", code, "system", system] = parts[..] else { return Err(IdentityError::MalformedSpiffeId) };
    let agency: AgencyCode = code.parse().map_err(|_| IdentityError::MalformedSpiffeId)?;
    let named = (1..=SYSTEM_NAME_CHARACTERS_MAX).contains(&system.len())
        && system.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    if !named {
        return Err(IdentityError::MalformedSpiffeId);
    }
    Ok(Caller { agency, system: system.to_owned() })
}
