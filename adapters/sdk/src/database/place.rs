//! Where the data is: its address, which may change, and the connections made by it.

use std::{
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use super::{Ask, Failure, Pools, Row};
use crate::{DatabaseAddress, PoolOptions, SecretUrl, SourceError};

pub(super) struct Place {
    address: DatabaseAddress,
    options: PoolOptions,
    opened: RwLock<Arc<Opened>>,
}

/// The connections made by one reading of the address.
pub(super) struct Opened {
    url: SecretUrl,
    pub(super) pools: Pools,
}

impl fmt::Debug for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Place").finish_non_exhaustive()
    }
}

impl Place {
    pub(super) fn new(address: &DatabaseAddress, options: &PoolOptions) -> Result<Self, SourceError> {
        let opened = Opened::new(address.read()?, options)?;
        Ok(Self { address: address.clone(), options: options.clone(), opened: RwLock::new(Arc::new(opened)) })
    }

    pub(super) fn opened(&self) -> Arc<Opened> {
        Arc::clone(&self.opened.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Asks. When the account is refused, the address is read again, and another one tried at once.
    pub(super) async fn ask(&self, sql: &Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, Failure> {
        let opened = self.opened();
        match opened.pools.ask(sql, ask).await {
            Err(refused @ Failure::Credentials(_)) => match self.renewed(&opened) {
                Some(renewed) => renewed.pools.ask(sql, ask).await,
                None => Err(refused),
            },
            answer => answer,
        }
    }

    /// The connections of an address that is another than the one refused.
    fn renewed(&self, refused: &Arc<Opened>) -> Option<Arc<Opened>> {
        let mut opened = self.opened.write().unwrap_or_else(PoisonError::into_inner);
        // Somebody else may have read it meanwhile.
        if !Arc::ptr_eq(&opened, refused) {
            return Some(Arc::clone(&opened));
        }
        let read = self.address.read().ok().filter(|url| *url != opened.url);
        let renewed = Opened::new(read?, &self.options).ok();
        let renewed = renewed.filter(|renewed| renewed.pools.engine() == opened.pools.engine())?;
        tracing::info!("the address of a database was read again, for its account was refused");
        *opened = Arc::new(renewed);
        Some(Arc::clone(&opened))
    }
}

impl Opened {
    fn new(url: SecretUrl, options: &PoolOptions) -> Result<Self, SourceError> {
        let pools = Pools::new(&url, options)?;
        Ok(Self { url, pools })
    }
}
