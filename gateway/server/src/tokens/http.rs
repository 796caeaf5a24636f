//! Reading a small JSON document over HTTPS: all that discovery and key sets need.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, bail};
use http::StatusCode;
use rustls::ClientConfig;
use serde::de::DeserializeOwned;

use crate::https::{self, Server};

/// Time for one document, connecting included.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Gets a document. Redirects are not followed: a provider states its addresses itself.
pub(super) async fn json<T: DeserializeOwned>(tls: &Arc<ClientConfig>, address: &str) -> anyhow::Result<T> {
    let get = async {
        let answer = Server::new(Arc::clone(tls), address)?.get("application/json").await?;
        if answer.status != StatusCode::OK {
            bail!("answered {}", answer.status);
        }
        Ok(answer.body)
    };
    let body = https::within(TIMEOUT, get).await.with_context(|| address.to_owned())?;
    serde_json::from_slice(&body).with_context(|| format!("{address} is not the document expected"))
}
