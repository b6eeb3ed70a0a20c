//! The device: agent, weather, TAP interface, and the loop around them.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant as Clock, SystemTime, UNIX_EPOCH};

use feige_core::node::{Identity, Names};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::{PORT, PacketNo};
use feige_sim::agent::{Agent, Config, EXTRA_SOCKETS, Room, Sockets, WHOLE_RUN};
use feige_sim::sim::{Conditions, Weather};
use feige_sim::store::RamStore;
use smoltcp::phy::{PcapMode, PcapWriter};

use crate::hashing::Hashing;
use crate::options::{Buffers, Options};
use crate::{report, tap};

/// Files on the RAM disk.
const FILES: usize = 64;

/// Members that are remembered.
const MEMBERS: usize = 64;

/// Connections of the verified transfer at a time.
const GUESTS: usize = 4;

/// Links of the flooded search at a time.
const LINKS: usize = 3;

/// Sockets besides those of the connections of the family.
const OTHERS: usize = GUESTS + LINKS + EXTRA_SOCKETS;

/// How long the goodbye may take.
const GOODBYE: Duration = Duration::from_millis(200);

/// Runs the device until its time is over or somebody ends it.
pub(crate) fn run(options: &Options) -> Result<ExitCode, String> {
    match options.buffers {
        Buffers::Chip => with_buffers::<3, { 3 + OTHERS }, 2048, 2048, 2048>(options),
        Buffers::Small => with_buffers::<8, { 8 + OTHERS }, 4096, 4096, 4096>(options),
        Buffers::Large => with_buffers::<8, { 8 + OTHERS }, 65536, 65536, WHOLE_RUN>(options),
    }
}

fn with_buffers<const SLOTS: usize, const SOCKETS: usize, const RX: usize, const TX: usize, const RUN: usize>(
    options: &Options,
) -> Result<ExitCode, String> {
    let pcap: Box<dyn Write> = match &options.pcap {
        Some(path) => {
            Box::new(File::create(path).map_err(|error| format!("cannot write {}: {error}", path.display()))?)
        }
        None => Box::new(io::sink()),
    };
    let interrupted = Arc::new(AtomicBool::new(false));
    for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
        let result = signal_hook::flag::register(signal, Arc::clone(&interrupted));
        result.map_err(|error| format!("cannot watch for signals: {error}"))?;
    }
    let tap = tap::open(&options.tap, options.host())?;
    let fd = tap.as_raw_fd();
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let seed =
        options.seed.unwrap_or_else(|| since_1970.as_nanos() as u64 ^ u64::from(std::process::id()).rotate_left(32));
    let conditions = Conditions {
        loss: options.loss,
        corruption: options.corrupt,
        reordering: options.reorder,
        delay: smoltcp::time::Duration::from_millis(options.delay.as_millis() as u64),
    };
    let mut device = Weather::new(PcapWriter::new(tap, pcap, PcapMode::Both), conditions, seed);

    // Written, not only reserved: the RAM of a board is there from the beginning, and costs nothing when it is first used.
    let mut memory = vec![0xff; options.ram_disk];
    let mut room = Box::new(Room::<MEMBERS, SLOTS, RX, TX, GUESTS, RUN, LINKS>::new());
    // Lent for ever: this function runs once.
    let sockets = Box::leak(Box::new(Sockets::<SOCKETS>::new()));
    let names = Names::new(options.user.as_bytes(), options.tap.as_bytes(), options.user.as_bytes(), b"devices");
    let identity = Identity { version: "1", software: "feige-sim", utf8: names.clone(), legacy: names };
    let first = PacketNo(since_1970.as_secs() as u32);
    let (address, prefix) = options.ip;
    let config = Config { mac: options.mac(), address, prefix, gateway: None, seed };
    let clock = Clock::now();
    let now = || Instant::from_millis(clock.elapsed().as_millis() as u64);
    let store = RamStore::<FILES>::new(&mut memory);
    let mut agent = Agent::<_, MEMBERS, SLOTS, GUESTS, LINKS, _>::with_hasher(
        now(),
        &config,
        &mut device,
        store,
        room.prepare(now(), identity, first, seed),
        sockets,
        Hashing::default(),
    );
    // It listens from the first turn on, not before.
    agent.poll(now(), &mut device, &mut |event| report::event(&event, options.json));
    ready(options);

    let mut leaving = None;
    loop {
        let deadline = agent.poll(now(), &mut device, &mut |event| report::event(&event, options.json));
        let over = options.duration.is_some_and(|duration| clock.elapsed() >= duration);
        if leaving.is_none() && (over || interrupted.load(Ordering::Relaxed)) {
            agent.leave(now());
            leaving = Some(clock.elapsed() + GOODBYE);
            continue;
        }
        if agent.has_left() && leaving.is_some() || leaving.is_some_and(|until| clock.elapsed() >= until) {
            let code = if interrupted.load(Ordering::Relaxed) { 130 } else { 0 };
            return Ok(ExitCode::from(code));
        }
        let due = device.next_due().map(|due| Instant::from_millis(due.total_millis() as u64));
        let end = options.duration.map(|duration| Instant::from_millis(duration.as_millis() as u64));
        let until = [deadline, due, end.filter(|_| leaving.is_none())].into_iter().flatten().min();
        let wait = until.map(|until| smoltcp::time::Duration::from_millis(until.since(now()).as_millis() as u64));
        match smoltcp::phy::wait(fd, wait) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                return Err(format!("cannot wait for {}: {error}", options.tap));
            }
            _ => {}
        }
    }
}

fn ready(options: &Options) {
    let (address, tap) = (options.ip.0, &options.tap);
    if options.json {
        println!("{}", serde_json::json!({"event": "ready", "addr": format!("{address}:{PORT}"), "tap": tap}));
    } else {
        println!("{} is at {address}:{PORT} on {tap}; send it `help`", options.user);
    }
}

/// Prints what each part of the device takes.
pub(crate) fn memory(options: &Options) {
    match options.buffers {
        Buffers::Chip => table::<3, { 3 + OTHERS }, 2048, 2048, 2048>(options.ram_disk),
        Buffers::Small => table::<8, { 8 + OTHERS }, 4096, 4096, 4096>(options.ram_disk),
        Buffers::Large => table::<8, { 8 + OTHERS }, 65536, 65536, WHOLE_RUN>(options.ram_disk),
    }
}

fn table<const SLOTS: usize, const SOCKETS: usize, const RX: usize, const TX: usize, const RUN: usize>(disk: usize) {
    use std::mem::size_of;
    type Device<'a, const SLOTS: usize> = Agent<'a, RamStore<'a, FILES>, MEMBERS, SLOTS, GUESTS, LINKS, Hashing>;
    let rows = [
        ("agent: offers, sessions, files", size_of::<Device<'_, SLOTS>>()),
        ("  of this, the table of files", size_of::<RamStore<'_, FILES>>()),
        ("room: members, messages, buffers, log", size_of::<Room<MEMBERS, SLOTS, RX, TX, GUESTS, RUN, LINKS>>()),
        ("  of this, buffers of TCP connections", (SLOTS + GUESTS) * (RX + TX)),
        ("  of this, buffers of sessions of the verified transfer", GUESTS * 2 * RUN),
        ("sockets of the TCP/IP stack", size_of::<Sockets<'_, SOCKETS>>()),
        ("RAM disk", disk),
    ];
    println!("{SLOTS} + {GUESTS} connections, {MEMBERS} members, {FILES} files");
    for (what, octets) in rows {
        println!("{octets:>10}  {what}");
    }
    println!("{:>10}  in all", rows.iter().filter(|(what, _)| !what.starts_with(' ')).map(|(_, o)| o).sum::<usize>());
}
