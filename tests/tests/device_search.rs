//! The device in a flooded search: a neighbour of peers, which it answers and whose questions it passes on.
#![cfg(target_os = "linux")]

use std::fs;
use std::time::Duration;

use feige_core::digest::Digest;
use feige_tests::device::{Board, Device, image, memory, monitor, ram_used};
use feige_tests::lab::{Host, Lab};
use feige_tests::program::{Program, run};
use feige_tests::{Missing, or_skip};

/// On a bad network a segment that is lost comes again after a second and more.
const LONG: Duration = Duration::from_secs(60);

/// A device beside a host, and a file of so many octets, which has to fit on its RAM disk. Both go on.
fn searched(device: impl FnOnce(&Host) -> Result<Device, Missing>, size: u32) -> Result<(Device, Lab), Missing> {
    let mut lab = Lab::new()?;
    let host = lab.host("a");
    let device = device(&host)?;
    let via = format!("{}:2427", device.at.ip());
    let octets: Vec<u8> = (0..size).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    fs::write(host.path("pump-7.conf"), &octets).expect("written");
    let put = || run(&host, LONG, ["put", "pump-7.conf", &format!("feige://{}/", device.at.ip())]);
    // A chip that has just been switched on refuses whoever comes before its first look at the network.
    let put = Some(put()).filter(|put| put.code != Some(3)).unwrap_or_else(put);
    assert_eq!(put.code, Some(0), "{}", put.said);
    fs::create_dir(host.path("share")).expect("a folder");
    fs::write(host.path("share/manual.txt"), "push the button").expect("written");
    let mut peer = Program::start(
        &host,
        ["--json", "peer", "--listen", "127.0.0.1:2428", "--share", "share", "--neighbour", &via],
    );
    peer.event("ready");
    peer.event_where("linked", LONG, |event| event["peer"] == via);

    // It answers.
    let found = run(&host, LONG, ["--json", "find", "PUMP", "--via", &via, "--wait", "5s"]);
    assert_eq!(found.code, Some(0), "{}", found.said);
    assert!(found.said.contains("pump-7.conf") && found.said.contains(&format!("\"size\":{size}")), "{}", found.said);
    // It serves what was found, to whoever asks behind another.
    let fetched = run(&host, LONG, ["fetch", "pump-7.conf", "--via", "127.0.0.1:2428", "-o", "copy.conf"]);
    assert_eq!(fetched.code, Some(0), "{}", fetched.said);
    let copy = fs::read(host.path("copy.conf")).expect("fetched");
    assert_eq!(Digest::of(&copy), Digest::of(&octets));
    // It passes questions on, and their answers back.
    let found = run(&host, LONG, ["--json", "find", "manual", "--via", &via, "--wait", "5s"]);
    assert_eq!(found.code, Some(0), "{}", found.said);
    assert!(found.said.contains("manual.txt"), "{}", found.said);
    let nothing = run(&host, LONG, ["find", "nothing-of-that", "--via", &via]);
    assert_eq!(nothing.code, Some(3), "{}", nothing.said);
    // Links that came and went have not used it up. (With time for a segment that comes again.)
    for _ in 0..8 {
        let found = run(&host, LONG, ["find", "pump", "--via", &via, "--wait", "3s"]);
        assert_eq!(found.code, Some(0), "{}", found.said);
    }
    Ok((device, lab))
}

#[test]
fn a_device_answers_passes_on_and_serves() {
    let _ = or_skip(searched(|host| Device::simulated(host, &[]), 20_000));
}

#[test]
fn on_a_bad_network_too() {
    let weather = ["--loss", "1", "--corrupt", "1", "--seed", "5"];
    let _ = or_skip(searched(|host| Device::simulated(host, &weather), 20_000));
}

/// The image for a microcontroller, in QEMU.
#[test]
fn a_chip_too() {
    let Some(image) = or_skip(image(Board::Lm3s6965)) else { return };
    let folder = tempfile::tempdir().unwrap();
    let options = monitor(folder.path());
    let options = options.each_ref().map(String::as_str);
    let chip = or_skip(searched(|host| Device::emulated(host, Board::Lm3s6965, &options), 9_000));
    if chip.is_some() {
        let ram = ram_used(&image, |at, len| memory(folder.path(), at, len));
        assert!(ram <= 48 * 1024, "{ram} octets of RAM");
    }
}

#[test]
fn another_chip_too() {
    let _ = or_skip(searched(|host| Device::emulated(host, Board::Mps2An385, &[]), 9_000));
}
