//! The image for a microcontroller in QEMU, without any rights: the other end of its wire is an agent in this process.
//!
//! Here too: what the image takes of flash, RAM and processor, against the table in `docs/porting.md`.
#![cfg(target_os = "linux")]

use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant as Clock};

use feige_core::digest::Digest;
use feige_core::node::Name;
use feige_core::time::Instant;
use feige_sim::agent::Event;
use feige_sim::store::Store as _;
use feige_tests::device::{Board, Wired, core_image, image, stack_used, symbols};
use feige_tests::device_net::{Member, Port, member};
use feige_tests::netsim::Random;
use feige_tests::or_skip;
use feige_tests::program::SOON;
use feige_tests::stack::depth;

const CHIP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(10, 0, 0, 77), 2425);

/// How many instructions an octet that is received may take, with MD5.
const INSTRUCTIONS: u64 = 30;

/// An agent in this process, and the chip on its wire.
struct Bench {
    chip: Wired,
    agent: Member,
    port: Port,
    clock: Clock,
    /// Texts that came, and digests of files that were stored.
    said: Vec<String>,
    /// Frames that were sent to the chip.
    sent: Vec<Vec<u8>>,
}

impl Bench {
    fn new(chip: Wired) -> Self {
        let (agent, port) = member(0, Instant::START, 7);
        Self { chip, agent, port, clock: Clock::now(), said: Vec::new(), sent: Vec::new() }
    }

    fn now(&self) -> Instant {
        Instant::from_millis(self.clock.elapsed().as_millis() as u64)
    }

    /// Runs until a text or digest comes that contains `part`.
    fn until(&mut self, part: &str) -> String {
        let end = Clock::now() + SOON;
        while Clock::now() < end {
            if let Some(at) = self.said.iter().position(|said| said.contains(part)) {
                return self.said.remove(at);
            }
            self.turn();
        }
        panic!("no {part:?} from {}, but {:?}", self.chip.program, self.said);
    }

    fn run_for(&mut self, time: Duration) {
        let end = Clock::now() + time;
        while Clock::now() < end {
            self.turn();
        }
    }

    fn turn(&mut self) {
        let mut frame = [0; 2048];
        while let Ok(len) = self.chip.wire.recv(&mut frame) {
            self.port.incoming.push_back(frame[..len].to_vec());
        }
        let (now, said) = (self.now(), &mut self.said);
        self.agent.poll(now, &mut self.port, &mut |event| match event {
            Event::Message { text, .. } => said.push(String::from_utf8_lossy(text).into_owned()),
            Event::Stored { digest, .. } => said.push(digest.to_string()),
            _ => {}
        });
        for frame in self.port.outgoing.drain(..) {
            let _ = self.chip.wire.send(&frame);
            self.sent.push(frame);
        }
        std::thread::sleep(Duration::from_micros(200));
    }

    fn ask(&mut self, text: &str) {
        let now = self.now();
        self.agent.send_text(now, CHIP, text).unwrap();
    }

    /// Lets the chip fetch a file of so many octets; returns its digest, which the chip has reported.
    fn give(&mut self, name: &str, len: usize) -> String {
        let octets: Vec<u8> = (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let file = self.agent.store().create(&Name::new(name.as_bytes()), len as u64).unwrap();
        self.agent.store().append(file, &octets).unwrap();
        self.agent.store().finish(file, 1).unwrap();
        let now = self.now();
        self.agent.offer(now, CHIP, name).unwrap();
        let digest = Digest::of(&octets).to_string();
        self.until(&digest);
        digest
    }
}

fn converse(board: Board) -> Option<Bench> {
    let mut bench = Bench::new(or_skip(Wired::start(board, &[]))?);
    // Once it is there, it answers.
    bench.run_for(Duration::from_millis(300));
    bench.ask("status");
    bench.until("connections");
    let digest = bench.give("config.txt", 9_000);
    bench.ask("get config.txt");
    bench.until(&digest);
    bench.ask("ls");
    bench.until("config.txt 9000");
    Some(bench)
}

/// Everything that a peer says, damaged in every place: the stack drops most of it, and what gets through has to be taken.
/// QEMU would end if the device reset itself.
#[test]
fn noise_stops_nobody() {
    let Some(mut bench) = converse(Board::Lm3s6965) else { return };
    let mut random = Random(3);
    // Not ARP, which nothing protects: whoever damages that has cut a host off for a minute.
    let frames: Vec<_> = std::mem::take(&mut bench.sent).into_iter().filter(|frame| frame[12..14] == [8, 0]).collect();
    for round in 0..6_000 {
        let mut frame = frames[random.below(frames.len() as u64) as usize].clone();
        for _ in 0..=random.below(3) {
            // Not the addresses, so that it arrives.
            let at = 14 + random.below(frame.len() as u64 - 14) as usize;
            frame[at] ^= 1 << random.below(8);
        }
        if round % 5 == 0 {
            frame.truncate(14 + random.below(frame.len() as u64 - 14) as usize);
        }
        repair(&mut frame, round % 2 == 0);
        let _ = bench.chip.wire.send(&frame);
        if round % 20 == 0 {
            bench.turn();
        }
    }
    bench.run_for(Duration::from_millis(500));
    // Whoever the damage made up waits for answers, too; who asks now gets one all the same.
    bench.ask("status");
    bench.until("connections");
    bench.ask("ls");
    bench.until("config.txt 9000");
}

/// Makes the sums of an IPv4 packet right again; a sum of 0 in UDP means that there is none.
fn repair(frame: &mut [u8], wanted: bool) {
    if !wanted || frame.len() < 42 || frame[12..14] != [8, 0] {
        return;
    }
    frame[14] = 0x45;
    let len = (frame.len() - 14) as u16;
    frame[16..18].copy_from_slice(&len.to_be_bytes());
    frame[20..22].fill(0);
    frame[24..26].fill(0);
    let sum = frame[14..34].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    frame[24..26].copy_from_slice(&sum.to_be_bytes());
    if frame[23] == 17 {
        frame[38..40].copy_from_slice(&(len - 20).to_be_bytes());
        frame[40..42].fill(0);
    }
}

#[test]
fn a_chip_and_an_agent() {
    let _ = converse(Board::Lm3s6965);
}

#[test]
fn another_chip_and_an_agent() {
    let _ = converse(Board::Mps2An385);
}

/// Flash and static RAM of an image, in octets.
fn sizes(image: &Path) -> (u64, u64) {
    let output = Command::new("size").arg(image).output().expect("size (package binutils)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let row: Vec<u64> = text.lines().nth(1).unwrap().split_whitespace().flat_map(str::parse).collect();
    (row[0] + row[1], row[1] + row[2])
}

fn busy(bench: &Bench, at: u32) -> u64 {
    u64::from_le_bytes(bench.chip.memory(at, 8).try_into().unwrap())
}

/// What a row of the table in `docs/porting.md` says: `| what | figure |`.
fn in_table(what: &str, document: &str) -> Option<u64> {
    let row = document.lines().find_map(|line| line.strip_prefix(&format!("| {what} | ")))?;
    row.split(' ').next()?.replace(',', "").parse().ok()
}

/// `FEIGE_FIGURES=print` prints the rows instead of comparing them (`scripts/device-figures.sh`).
#[test]
fn figures_are_those_of_the_documentation() {
    let Some(path) = or_skip(image(Board::Lm3s6965)) else { return };
    // A cycle is an instruction then, and so is a nanosecond.
    let Some(chip) = or_skip(Wired::start(Board::Lm3s6965, &["-icount", "shift=0"])) else { return };
    let symbols = symbols(&path);
    let of = |name: &str| symbols.iter().find(|(symbol, _)| symbol.contains(name)).map(|(_, at)| *at);
    let busy_at = symbols["FEIGE_BUSY"].0;
    let disk = of("4DISK").expect("the RAM disk").1;
    let mut bench = Bench::new(chip);
    bench.run_for(Duration::from_millis(500));
    bench.ask("help");
    bench.until("get NAME");

    // The slope between a short and a longer file is what an octet costs. Twice the longer one fits the RAM disk.
    let mut cost = |len: usize| {
        bench.run_for(Duration::from_millis(300));
        let before = busy(&bench, busy_at);
        bench.give("x", len);
        bench.run_for(Duration::from_millis(300));
        busy(&bench, busy_at) - before
    };
    // The least of some, because a busy machine only adds: what comes in more pieces is handled more often.
    let (mut short, mut long, mut received) = (u64::MAX, u64::MAX, u64::MAX);
    for round in 0..16 {
        if round >= 4 && received <= INSTRUCTIONS {
            break;
        }
        (short, long) = (short.min(cost(1_000)), long.min(cost(6_000)));
        // SysTick counts at 50 MHz, and an instruction takes a nanosecond: 20 for each count.
        received = (long.saturating_sub(short) * 20).div_ceil(5_000);
    }

    bench.ask("get x");
    bench.run_for(Duration::from_millis(1_000));
    let before = busy(&bench, busy_at);
    bench.run_for(Duration::from_millis(4_000));
    let idle = (busy(&bench, busy_at) - before) * 20 / 4;

    let stack = stack_used(&symbols, |at, len| bench.chip.memory(at, len));

    let (flash, ram) = sizes(&path);
    let core_image = or_skip(core_image()).expect("as for the other image");
    let (core_flash, core_statics) = sizes(&core_image);
    // No machine has its modem, so the depth of its stack is read from the instructions.
    let Some(core_stack) = or_skip(depth(&core_image, &[("drive", "Machine")])) else { return };
    // Its file, which is the application's.
    let core_ram = core_statics + core_stack - 1024;
    let rows = [
        ("LM3S6965: flash", flash, 96 * 1024),
        ("LM3S6965: statics without the RAM disk", ram - u64::from(disk), u64::MAX),
        ("LM3S6965: stack, painted", stack, u64::MAX),
        ("LM3S6965: RAM altogether", ram - u64::from(disk) + stack, 48 * 1024),
        ("core alone at \"z\", with vectors and memcpy: flash", core_flash, 24 * 1024),
        ("core alone at \"z\": RAM, with the deepest stack there can be", core_ram, 12 * 1024),
        ("instructions for an octet received, with MD5", received, INSTRUCTIONS),
        ("instructions in an idle second", idle, u64::MAX),
    ];
    if std::env::var_os("FEIGE_FIGURES").is_some() {
        rows.iter().for_each(|(what, figure, _)| println!("| {what} | {figure} |"));
        return;
    }
    let document = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../docs/porting.md");
    let document = std::fs::read_to_string(document).unwrap();
    for (what, figure, most) in rows {
        let expected = in_table(what, &document).unwrap_or_else(|| panic!("no row {what:?} in docs/porting.md"));
        let room = expected + expected / 20 + u64::from(what.contains("instructions")) * (2 + expected / 5);
        assert!(figure <= room, "{what}: {figure}, the documentation says {expected} (scripts/device-figures.sh)");
        assert!(figure <= most, "{what}: {figure} of at most {most}");
    }
}
