//! The device as its neighbours see it: a real iptux, and Feige.
//!
//! Everything is tried with the simulator and with the image for a microcontroller in QEMU; the agent in them is the same.
#![cfg(target_os = "linux")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use feige_core::digest::Digest;
use feige_tests::device::{Board, Device};
use feige_tests::iptux::Iptux;
use feige_tests::lab::{Host, Lab};
use feige_tests::program::{Program, SOON, run};
use feige_tests::{Missing, or_skip};

/// For transfers on bad networks, with a TCP that waits for a second and more before it repeats.
const LONG: Duration = Duration::from_secs(120);

/// Octets of which no two hundred are alike.
fn content(len: usize) -> Vec<u8> {
    (0..len as u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect()
}

/// Feige, listening and taking what it is offered.
fn listening(host: &Host) -> Program {
    let mut feige = Program::start(host, ["--json", "listen", "--accept", "all", "--dir", "inbox"]);
    feige.event("ready");
    feige
}

fn ask(host: &Host, device: &Device, text: &str) {
    let ended = run(host, SOON, ["--json", "send", &device.at.to_string(), text]);
    assert_eq!(ended.code, Some(0), "{text}: {}", ended.said);
}

/// What Feige's user does with a device, all of it; with files of so many octets.
fn everyday(host: &Host, device: &mut Device, size: usize) {
    let mut feige = listening(host);
    feige.event_where("online", SOON, |event| event["addr"] == device.at.to_string());
    for (text, part) in [
        ("help", "get NAME"),
        ("status", "connections"),
        ("df", "octets free"),
        ("ls", "log.txt"),
        ("what is this", "`help`"),
    ] {
        ask(host, device, text);
        let is_answer = |event: &serde_json::Value| event["text"].as_str().is_some_and(|answer| answer.contains(part));
        let answer = feige.event_where("message", SOON, is_answer);
        assert_eq!(answer["from"]["addr"], device.at.to_string(), "{text}");
    }
    // A file to the device: it reports the MD5, and gives it back.
    let octets = content(size);
    fs::write(host.path("配置.conf"), &octets).unwrap();
    let ended = run(host, LONG, ["--json", "send", &device.at.to_string(), "--file", "配置.conf"]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    let report = feige.event_where("message", LONG, |event| event["text"].as_str().is_some_and(|t| t.contains("MD5")));
    let digest = Digest::of(&octets).to_string();
    assert!(report["text"].as_str().is_some_and(|text| text.contains(&digest)), "{report}");
    ask(host, device, "get 配置.conf");
    let done = feige.event_where("downloaded", LONG, |event| event["name"] == "配置.conf");
    assert_eq!(done["md5"], digest);
    assert_eq!(fs::read(host.path("inbox/配置.conf")).unwrap(), octets);
    // Its log, which tells of that.
    ask(host, device, "get log.txt");
    feige.event_where("downloaded", SOON, |event| event["name"] == "log.txt");
    let log = fs::read_to_string(host.path("inbox/log.txt")).unwrap();
    assert!(log.contains("stored 配置.conf"), "{log}");
    // A name that is too long for its store is found all the same.
    let long = format!("{}-1.ini", "设置".repeat(10));
    fs::write(host.path(&long), "x=1").unwrap();
    let ended = run(host, LONG, ["--json", "send", &device.at.to_string(), "--file", &long]);
    assert_eq!(ended.code, Some(0), "{}", ended.said);
    feige.event_where("message", LONG, |event| {
        event["text"].as_str().is_some_and(|text| text.contains("3 octets, MD5"))
    });
    ask(host, device, &format!("get {long}"));
    feige.event_where("downloaded", SOON, |event| event["name"].as_str().is_some_and(|name| name.ends_with(".ini")));
    ask(host, device, &format!("rm {long}"));
    feige.event_where("message", SOON, |event| event["text"].as_str().is_some_and(|t| t.contains(".ini: removed")));
    // More than there is room for, and no room is lost by that.
    fs::write(host.path("large"), content(2 << 20)).unwrap();
    let mut offer = Program::start(host, ["--json", "send", &device.at.to_string(), "--file", "large"]);
    let refusal = |event: &serde_json::Value| event["text"].as_str().is_some_and(|text| text.contains("not stored"));
    feige.event_where("message", SOON, refusal);
    offer.kill();
    ask(host, device, "rm 配置.conf");
    feige.event_where("message", SOON, |event| event["text"].as_str().is_some_and(|t| t.contains("removed")));
    ask(host, device, "get 配置.conf");
    feige.event_where("message", SOON, |event| event["text"].as_str().is_some_and(|t| t.contains("cannot be offered")));
}

/// What a user of iptux does with a device.
fn with_iptux(start: impl FnOnce(&Host) -> Result<Device, Missing>) {
    let Some(mut iptux) = or_skip(Iptux::start(&[])) else { return };
    let host = iptux.neighbour();
    let Some(device) = or_skip(start(&host)) else { return };
    let ip = device.at.ip().to_string();
    let seen = iptux.event_where("online", |event| event["ip"] == ip);
    assert_eq!(seen["name"], "device");
    iptux.tell(&format!("msg {ip} status"));
    assert_eq!(iptux.event("msg_done")["acked"], true);
    let answer =
        iptux.event_where("message", |event| event["text"].as_str().is_some_and(|t| t.contains("connections")));
    assert!(answer["text"].as_str().is_some_and(|text| text.contains("octets free")), "{answer}");
    // A file to the device.
    let outbox = tempfile::tempdir().unwrap();
    let path = outbox.path().join("设置.ini");
    let octets = content(6_000);
    fs::write(&path, &octets).unwrap();
    iptux.tell(&format!("offer {ip} {}", path.display()));
    let digest = Digest::of(&octets).to_string();
    iptux.event_where("message", |event| event["text"].as_str().is_some_and(|text| text.contains(&digest)));
    // And back, and the log.
    for (name, expected) in [("设置.ini", Some(octets)), ("log.txt", None)] {
        iptux.tell(&format!("msg {ip} get {name}"));
        let finished = iptux.event("recv_finished");
        assert!(finished["path"].as_str().is_some_and(|path| path.ends_with(name)), "{finished}");
        let received = fs::read(iptux.downloads().join(name)).unwrap();
        match expected {
            Some(expected) => assert!(received == expected, "{name}"),
            None => assert!(String::from_utf8_lossy(&received).contains("stored 设置.ini"), "{name}"),
        }
    }
}

#[test]
fn feige_and_the_simulator() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let Some(mut device) = or_skip(Device::simulated(&host, &["--ram-disk", "1M"])) else { return };
    everyday(&host, &mut device, 700_000);
    device.program.interrupt();
    assert_eq!(device.program.end(SOON).code, Some(130));
}

#[test]
fn feige_and_the_chip() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let Some(mut device) = or_skip(Device::emulated(&host, Board::Lm3s6965, &[])) else { return };
    everyday(&host, &mut device, 10_000);
}

#[test]
fn feige_and_another_chip() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let Some(mut device) = or_skip(Device::emulated(&host, Board::Mps2An385, &[])) else { return };
    everyday(&host, &mut device, 10_000);
}

#[test]
fn iptux_and_the_simulator() {
    with_iptux(|host| Device::simulated(host, &[]));
}

#[test]
fn iptux_and_the_chip() {
    with_iptux(|host| Device::emulated(host, Board::Lm3s6965, &[]));
}

#[test]
fn one_percent_lost_and_one_damaged() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let weather = ["--loss", "1", "--corrupt", "1", "--reorder", "1", "--delay", "1ms", "--seed", "1"];
    let Some(mut device) = or_skip(Device::simulated(&host, &weather)) else { return };
    everyday(&host, &mut device, 300_000);
}

#[test]
fn a_tenth_lost_and_small_files_still_arrive() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let Some(device) = or_skip(Device::simulated(&host, &["--loss", "10", "--seed", "2"])) else { return };
    let mut feige = listening(&host);
    for number in 0..5 {
        let (name, octets) = (format!("{number}.txt"), content(3_000 + number));
        fs::write(host.path(&name), &octets).unwrap();
        let ended = run(&host, LONG, ["--json", "send", &device.at.to_string(), "--file", &name]);
        assert_eq!(ended.code, Some(0), "{}", ended.said);
        let digest = Digest::of(&octets).to_string();
        feige.event_where("message", LONG, |event| event["text"].as_str().is_some_and(|text| text.contains(&digest)));
        // A person would ask again, too, if there was no answer.
        let asked = (0..3).any(|_| {
            let text = format!("get {name}");
            run(&host, LONG, ["--json", "send", &device.at.to_string(), &text]).code == Some(0)
        });
        assert!(asked, "{feige}");
        let done = feige.event_where("downloaded", LONG, |event| event["name"] == name.as_str());
        assert_eq!(done["md5"], digest);
    }
}

#[test]
fn who_finds_no_free_connection_is_refused_at_once_and_served_later() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let options = ["--buffers", "chip", "--ram-disk", "64K"];
    let Some(mut device) = or_skip(Device::simulated(&host, &options)) else { return };
    // Peers that connect and say nothing take all there is.
    let idle: Vec<TcpStream> = (0..3).map(|_| host.connect(device.at).unwrap()).collect();
    let before = Instant::now();
    let refused = host.connect(device.at).expect_err("there is no connection left");
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    assert!(before.elapsed() < Duration::from_millis(500), "{:?}", before.elapsed());
    // They do not keep it for ever.
    everyday(&host, &mut device, 20_000);
    drop(idle);
}

#[test]
fn what_is_no_request_stops_nobody() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let Some(mut device) = or_skip(Device::simulated(&host, &["--ram-disk", "64K"])) else { return };
    let socket = host.udp(2426);
    for seed in 0..2_000_usize {
        let octets = content(seed * 7 % 1_400 + 1);
        socket.send_to(&octets[seed % octets.len()..], device.at).unwrap();
        let mut datagram = b"1:7:u:h:288:".to_vec();
        datagram.extend(&octets[..seed % octets.len()]);
        socket.send_to(&datagram, device.at).unwrap();
        // The device is one process; let it take breath like everybody.
        if seed % 50 == 0 {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    for request in [&b"\0\0\0"[..], b"1:1:u:h:96:ffffffff:1:0:\0", b"GET / HTTP/1.1\r\n\r\n", &content(5_000)] {
        let Ok(mut stream) = host.connect(device.at) else { continue };
        let _ = stream.write_all(request);
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let mut answer = Vec::new();
        // The end, or a reset.
        let _ = stream.read_to_end(&mut answer);
        assert!(answer.is_empty());
    }
    everyday(&host, &mut device, 20_000);
}

#[test]
fn listed_soon_after_it_starts() {
    let Some(mut lab) = or_skip(Lab::new()) else { return };
    let host = lab.host("pc");
    let mut feige = listening(&host);
    let Some(_device) = or_skip(Device::simulated(&host, &[])) else { return };
    let before = Instant::now();
    feige.event("online");
    assert!(before.elapsed() < Duration::from_millis(1500), "{:?}", before.elapsed());
}

#[test]
fn without_rights_it_says_what_to_type() {
    let sim = feige_tests::device::feige_sim();
    // As nobody, if this is root.
    let nobody = ["--reuid=65534", "--regid=65534", "--clear-groups"];
    let output = std::process::Command::new("setpriv").args(nobody).arg(sim).args(["--tap", "feige9"]).output();
    let Some(output) = or_skip(output.map_err(|error| Missing(format!("setpriv does not run: {error}")))) else {
        return;
    };
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("ip tuntap add dev feige9") && said.contains("ip link set feige9 up"), "{said}");
}
