//! The verified transfer of the device, as users of `feige get`, `put` and the others have it.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::ErrorKind;
use std::net::SocketAddrV4;
use std::process::Command;
use std::time::{Duration, Instant, UNIX_EPOCH};

use feige_core::digest::Digest;
use feige_core::wire::transfer::PORT;
use feige_tests::device::{Board, Device, image, memory, monitor, ram_used};
use feige_tests::lab::{Host, Lab};
use feige_tests::program::{Ended, Program, SOON, run};
use feige_tests::{Missing, or_skip};

/// For transfers on bad networks, with a TCP that waits for a second and more before it repeats.
const LONG: Duration = Duration::from_secs(120);

fn content(len: usize) -> Vec<u8> {
    (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// A device and who uses it.
struct Bench {
    device: Device,
    host: Host,
    _lab: Lab,
}

impl Bench {
    fn new(device: impl FnOnce(&Host) -> Result<Device, Missing>) -> Result<Self, Missing> {
        let mut lab = Lab::new()?;
        let host = lab.host("pc");
        Ok(Self { device: device(&host)?, host, _lab: lab })
    }

    fn url(&self, path: &str) -> String {
        format!("feige://{}/{path}", self.device.at.ip())
    }

    fn try_to(&self, words: &[&str]) -> Ended {
        run(&self.host, LONG, words.iter().copied())
    }

    fn does(&self, words: &[&str]) -> Ended {
        let ended = self.try_to(words);
        assert_eq!(ended.code, Some(0), "{words:?}: {} {}", ended.said, self.device.program);
        ended
    }

    fn names(&self) -> Vec<String> {
        let ended = self.does(&["--json", "ls", &self.url("")]);
        let mut names: Vec<_> =
            ended.events.iter().filter_map(|event| event["name"].as_str().map(str::to_owned)).collect();
        names.sort();
        names
    }
}

/// Stores, lists, hashes, fetches and removes files of these sizes.
fn everything(bench: &Bench, sizes: &[usize]) {
    for (number, &size) in sizes.iter().enumerate() {
        let (name, octets) = (format!("文件{number}"), content(size));
        let (url, back) = (bench.url(&name), format!("back{number}"));
        fs::write(bench.host.path(&name), &octets).unwrap();
        // A device keeps whole seconds: on a chip, the only number that it divides by more than 16 bits.
        let modified = UNIX_EPOCH + Duration::from_secs(1_234_567_890 + number as u64);
        fs::File::options().write(true).open(bench.host.path(&name)).unwrap().set_modified(modified).unwrap();
        bench.does(&["put", &name, &bench.url("")]);
        assert_eq!(bench.names(), ["log.txt", &name]);
        let sum = bench.does(&["--json", "sum", &url]);
        let digest = Digest::of(&octets).to_string();
        assert!(sum.events.iter().any(|event| event["md5"] == digest.as_str()), "{:?}", sum.events);
        bench.does(&["get", &url, "-o", &back]);
        assert!(fs::read(bench.host.path(&back)).unwrap() == octets, "{name}");
        assert_eq!(fs::metadata(bench.host.path(&back)).unwrap().modified().unwrap(), modified, "{name}");
        bench.does(&["rm", &url]);
    }
    bench.does(&["get", &bench.url("log.txt"), "-o", "log.txt"]);
    let log = fs::read_to_string(bench.host.path("log.txt")).unwrap();
    assert!(log.contains("stored 文件0") && log.contains("removed 文件0"), "{log}");
}

#[test]
fn one_percent_lost_and_one_damaged() {
    let weather = ["--loss", "1", "--corrupt", "1", "--seed", "5"];
    let Some(bench) = or_skip(Bench::new(|host| Device::simulated(host, &weather))) else { return };
    everything(&bench, &[0, 3, 4_096, 70_001, 600_000]);
}

#[test]
fn with_the_buffers_of_a_chip() {
    let options = ["--buffers", "chip"];
    let Some(bench) = or_skip(Bench::new(|host| Device::simulated(host, &options))) else { return };
    everything(&bench, &[1, 4_095, 4_097, 300_000]);
}

#[test]
fn on_a_chip() {
    let Some(image) = or_skip(image(Board::Lm3s6965)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = monitor(folder.path());
    let options = options.each_ref().map(String::as_str);
    let Some(bench) = or_skip(Bench::new(|host| Device::emulated(host, Board::Lm3s6965, &options))) else { return };
    everything(&bench, &[0, 5, 5_000, 9_000]);
    let ram = ram_used(&image, |at, len| memory(folder.path(), at, len));
    assert!(ram <= 48 * 1024, "{ram} octets of RAM");
}

#[test]
fn on_another_chip() {
    let Some(bench) = or_skip(Bench::new(|host| Device::emulated(host, Board::Mps2An385, &[]))) else { return };
    everything(&bench, &[0, 5, 5_000, 9_000]);
}

#[test]
fn a_file_is_there_whole_or_not_at_all() {
    let slow = ["--buffers", "chip", "--delay", "20ms"];
    let Some(bench) = or_skip(Bench::new(|host| Device::simulated(host, &slow))) else { return };
    fs::write(bench.host.path("x"), "old").unwrap();
    bench.does(&["put", "x", &bench.url("")]);
    fs::write(bench.host.path("x"), content(700_000)).unwrap();
    let mut put = Program::start(&bench.host, ["put", "x", &bench.url("")]);
    std::thread::sleep(Duration::from_secs(2));
    // Whoever looks meanwhile sees the old one.
    let before = bench.does(&["cat", &bench.url("x")]);
    assert!(before.said.contains("old"), "{}", before.said);
    put.kill();
    // The room of what did not come is free again, and there is enough for all of it.
    let end = Instant::now() + SOON;
    fs::write(bench.host.path("y"), content(1_000_000)).unwrap();
    while bench.try_to(&["put", "y", &bench.url("")]).code != Some(0) {
        assert!(Instant::now() < end, "{}", bench.device.program);
    }
    assert_eq!(bench.names(), ["log.txt", "x", "y"]);
    assert!(bench.does(&["cat", &bench.url("x")]).said.contains("old"));
}

#[test]
fn what_a_device_does_not_do_is_refused_and_the_next_one_served() {
    let Some(bench) = or_skip(Bench::new(|host| Device::simulated(host, &[]))) else { return };
    fs::write(bench.host.path("big"), content(2 << 20)).unwrap();
    fs::write(bench.host.path("small"), "small").unwrap();
    for (words, why) in [
        (&["put", "big", &bench.url("")][..], "not enough room"),
        (&["put", "small", &bench.url("log.txt")], "log"),
        (&["put", "small", &bench.url("folder/small")], "folders"),
        (&["mkdir", &bench.url("folder")], "folders"),
        (&["rm", &bench.url("none")], "no such file"),
        (&["rm", &bench.url("log.txt")], "log"),
        (&["get", &bench.url("none")], "no such file"),
    ] {
        let ended = bench.try_to(words);
        assert!(ended.code != Some(0) && ended.said.contains(why), "{words:?}: {:?} {}", ended.code, ended.said);
    }
    everything(&bench, &[100]);
}

#[test]
fn more_guests_than_places() {
    let Some(bench) = or_skip(Bench::new(|host| Device::simulated(host, &[]))) else { return };
    let at = SocketAddrV4::new(*bench.device.at.ip(), PORT);
    let idle: Vec<_> = (0..4).map(|_| bench.host.connect(at).unwrap()).collect();
    let refused = bench.host.connect(at).expect_err("there is no place left");
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    // Who does not sign in within ten seconds makes room, when it has had its time to take leave.
    let until = Instant::now() + Duration::from_secs(40);
    while bench.host.connect(at).is_err() {
        assert!(Instant::now() < until, "nobody made room");
        std::thread::sleep(Duration::from_millis(500));
    }
    everything(&bench, &[1_000]);
    drop(idle);
}

#[test]
fn tcpdump_reads_what_was_recorded() {
    let options = ["--pcap", "wire.pcap", "--loss", "1"];
    let Some(bench) = or_skip(Bench::new(|host| Device::simulated(host, &options))) else { return };
    everything(&bench, &[50_000]);
    let (host, device) = (&bench.host, bench.device);
    device.program.interrupt();
    assert_eq!(device.program.end(SOON).code, Some(130));
    let octets = fs::read(host.path("wire.pcap")).unwrap();
    // A header of 24 octets, then for each frame its time (8), what is recorded of it (4), its length (4), and itself.
    let (mut at, mut frames) = (24, 0);
    while let Some(len) = octets.get(at + 8..at + 12) {
        at += 16 + u32::from_le_bytes(len.try_into().unwrap()) as usize;
        frames += 1;
    }
    assert_eq!(at, octets.len(), "the last frame is not whole");
    assert!(frames > 50, "{frames}");
    let tcpdump = Command::new("tcpdump").args(["-n", "-t", "-#", "-r"]).arg(host.path("wire.pcap")).output();
    let output = or_skip(tcpdump.map_err(|error| Missing(format!("tcpdump does not run: {error}"))));
    let Some(output) = output else { return };
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && !said.contains("truncated"), "{said}");
    let text = String::from_utf8_lossy(&output.stdout);
    let counted = text.lines().filter(|line| line.trim_start().starts_with(|c: char| c.is_ascii_digit())).count();
    assert_eq!(counted, frames);
    assert!(text.contains(".2426:"), "no transfer in it");
}
