//! A TCP proxy that breaks connections on demand.
//!
//! A database that is stopped says goodbye; a network that fails does not. Put between the program and a
//! server (PostgreSQL or S3), the proxy cuts every connection at a chosen moment or byte, or goes silent
//! while the connections stay open, which is the failure that only a time limit finds.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// A proxy on 127.0.0.1 in front of one server there. Dropped, it cuts every connection and stops.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    stopped: bool,
    stalled: bool,
    refusing: bool,
    /// Bytes that may still pass before everything is cut.
    budget: Option<u64>,
    passed: u64,
    connections: u64,
    open: Vec<TcpStream>,
}

impl Proxy {
    /// Starts a proxy to a port of this machine.
    pub fn to(server_port: u16) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a free TCP port");
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared { state: Mutex::default(), changed: Condvar::new() });
        let accepting = Arc::clone(&shared);
        thread::spawn(move || accept(&listener, server_port, &accepting));
        Self { port, shared }
    }

    /// The port to connect to instead of the server's own.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Cuts all open connections now. New ones are accepted.
    pub fn cut(&self) {
        self.shared.lock().cut();
    }

    /// Cuts all connections once so many more bytes have passed, both directions together, and refuses new
    /// ones from then on until [`Proxy::heal`].
    pub fn cut_after(&self, bytes: u64) {
        self.shared.lock().budget = Some(bytes);
    }

    /// Cuts all connections now, and any new one at once.
    pub fn refuse(&self) {
        let mut state = self.shared.lock();
        state.refusing = true;
        state.cut();
    }

    /// Passes nothing on any more, with all connections open, until [`Proxy::heal`].
    pub fn stall(&self) {
        self.shared.lock().stalled = true;
    }

    /// Works as a good network again: what was stalled goes on, new connections are accepted.
    pub fn heal(&self) {
        let mut state = self.shared.lock();
        state.stalled = false;
        state.refusing = false;
        state.budget = None;
        self.shared.changed.notify_all();
    }

    /// The bytes that have passed so far, both directions together.
    pub fn bytes_passed(&self) -> u64 {
        self.shared.lock().passed
    }

    /// The connections accepted and passed on so far.
    pub fn connections(&self) -> u64 {
        self.shared.lock().connections
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.stopped = true;
        state.cut();
        drop(state);
        self.shared.changed.notify_all();
        // Wakes the accepting thread, which then sees that it is to stop.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// Waits while the proxy is stalled, then takes the room for these bytes: how many of them may pass.
    fn admit(&self, bytes: usize) -> usize {
        let mut state = self.lock();
        while state.stalled && !state.stopped {
            state = self.changed.wait(state).unwrap();
        }
        let mut admitted = bytes;
        if let Some(budget) = state.budget {
            admitted = admitted.min(usize::try_from(budget).unwrap_or(usize::MAX));
            state.budget = Some(budget - admitted as u64);
        }
        state.passed += admitted as u64;
        admitted
    }
}

impl State {
    fn cut(&mut self) {
        for connection in self.open.drain(..) {
            let _ = connection.shutdown(Shutdown::Both);
        }
    }
}

fn accept(listener: &TcpListener, server_port: u16, shared: &Arc<Shared>) {
    for client in listener.incoming() {
        let mut state = shared.lock();
        if state.stopped {
            return;
        }
        if state.refusing || state.budget == Some(0) {
            continue;
        }
        let Ok(client) = client else { continue };
        let Ok(server) = TcpStream::connect(("127.0.0.1", server_port)) else {
            continue;
        };
        state.connections += 1;
        let both = [(&client, &server), (&server, &client)];
        for (from, to) in
            both.map(|(from, to)| (from.try_clone().unwrap(), to.try_clone().unwrap()))
        {
            let shared = Arc::clone(shared);
            thread::spawn(move || pass(&from, &to, &shared));
        }
        state.open.extend([client, server]);
    }
}

/// Passes one direction of a connection on until either side ends it or it is cut.
fn pass(mut from: &TcpStream, mut to: &TcpStream, shared: &Shared) {
    let mut buffer = vec![0; 32 * 1024];
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Ok(read) if read > 0 => read,
            _ => break,
        };
        let admitted = shared.admit(read);
        let written = to.write_all(&buffer[..admitted]);
        if admitted < read {
            let mut state = shared.lock();
            state.refusing = true;
            state.cut();
        }
        if written.is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}
