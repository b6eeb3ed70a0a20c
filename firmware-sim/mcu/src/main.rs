//! The device of Feige on a microcontroller: the agent of `feige-sim`, unchanged, on an Ethernet controller.
//!
//! ```text
//!   settings (flash) -> main loop: agent.poll(now) -> sleep until a frame, or the deadline, whichever is first
//!                                    |                   |
//!                                  ethernet            clock (SysTick)
//! ```
//! Interrupts are masked all the time and end the sleep, nothing else: no code runs in a handler, so there is nothing to
//! be locked. Between deadlines the processor sleeps; there is no tick.
//!
//! **Memory**: buffers and members are in statics, the agent itself in the frame of `run`.
#![no_std]
#![no_main]

mod board;
mod clock;
mod division;
mod memory;
mod settings;

use cortex_m::peripheral::NVIC;
use cortex_m::{Peripherals, asm, singleton};
use cortex_m_rt::{entry, exception};
use feige_core::node::{Identity, Names};
use feige_core::time::Instant;
use feige_core::wire::ipmsg::PacketNo;
use feige_sim::agent::{Agent, Config, EXTRA_SOCKETS, LEAST_SESSION, Prepared, Room, Sockets};
use feige_sim::store::RamStore;

use board::Ethernet;
use clock::Clock;
use settings::Settings;

/// Connections at a time: of the family, of the verified transfer, and of the flooded search. The second board has more RAM.
const SLOTS: usize = 3;
const GUESTS: usize = if cfg!(feature = "mps2-an385") { 4 } else { 1 };
const LINKS: usize = if cfg!(feature = "mps2-an385") { 3 } else { 2 };

/// What each of them has to receive: one frame.
const RX: usize = 1460;

/// What each of them has to send: more than one frame, because receivers answer a single one late.
const TX: usize = RX + 4;

/// Members that are remembered.
const MEMBERS: usize = 16;

/// Files, and the octets for them: the part of the RAM that the agent leaves.
const FILES: usize = 16;
const OCTETS: usize = 12 * 1024;

type Files = RamStore<'static, FILES>;
type Device = Agent<'static, &'static mut Files, MEMBERS, SLOTS, GUESTS, LINKS>;
type Member = Prepared<'static, MEMBERS, SLOTS, RX, TX, GUESTS, LEAST_SESSION, LINKS>;

const SOCKETS: usize = SLOTS + GUESTS + LINKS + EXTRA_SOCKETS;

// Zeros, so they take no flash.
static mut ROOM: Room<MEMBERS, SLOTS, RX, TX, GUESTS, LEAST_SESSION, LINKS> = Room::new();
static mut DISK: [u8; OCTETS] = [0; OCTETS];
static mut ETHERNET: Ethernet = Ethernet::new();
static mut PLACES: Sockets<SOCKETS> = Sockets::new();

/// What an agent is made of.
struct Parts {
    sockets: &'static mut Sockets<'static, SOCKETS>,
    store: &'static mut Files,
    member: Member,
}

#[entry]
fn main() -> ! {
    cortex_m::interrupt::disable();
    let settings = Settings::read();
    let (Some(peripherals), Some(store)) = (Peripherals::take(), store()) else { reset() };
    // SAFETY: this runs once and is the only one that names it.
    let sockets = unsafe { &mut *(&raw mut PLACES) };
    run(peripherals, &settings, Parts { sockets, store, member: member(&settings) })
}

/// In a frame of its own, which is there after those of what has been made: the agent is in it.
#[inline(never)]
fn run(mut peripherals: Peripherals, settings: &Settings, parts: Parts) -> ! {
    let mut clock = Clock::new(peripherals.SYST, board::start(&mut peripherals.SCB));
    // SAFETY: `main` runs once and is the only one that names it; no handler runs.
    let ethernet = unsafe { &mut *(&raw mut ETHERNET) };
    let mut agent = agent(settings, ethernet, parts);
    loop {
        let until = agent.poll(clock.now(), ethernet, &mut |_| {});
        // What arrives from here on is pending when the processor goes to sleep, and wakes it at once.
        if !ethernet.is_waiting() {
            clock.sleep(until, || {
                ethernet.listen();
                asm::wfi();
                NVIC::unpend(board::INTERRUPT);
            });
        }
    }
}

/// In a frame of its own, because it is made there and copied.
#[inline(never)]
fn store() -> Option<&'static mut Files> {
    // SAFETY: this runs once and is the only one that names it.
    let disk = unsafe { &mut *(&raw mut DISK) };
    singleton!(: Files = RamStore::new(disk))
}

/// In a frame of its own, because names are copied several times, and a member is large while it is made.
#[inline(never)]
fn member(settings: &Settings) -> Member {
    let names = || Names::new(settings.name(), board::NAME, settings.name(), b"devices");
    let identity = Identity { version: "1", software: "feige-mcu", utf8: names(), legacy: names() };
    // SAFETY: this runs once and is the only one that names it.
    let room = unsafe { &mut *(&raw mut ROOM) };
    room.prepare(Instant::START, identity, PacketNo(settings.first), settings.seed)
}

/// In a frame of its own, because more is needed to make an agent than to run it.
#[inline(never)]
fn agent(settings: &Settings, ethernet: &mut Ethernet, parts: Parts) -> Device {
    ethernet.start(settings.mac);
    // SAFETY: unmasked at the controller only; the processor masks all interrupts, so no handler runs.
    unsafe { NVIC::unmask(board::INTERRUPT) };
    let Settings { mac, address, prefix, seed, .. } = *settings;
    let config = Config { mac, address: address.into(), prefix, gateway: None, seed };
    Agent::new(Instant::START, &config, ethernet, parts.store, parts.member, parts.sockets)
}

/// Begins again: what a device does that cannot go on.
fn reset() -> ! {
    cortex_m::peripheral::SCB::sys_reset()
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    #[cfg(feature = "locate")]
    core::hint::black_box(_info.location());
    feige_panic_stand_in()
}

/// By this name `scripts/mcu.sh proof` finds what could panic.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn feige_panic_stand_in() -> ! {
    reset()
}

#[exception]
unsafe fn HardFault(_: &cortex_m_rt::ExceptionFrame) -> ! {
    reset()
}
