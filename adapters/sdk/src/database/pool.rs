//! A small pool of connections.
//!
//! sqlx's own pool keeps trying while a server refuses connections, until its time is up. A source that is down must
//! say so at once, so this one connects once; and it tells a broken idle connection, which is replaced, from a server
//! that is gone.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use tokio::sync::Semaphore;

use super::{Ask, Failure, Row};
use crate::PoolOptions;

/// How one engine connects and reads.
pub(crate) trait Connect: Send + Sync {
    type Connection: Send;

    /// Opens a read-only connection.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Runs or describes one statement.
    fn ask(
        connection: &mut Self::Connection,
        sql: Arc<str>,
        ask: Ask<'_>,
    ) -> impl Future<Output = Result<Vec<Row>, sqlx::Error>> + Send;
}

struct Idle<C> {
    connection: C,
    since: Instant,
}

pub(crate) struct Pool<D: Connect> {
    driver: D,
    idle: Mutex<Vec<Idle<D::Connection>>>,
    places: Semaphore,
    idle_timeout: Duration,
}

impl<D: Connect> fmt::Debug for Pool<D> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Pool").finish_non_exhaustive()
    }
}

impl<D: Connect> Pool<D> {
    pub(super) fn new(driver: D, options: &PoolOptions) -> Self {
        let places = Semaphore::new(options.connections_max.max(1) as usize);
        Self { driver, idle: Mutex::new(Vec::new()), places, idle_timeout: options.idle_timeout }
    }

    /// Runs a statement on an idle connection or a new one. A connection goes back only after an answer, so one whose
    /// wait was cut short is closed, not reused.
    pub(super) async fn ask(&self, sql: &Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, Failure> {
        let _place = self.places.acquire().await.map_err(|_| Failure::Unreachable)?;
        while let Some(mut connection) = self.take_idle() {
            match D::ask(&mut connection, Arc::clone(sql), ask).await {
                Err(error) if Failure::of(&error) == Failure::Unreachable => continue,
                outcome => return self.finish(connection, outcome),
            }
        }
        let mut connection = self.driver.connect().await.map_err(|error| Failure::of(&error))?;
        let outcome = D::ask(&mut connection, Arc::clone(sql), ask).await;
        self.finish(connection, outcome)
    }

    fn finish(&self, connection: D::Connection, outcome: Result<Vec<Row>, sqlx::Error>) -> Result<Vec<Row>, Failure> {
        let outcome = outcome.map_err(|error| Failure::of(&error));
        if outcome != Err(Failure::Unreachable) {
            self.lock().push(Idle { connection, since: Instant::now() });
        }
        outcome
    }

    /// The connection used last; those idle for too long are closed.
    fn take_idle(&self) -> Option<D::Connection> {
        let mut idle = self.lock();
        let expired = idle.iter().take_while(|idle| idle.since.elapsed() > self.idle_timeout).count();
        let expired: Vec<_> = idle.drain(..expired).collect();
        let taken = idle.pop().map(|idle| idle.connection);
        // Closing may take time: not under the lock.
        std::mem::drop(idle);
        std::mem::drop(expired);
        taken
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Idle<D::Connection>>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
