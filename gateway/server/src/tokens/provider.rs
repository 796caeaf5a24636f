//! One identity provider: where its keys are, and which of its tokens prove what.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
    time::{Duration, Instant},
};

use access::{AgencyCode, Assurance, Officer};
use anyhow::ensure;
use aws_lc_rs::digest;
use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    errors::ErrorKind,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyAlgorithm, PublicKeyUse},
};
use moka::sync::Cache;
use rustls::ClientConfig;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Holder, Proof, TokenError, http};
use crate::config::{Holders, IdentityProviderConfig};

/// A key set is read again for an unknown key, but not more often than this: made-up key ids must not become requests.
const REFRESH_INTERVAL_MIN: Duration = Duration::from_secs(5);
/// A key set older than this is read again with the next token, so that a key its provider withdrew is withdrawn here.
const KEYS_AGE_MAX: Duration = Duration::from_secs(600);

/// Tokens found good are remembered until they or their keys end, so that a signature is not checked with every call.
const REMEMBERED_MAX: u64 = 10_000;

/// A provider and the keys last read from it.
pub(super) struct Provider {
    config: IdentityProviderConfig,
    tls: Arc<ClientConfig>,
    keys: RwLock<Keys>,
    /// Held while the key set is read, so that it is read once for all who wait.
    refreshing: tokio::sync::Mutex<()>,
    /// By SHA-256 of token and agency: what is proven, and until when, in seconds since 1970.
    remembered: Cache<Vec<u8>, (Proof, i64)>,
}

#[derive(Default)]
struct Keys {
    by_id: HashMap<String, Arc<Key>>,
    read_at: Option<Instant>,
    tried_at: Option<Instant>,
}

struct Key {
    decoding: DecodingKey,
    algorithms: Vec<Algorithm>,
}

/// `/.well-known/openid-configuration`, as far as it is needed (OpenID Connect Discovery 1.0, section 3).
#[derive(Deserialize)]
struct Discovery {
    issuer: String,
    jwks_uri: String,
}

impl Provider {
    pub(super) fn new(config: IdentityProviderConfig, tls: Arc<ClientConfig>) -> Self {
        Self {
            config,
            tls,
            keys: RwLock::default(),
            refreshing: tokio::sync::Mutex::default(),
            remembered: Cache::new(REMEMBERED_MAX),
        }
    }

    /// What a token of this provider proves for a caller's agency.
    pub(super) async fn prove(&self, token: &str, key_id: &str, agency: &AgencyCode) -> Result<Proof, TokenError> {
        // Asked for first: it may find that the keys are old, and then nothing is remembered.
        let key = self.key(key_id).await?;
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(agency.as_str().as_bytes());
        context.update(b" ");
        context.update(token.as_bytes());
        let name = context.finish().as_ref().to_vec();
        if let Some((proof, until)) = self.remembered.get(&name)
            && chrono::Utc::now().timestamp() < until
        {
            return Ok(proof);
        }
        let (proof, until) = self.verify(token, &key, agency)?;
        self.remembered.insert(name, (proof.clone(), until));
        Ok(proof)
    }

    fn verify(&self, token: &str, key: &Key, agency: &AgencyCode) -> Result<(Proof, i64), TokenError> {
        let mut validation = Validation::new(*key.algorithms.first().ok_or(TokenError::UnknownKey)?);
        validation.algorithms.clone_from(&key.algorithms);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        validation.set_issuer(&[&self.config.issuer]);
        validation.set_audience(&[&self.config.audience]);
        validation.validate_nbf = true;
        validation.leeway = self.config.clock_skew_s;
        let claims = jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &validation)
            .map_err(|error| match error.kind() {
                ErrorKind::ExpiredSignature => TokenError::Expired,
                ErrorKind::ImmatureSignature => TokenError::FromTheFuture,
                ErrorKind::InvalidAudience => TokenError::WrongAudience,
                ErrorKind::InvalidAlgorithm | ErrorKind::InvalidAlgorithmName => TokenError::WrongAlgorithm,
                ErrorKind::InvalidSignature => TokenError::WrongSignature,
                _ => TokenError::Malformed,
            })?
            .claims;
        let now = chrono::Utc::now().timestamp();
        let issued_at = claims.get("iat").and_then(Value::as_i64).ok_or(TokenError::Malformed)?;
        if issued_at > now.saturating_add_unsigned(self.config.clock_skew_s) {
            return Err(TokenError::FromTheFuture);
        }
        let until = claims.get("exp").and_then(Value::as_i64).ok_or(TokenError::Malformed)?;
        Ok((self.proof(&claims, agency)?, until))
    }

    fn proof(&self, claims: &Map<String, Value>, agency: &AgencyCode) -> Result<Proof, TokenError> {
        let text = |name: &str| {
            let text = claims.get(name).and_then(Value::as_str).map(str::trim).filter(|text| !text.is_empty());
            text.map(ToOwned::to_owned)
        };
        let level = text("acr").ok_or(TokenError::AssuranceTooLow)?;
        if !self.config.assurance_levels.contains(&level) {
            return Err(TokenError::AssuranceTooLow);
        }
        let holder = match self.config.holders {
            Holders::Officers => {
                let unit = text(&self.config.agency_claim).ok_or(TokenError::OtherAgency)?;
                let of: AgencyCode = unit.parse().map_err(|_| TokenError::OtherAgency)?;
                if !of.is_in(agency) {
                    return Err(TokenError::OtherAgency);
                }
                Holder::Officer(Officer {
                    id: text(&self.config.id_claim).ok_or(TokenError::WithoutHolder)?,
                    name: text(&self.config.name_claim).ok_or(TokenError::WithoutHolder)?,
                    unit: (of != *agency).then_some(unit),
                    assurance: Assurance::Proven,
                })
            }
            Holders::Citizens => {
                let number = text(&self.config.id_claim).ok_or(TokenError::WithoutHolder)?;
                Holder::Citizen { personal_id: super::personal_id(&number).ok_or(TokenError::WithoutHolder)? }
            }
        };
        Ok(Proof { issuer: self.config.issuer.clone(), holder })
    }

    async fn key(&self, id: &str) -> Result<Arc<Key>, TokenError> {
        let known = self.known(id);
        if let (Some(key), false) = (&known, self.is_old()) {
            return Ok(Arc::clone(key));
        }
        let _turn = self.refreshing.lock().await;
        // Somebody who had the turn before may have found it.
        let known = self.known(id);
        if (known.is_none() || self.is_old()) && self.may_refresh() {
            match self.read_keys().await {
                Ok(by_id) => {
                    let read_at = Some(Instant::now());
                    *self.keys.write().unwrap_or_else(PoisonError::into_inner) =
                        Keys { by_id, read_at, tried_at: read_at };
                    self.remembered.invalidate_all();
                }
                // The keys read before are used on: a provider that is down for a while must not stop all officers.
                Err(error) => {
                    tracing::warn!(error = format!("{error:#}"), "keys of an identity provider cannot be read")
                }
            }
        }
        self.known(id).ok_or_else(|| {
            let never = self.keys.read().unwrap_or_else(PoisonError::into_inner).read_at.is_none();
            if never { TokenError::ProviderUnavailable } else { TokenError::UnknownKey }
        })
    }

    fn known(&self, id: &str) -> Option<Arc<Key>> {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).by_id.get(id).cloned()
    }

    fn is_old(&self) -> bool {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        keys.read_at.is_none_or(|read_at| read_at.elapsed() > KEYS_AGE_MAX)
    }

    fn may_refresh(&self) -> bool {
        let mut keys = self.keys.write().unwrap_or_else(PoisonError::into_inner);
        let may = keys.tried_at.is_none_or(|tried_at| tried_at.elapsed() > REFRESH_INTERVAL_MIN);
        if may {
            keys.tried_at = Some(Instant::now());
        }
        may
    }

    async fn read_keys(&self) -> anyhow::Result<HashMap<String, Arc<Key>>> {
        let issuer = &self.config.issuer;
        let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
        let discovery: Discovery = http::json(&self.tls, &address).await?;
        ensure!(discovery.issuer == *issuer, "{address} is of another issuer");
        let set: JwkSet = http::json(&self.tls, &discovery.jwks_uri).await?;
        let usable = set.keys.iter().filter_map(|jwk| Some((jwk.common.key_id.clone()?, Arc::new(key(jwk)?))));
        let usable: HashMap<_, _> = usable.collect();
        ensure!(!usable.is_empty(), "{} holds no usable signing key", discovery.jwks_uri);
        tracing::info!(issuer, keys = usable.len(), "keys of an identity provider read");
        Ok(usable)
    }
}

/// A public signing key and the algorithms it may be used with: what the key is decides that, never the token. A secret in
/// a key set is no public key.
fn key(jwk: &Jwk) -> Option<Key> {
    if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
        return None;
    }
    let rsa =
        [Algorithm::RS256, Algorithm::RS384, Algorithm::RS512, Algorithm::PS256, Algorithm::PS384, Algorithm::PS512];
    let fitting = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => rsa.to_vec(),
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => vec![Algorithm::ES256],
            EllipticCurve::P384 => vec![Algorithm::ES384],
            _ => return None,
        },
        AlgorithmParameters::OctetKeyPair(_) => vec![Algorithm::EdDSA],
        _ => return None,
    };
    let algorithms = match jwk.common.key_algorithm {
        Some(stated) => fitting.into_iter().filter(|algorithm| KeyAlgorithm::from(*algorithm) == stated).collect(),
        None => fitting,
    };
    let decoding = DecodingKey::from_jwk(jwk).ok()?;
    Some(Key { decoding, algorithms }).filter(|key| !key.algorithms.is_empty())
}
