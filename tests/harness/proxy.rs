//! A TCP proxy between the hub and a database, which does to the wire what a fault would.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinHandle,
};

/// What happens on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing: bytes pass.
    None,
    /// Every packet of the database's is held back for so long.
    Slow(Duration),
    /// Nothing passes, and nothing is closed, as when the database is stopped.
    Hung,
    /// Connections are refused, and those there are closed.
    Down,
    /// The connection is closed in the middle of the database's next reply.
    Cut,
    /// The bytes of the database's replies are turned round.
    Garbage,
}

/// The proxy; it ends when dropped.
pub struct Proxy {
    /// `127.0.0.1:port`.
    pub address: String,
    fault: Arc<watch::Sender<Fault>>,
    accepting: JoinHandle<()>,
    passing: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

impl Proxy {
    /// Stands before an address.
    pub async fn start(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let fault = Arc::new(watch::Sender::new(Fault::None));
        let passing: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let (target, faults, passed) = (target.to_owned(), Arc::clone(&fault), Arc::clone(&passing));
        let accepting = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                if *faults.borrow() == Fault::Down {
                    continue;
                }
                let Ok(server) = TcpStream::connect(&target).await else { continue };
                let task = tokio::spawn(both(client, server, faults.subscribe()));
                passed.lock().expect("no panic while held").push(task);
            }
        });
        Self { address, fault, accepting, passing }
    }

    /// From now on this happens.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
        for task in self.passing.lock().expect("no panic while held").iter() {
            task.abort();
        }
    }
}

async fn both(client: TcpStream, server: TcpStream, faults: watch::Receiver<Fault>) {
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let mut down = faults.clone();
    // Either side's end ends both.
    tokio::select! {
        () = pass(from_client, to_server, faults.clone(), false) => {}
        () = pass(from_server, to_client, faults, true) => {}
        _ = down.wait_for(|fault| *fault == Fault::Down) => {}
    }
}

async fn pass(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, mut faults: watch::Receiver<Fault>, reply: bool) {
    let mut buffer = vec![0; 16 * 1024];
    while let Ok(read @ 1..) = from.read(&mut buffer).await {
        let Ok(fault) = faults.wait_for(|fault| *fault != Fault::Hung).await.map(|fault| *fault) else { return };
        let bytes = &mut buffer[..read];
        match fault {
            Fault::Slow(delay) if reply => tokio::time::sleep(delay).await,
            Fault::Garbage if reply => bytes.reverse(),
            Fault::Cut if reply => {
                // What was written may arrive; the rest never does.
                let _half = to.write_all(&bytes[..read / 2]).await;
                return;
            }
            _ => {}
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
