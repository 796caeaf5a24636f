//! Tokens: who acts, as an identity provider the hub trusts says so (OpenID Connect). A call carries at most one, as
//! `authorization: Bearer …`; a wrong one refuses the call, whatever it asks. An officer's token proves the officer for
//! callers of the officer's own agency; a citizen's token proves one personal number and opens nothing else.

use std::collections::BTreeMap;

use ::http::{HeaderMap, header};
use access::{AgencyCode, Officer};
use aws_lc_rs::digest;
use serde::Deserialize;

use self::provider::Provider;
use crate::{config::Config, https};

mod http;
mod provider;

/// Longest token read.
const TOKEN_BYTES_MAX: usize = 8 * 1024;

/// What a token proves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proof {
    /// The provider that says so.
    pub(crate) issuer: String,
    pub(crate) holder: Holder,
}

impl Proof {
    /// The officer it proves.
    pub(crate) fn officer(&self) -> Option<&Officer> {
        match &self.holder {
            Holder::Officer(officer) => Some(officer),
            Holder::Citizen { .. } => None,
        }
    }

    /// The personal number of the citizen it proves.
    pub(crate) fn citizen(&self) -> Option<&str> {
        match &self.holder {
            Holder::Officer(_) => None,
            Holder::Citizen { personal_id } => Some(personal_id),
        }
    }
}

/// Whom a token is about.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Holder {
    Officer(Officer),
    /// `Debug` hides the number.
    Citizen {
        personal_id: String,
    },
}

impl std::fmt::Debug for Holder {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Officer(officer) => formatter.debug_tuple("Officer").field(&officer.id).finish(),
            Self::Citizen { .. } => formatter.write_str("Citizen"),
        }
    }
}

/// Why a token proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("the authorization header must be there once and hold one bearer token")]
    Unreadable,
    #[error("the token is not a signed JSON web token with key id, issuer, subject, audience, times")]
    Malformed,
    #[error("the token's issuer is no identity provider of this hub")]
    UnknownIssuer,
    #[error("the token is signed with a key its issuer does not publish")]
    UnknownKey,
    #[error("the token is signed with an algorithm that is not its key's")]
    WrongAlgorithm,
    #[error("the token's signature is wrong")]
    WrongSignature,
    #[error("the token is meant for another audience")]
    WrongAudience,
    #[error("the token has expired")]
    Expired,
    #[error("the token is from the future")]
    FromTheFuture,
    #[error("the token's officer belongs to another agency than the calling system")]
    OtherAgency,
    #[error("the token's holder signed in with too low a level of assurance")]
    AssuranceTooLow,
    #[error("the token does not say who its holder is")]
    WithoutHolder,
    #[error("a citizen's token opens that citizen's own log and nothing else")]
    OfCitizen,
    #[error("the identity provider's keys cannot be read")]
    ProviderUnavailable,
}

/// The identity providers of the hub.
pub(crate) struct Tokens {
    by_issuer: BTreeMap<String, Provider>,
    digest: String,
}

impl Tokens {
    /// Reads the files; asks no provider yet, so that one that is down does not hold up a start.
    pub(crate) fn load(config: &Config) -> anyhow::Result<Self> {
        let mut context = digest::Context::new(&digest::SHA256);
        let mut by_issuer = BTreeMap::new();
        for provider in &config.identity_providers {
            context.update(format!("{provider:?}").as_bytes());
            let authorities: Vec<_> = provider.authorities.iter().map(|path| config.path(path)).collect();
            let tls = https::client_config(&authorities, |pem| context.update(pem))?;
            let opened = Provider::new(provider.clone(), tls);
            by_issuer.insert(provider.issuer.clone(), opened);
        }
        Ok(Self { by_issuer, digest: hex::encode(context.finish()) })
    }

    /// SHA-256 over sections and authorities, hex.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// What a call's token proves; nothing when it carries none.
    pub(crate) async fn proof(&self, headers: &HeaderMap, agency: &AgencyCode) -> Result<Option<Proof>, TokenError> {
        let mut values = headers.get_all(header::AUTHORIZATION).iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() {
            return Err(TokenError::Unreadable);
        }
        let (scheme, token) =
            value.to_str().ok().and_then(|value| value.split_once(' ')).ok_or(TokenError::Unreadable)?;
        if !scheme.eq_ignore_ascii_case("bearer") || token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Unreadable);
        }
        let key_id =
            jsonwebtoken::decode_header(token).ok().and_then(|header| header.kid).ok_or(TokenError::Malformed)?;
        // Read before it is proven, only to know whose keys must prove it.
        let stated = jsonwebtoken::dangerous::insecure_decode_claims::<Issuer>(token);
        let issuer = stated.map_err(|_| TokenError::Malformed)?.iss;
        let provider = self.by_issuer.get(&issuer).ok_or(TokenError::UnknownIssuer)?;
        // Boxed: it is large, and most calls carry no token.
        Box::pin(provider.prove(token, &key_id, agency)).await.map(Some)
    }
}

#[derive(Deserialize)]
struct Issuer {
    iss: String,
}

/// A personal number in its canonical form.
fn personal_id(text: &str) -> Option<String> {
    (text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit())).then(|| text.to_owned())
}
