//! A small pool of connections.
//!
//! sqlx's own pool keeps trying while a server refuses connections, until its time is up. A source that is down must
//! say so at once, so this one connects once; and it tells a broken idle connection, which is replaced, from a server
//! that is gone.
//!
//! A login is computation: a password is hashed thousands of times, and sqlx yields to other tasks every few of them. Among
//! busy tasks each yield costs a turn of all of them, and a login takes seconds. So connections are made on threads of
//! their own, and one that is ready after its caller has gone serves the next.

use std::{
    fmt,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use tokio::{
    runtime::Handle,
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
};

use super::{Ask, Failure, Row, failure::Stage};
use crate::PoolOptions;

/// How one engine connects and reads.
pub(crate) trait Connect: Send + Sync + 'static {
    type Connection: Send + 'static;

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
    driver: Arc<D>,
    idle: Arc<Mutex<Vec<Idle<D::Connection>>>>,
    places: Arc<Semaphore>,
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
        Self {
            driver: Arc::new(driver),
            idle: Arc::default(),
            places: Arc::new(places),
            idle_timeout: options.idle_timeout,
        }
    }

    /// Runs a statement on an idle connection or a new one. A connection goes back only after an answer, so one whose
    /// wait was cut short is closed, not reused.
    pub(super) async fn ask(&self, sql: &Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, Failure> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| Failure::GONE)?;
        while let Some(mut connection) = self.take_idle() {
            match asked::<D>(&mut connection, sql, ask).await {
                Err(Failure::Unreachable(_)) => continue,
                outcome => return self.finish(connection, outcome),
            }
        }
        let (mut connection, _place) = self.connect(place).await?;
        let outcome = asked::<D>(&mut connection, sql, ask).await;
        self.finish(connection, outcome)
    }

    /// Connects on a thread of its own, which holds the place meanwhile.
    async fn connect(&self, place: OwnedSemaphorePermit) -> Result<(D::Connection, OwnedSemaphorePermit), Failure> {
        let (made, wanted) = oneshot::channel();
        let (driver, idle, runtime) = (Arc::clone(&self.driver), Arc::clone(&self.idle), Handle::current());
        tokio::task::spawn_blocking(move || {
            let connected = runtime.block_on(driver.connect()).map(|connection| (connection, place));
            if let Err(Ok((connection, _place))) = made.send(connected) {
                lock(&idle).push(Idle { connection, since: Instant::now() });
            }
        });
        // Without an answer the program is about to end.
        wanted.await.map_err(|_| Failure::GONE)?.map_err(|error| Failure::of(&error, Stage::Connecting))
    }

    fn finish(&self, connection: D::Connection, outcome: Result<Vec<Row>, Failure>) -> Result<Vec<Row>, Failure> {
        if !matches!(outcome, Err(Failure::Unreachable(_))) {
            lock(&self.idle).push(Idle { connection, since: Instant::now() });
        }
        outcome
    }

    /// The connection used last; those idle for too long are closed.
    fn take_idle(&self) -> Option<D::Connection> {
        let mut idle = lock(&self.idle);
        let expired = idle.iter().take_while(|idle| idle.since.elapsed() > self.idle_timeout).count();
        let expired: Vec<_> = idle.drain(..expired).collect();
        let taken = idle.pop().map(|idle| idle.connection);
        // Closing may take time: not under the lock.
        std::mem::drop(idle);
        std::mem::drop(expired);
        taken
    }
}

async fn asked<D: Connect>(connection: &mut D::Connection, sql: &Arc<str>, ask: Ask<'_>) -> Result<Vec<Row>, Failure> {
    let stage = match ask {
        Ask::Rows(_) => Stage::Running,
        Ask::Facts(_) | Ask::Columns => Stage::Preparing,
    };
    D::ask(connection, Arc::clone(sql), ask).await.map_err(|error| Failure::of(&error, stage))
}

fn lock<C>(idle: &Mutex<Vec<Idle<C>>>) -> MutexGuard<'_, Vec<Idle<C>>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::time::timeout;

    use super::*;

    /// Logs in by yielding as often as a password hash does.
    struct Slow(AtomicUsize);

    impl Connect for Slow {
        type Connection = ();

        async fn connect(&self) -> Result<(), sqlx::Error> {
            self.0.fetch_add(1, Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
            for _ in 0..1_000 {
                tokio::task::yield_now().await;
            }
            Ok(())
        }

        async fn ask((): &mut (), _: Arc<str>, _: Ask<'_>) -> Result<Vec<Row>, sqlx::Error> {
            Ok(Vec::new())
        }
    }

    fn pool(connections_max: u32) -> Pool<Slow> {
        Pool::new(Slow(AtomicUsize::new(0)), &PoolOptions { connections_max, ..PoolOptions::default() })
    }

    #[tokio::test]
    async fn a_connection_whose_caller_has_gone_serves_the_next() {
        let pool = pool(1);
        let sql: Arc<str> = "SELECT 1".into();
        assert!(timeout(Duration::from_millis(5), pool.ask(&sql, Ask::Columns)).await.is_err());
        assert_eq!(pool.ask(&sql, Ask::Columns).await, Ok(Vec::new()));
        assert_eq!(pool.driver.0.load(Ordering::Relaxed), 1);
    }

    /// Each yield of a login made among the callers' tasks would wait for all of them.
    #[tokio::test]
    async fn a_login_does_not_wait_for_busy_tasks() {
        let busy = tokio::spawn(async {
            loop {
                std::thread::sleep(Duration::from_millis(5));
                tokio::task::yield_now().await;
            }
        });
        let pool = pool(1);
        let asked = timeout(Duration::from_secs(1), pool.ask(&"SELECT 1".into(), Ask::Columns)).await;
        busy.abort();
        assert_eq!(asked, Ok(Ok(Vec::new())));
    }
}
