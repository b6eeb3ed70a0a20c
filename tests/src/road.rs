//! A road between two programs: what passes on it is counted, and it can be slow, stop, or break.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddrV4, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::SOON;

/// A road to a server: whoever connects to [`Road::at`] talks to that server.
pub struct Road {
    /// Where it begins.
    pub at: SocketAddrV4,
    /// What passes towards the server.
    pub up: Arc<Lane>,
    /// What passes towards the client.
    pub down: Arc<Lane>,
}

/// One direction of a road, over all connections.
#[derive(Debug)]
pub struct Lane {
    /// How many octets may pass altogether, and how many have.
    open: AtomicU64,
    passed: AtomicU64,
    /// The connection breaks when so many have.
    breaks: AtomicBool,
    /// Each connection breaks when so many have passed on it; 0: none does.
    breaks_each: AtomicU64,
    /// How many pass in a second; 0: as many as like.
    speed: AtomicU64,
    /// Nobody comes through any more.
    closed: AtomicBool,
}

impl Road {
    /// A road to this server, on which everything passes.
    ///
    /// # Panics
    /// If this machine has no port left.
    #[must_use]
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let at = SocketAddrV4::new(Ipv4Addr::LOCALHOST, listener.local_addr().expect("an address").port());
        let (up, down) = (Arc::new(Lane::new()), Arc::new(Lane::new()));
        let road = Self { at, up: Arc::clone(&up), down: Arc::clone(&down) };
        let server = server.to_owned();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(&server) else { continue };
                let (Ok(back), Ok(forth)) = (client.try_clone(), server.try_clone()) else { continue };
                let (up, down) = (Arc::clone(&up), Arc::clone(&down));
                thread::spawn(move || up.carry(back, forth));
                thread::spawn(move || down.carry(server, client));
            }
        });
        road
    }
}

impl Lane {
    fn new() -> Self {
        Self {
            open: AtomicU64::new(u64::MAX),
            passed: AtomicU64::new(0),
            breaks: AtomicBool::new(false),
            breaks_each: AtomicU64::new(0),
            speed: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// How many octets have passed.
    pub fn passed(&self) -> u64 {
        self.passed.load(Ordering::SeqCst)
    }

    /// Lets everything pass.
    pub fn open(&self) {
        self.speed.store(0, Ordering::SeqCst);
        self.open.store(u64::MAX, Ordering::SeqCst);
    }

    /// Lets nothing pass.
    pub fn stop(&self) {
        self.open.store(0, Ordering::SeqCst);
    }

    /// Lets so many octets pass in a second, a few at a time.
    pub fn slow(&self, speed: u64) {
        self.speed.store(speed, Ordering::SeqCst);
    }

    /// Ends what passes now and will.
    pub fn close(&self) {
        self.closed.store(true, Ordering::SeqCst);
    }

    /// Breaks, once, when exactly so many more octets have passed; afterwards everything passes.
    pub fn breaks_after(&self, octets: u64) {
        self.breaks.store(true, Ordering::SeqCst);
        self.open.store(self.passed() + octets, Ordering::SeqCst);
    }

    /// Breaks each connection when so many octets have passed on it; 0: none any more.
    pub fn breaks_each_after(&self, octets: u64) {
        self.breaks_each.store(octets, Ordering::SeqCst);
    }

    /// Waits until so many octets have passed altogether.
    ///
    /// # Panics
    /// If they do not.
    pub fn wait(&self, until: u64) {
        let end = Instant::now() + SOON;
        while self.passed() < until {
            assert!(Instant::now() < end, "{} of {until} octets passed", self.passed());
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Lets so many more octets pass, and waits until they have.
    ///
    /// # Panics
    /// If they do not.
    pub fn lets_pass(&self, octets: u64) {
        let until = self.passed() + octets;
        self.open.store(until, Ordering::SeqCst);
        self.wait(until);
    }

    fn carry(&self, mut from: TcpStream, mut to: TcpStream) {
        const SLICE: u64 = 4 << 10;
        let mut room = vec![0; 16 << 10];
        let mut carried = 0;
        while !self.closed.load(Ordering::SeqCst) {
            let speed = self.speed.load(Ordering::SeqCst);
            let mut left = self.open.load(Ordering::SeqCst).saturating_sub(self.passed());
            match self.breaks_each.load(Ordering::SeqCst) {
                0 => {}
                most if most <= carried => break,
                most => left = left.min(most - carried),
            }
            let most = usize::try_from(if speed > 0 { left.min(SLICE) } else { left }).unwrap_or(room.len());
            if most == 0 && self.breaks.swap(false, Ordering::SeqCst) {
                self.open.store(u64::MAX, Ordering::SeqCst);
                break;
            }
            if most == 0 {
                thread::sleep(Duration::from_millis(1));
                continue;
            }
            let most = most.min(room.len());
            match from.read(&mut room[..most]) {
                Ok(count @ 1..) if to.write_all(&room[..count]).is_ok() => {
                    self.passed.fetch_add(count as u64, Ordering::SeqCst);
                    carried += count as u64;
                    thread::sleep(Duration::from_micros((1_000_000 * count as u64).checked_div(speed).unwrap_or(0)));
                }
                _ => break,
            }
        }
        let _ = to.shutdown(Shutdown::Both);
        let _ = from.shutdown(Shutdown::Both);
    }
}
