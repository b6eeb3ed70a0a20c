//! The device, beside a host of a lab: in the simulator, or as the image for a microcontroller in QEMU.
//!
//! The host gets a bridge with its own network and a TAP interface on it; the device is behind that. So whatever else is
//! in the lab sees the device as it would see one that is plugged into the same switch.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Write as _;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tempfile::{NamedTempFile, TempDir};

use crate::Missing;
use crate::lab::Host;
use crate::program::{Program, SOON};

/// The TAP interface that the device is behind.
const TAP: &str = "tap0";

/// A device that runs. Dropping it pulls its plug.
#[derive(Debug)]
pub struct Device {
    /// The simulator, or QEMU.
    pub program: Program,
    /// Where it is.
    pub at: SocketAddrV4,
    /// The settings of a microcontroller, while it runs.
    _settings: Option<NamedTempFile>,
}

/// Microcontroller boards that QEMU has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Board {
    /// A Cortex-M3 with 64 KiB of RAM and the Ethernet controller of its maker.
    Lm3s6965,
    /// Another Cortex-M3, with a LAN9118.
    Mps2An385,
}

impl Board {
    const fn name(self) -> &'static str {
        match self {
            Self::Lm3s6965 => "lm3s6965",
            Self::Mps2An385 => "mps2-an385",
        }
    }
}

impl Device {
    /// Starts `feige-sim` beside a host, with its address and further options.
    ///
    /// # Errors
    /// [`Missing`] if there is no TAP interface to be had.
    pub fn simulated(beside: &Host, options: &[&str]) -> Result<Self, Missing> {
        let address = wire(beside)?;
        let cidr = format!("{address}/24");
        let mut command = beside.command(feige_sim());
        command.args(["--json", "--tap", TAP, "--ip", &cidr]).args(options).current_dir(beside.home());
        let mut program = Program::spawn(command);
        program.event("ready");
        Ok(Self { program, at: SocketAddrV4::new(address, 2425), _settings: None })
    }

    /// Starts the image for a board in QEMU beside a host, with further options for QEMU.
    ///
    /// # Errors
    /// [`Missing`] if there is no TAP interface, no QEMU or no toolchain for the chip.
    ///
    /// # Panics
    /// If the image does not build although there is a toolchain.
    pub fn emulated(beside: &Host, board: Board, options: &[&str]) -> Result<Self, Missing> {
        let image = image(board)?;
        let address = wire(beside)?;
        let settings = tempfile::Builder::new().suffix(".bin").tempfile().expect("a temporary file");
        std::fs::write(settings.path(), page(address)).expect("a temporary file");
        let mut command = beside.command(script());
        command.arg("qemu").arg(image).arg("-device");
        command.arg(format!("loader,file={},addr=0x3fc00,force-raw=on", settings.path().display()));
        command.args(options).env("MCU_TAP", TAP);
        Ok(Self { program: Program::spawn(command), at: SocketAddrV4::new(address, 2425), _settings: Some(settings) })
    }
}

/// The image for a board in QEMU, at the other end of a wire that is a pair of sockets: needs no rights at all.
///
/// A datagram is a frame.
#[derive(Debug)]
pub struct Wired {
    /// QEMU. Dropping it pulls the plug.
    pub program: Program,
    /// Our end of the wire.
    pub wire: UnixDatagram,
    folder: TempDir,
}

impl Wired {
    /// Starts the image at 10.0.0.77, with further options for QEMU.
    ///
    /// # Errors
    /// [`Missing`] if there is no QEMU or no toolchain for the chip.
    ///
    /// # Panics
    /// If the image does not build although there is a toolchain.
    pub fn start(board: Board, options: &[&str]) -> Result<Self, Missing> {
        let image = image(board)?;
        let folder = tempfile::tempdir().expect("a temporary folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let wire = UnixDatagram::bind(path("here")).expect("a socket");
        wire.set_nonblocking(true).expect("a socket");
        std::fs::write(path("settings"), page(Ipv4Addr::new(10, 0, 0, 77))).expect("a temporary file");
        let mut command = Command::new(script());
        command.arg("qemu").arg(image).args(options);
        command.args(["-device", &format!("loader,file={},addr=0x3fc00,force-raw=on", path("settings"))]);
        command.args(monitor(folder.path()));
        let ends =
            format!("local.type=unix,local.path={},remote.type=unix,remote.path={}", path("there"), path("here"));
        let model = if board == Board::Lm3s6965 { "stellaris" } else { "lan9118" };
        command.args(["-nic", "none", "-net", &format!("nic,model={model},netdev=wire")]);
        command.args(["-netdev", &format!("dgram,id=wire,{ends}")]);
        let wired = Self { program: Program::spawn(command), wire, folder };
        let end = Instant::now() + SOON;
        while wired.wire.connect(wired.folder.path().join("there")).is_err() {
            assert!(Instant::now() < end, "QEMU does not begin: {}", wired.program);
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(wired)
    }

    /// Octets of the chip's memory, as they are now.
    ///
    /// # Panics
    /// If QEMU does not give them.
    #[must_use]
    pub fn memory(&self, address: u32, len: usize) -> Vec<u8> {
        memory(self.folder.path(), address, len)
    }
}

/// Octets of a chip's memory, as they are now, from the QEMU whose monitor is the socket `monitor` in a folder.
///
/// # Panics
/// If QEMU does not give them.
#[must_use]
pub fn memory(folder: &Path, address: u32, len: usize) -> Vec<u8> {
    let file = folder.join("memory");
    let mut monitor = UnixStream::connect(folder.join("monitor")).expect("a monitor");
    writeln!(monitor, "pmemsave {address:#x} {len} \"{}\"", file.display()).expect("a monitor that reads");
    let end = Instant::now() + SOON;
    loop {
        match std::fs::read(&file) {
            Ok(octets) if octets.len() == len => {
                std::fs::remove_file(&file).expect("a file of ours");
                return octets;
            }
            _ => assert!(Instant::now() < end, "QEMU gives no memory"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// QEMU's options for a monitor that [`memory`] asks.
#[must_use]
pub fn monitor(folder: &Path) -> [String; 2] {
    ["-monitor".to_owned(), format!("unix:{},server=on,wait=off", folder.join("monitor").display())]
}

/// Symbols of an image: address and size.
///
/// # Panics
/// Without `nm`.
#[must_use]
pub fn symbols(image: &Path) -> BTreeMap<String, (u32, u32)> {
    let output = Command::new("nm").args(["-S", "--defined-only"]).arg(image).output().expect("nm (package binutils)");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let number = |digits: &str| u32::from_str_radix(digits, 16).unwrap_or(0);
    let parse = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        match fields[..] {
            [address, size, _, name] => Some((name.to_owned(), (number(address), number(size)))),
            [address, _, name] => Some((name.to_owned(), (number(address), 0))),
            _ => None,
        }
    };
    text.lines().filter_map(parse).collect()
}

/// How much of its stack an image has used, in octets: what is not as it was painted.
///
/// # Panics
/// If the image has no stack.
#[must_use]
pub fn stack_used(symbols: &BTreeMap<String, (u32, u32)>, memory: impl Fn(u32, usize) -> Vec<u8>) -> u64 {
    let (bottom, top) = (symbols["_stack_end"].0, symbols["_stack_start"].0);
    let stack = memory(bottom, (top - bottom) as usize);
    let untouched = stack.chunks(4).take_while(|word| **word == [0xcc; 4]).count() * 4;
    (stack.len() - untouched) as u64
}

/// How much RAM an image uses, in octets: statics without the RAM disk, which is the application's, and [`stack_used`].
///
/// # Panics
/// If the image has no RAM disk, or no stack.
#[must_use]
pub fn ram_used(image: &Path, memory: impl Fn(u32, usize) -> Vec<u8>) -> u64 {
    let symbols = symbols(image);
    let disk = symbols.iter().find(|(name, _)| name.contains("4DISK")).expect("the RAM disk").1.1;
    // What is below the stack are the statics.
    let statics = u64::from(symbols["_stack_end"].0 - 0x2000_0000 - disk);
    let stack = stack_used(&symbols, memory);
    let ram = statics + stack;
    println!("RAM: {statics} octets of statics, {stack} of stack, {ram} altogether");
    ram
}

/// The settings of a device of this address: see `firmware-sim/mcu/src/settings.rs`.
fn page(address: Ipv4Addr) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut name = [0; 32];
    name[..6].copy_from_slice(b"device");
    let mut page = b"FGE1\x02\x00".to_vec();
    page.extend(address.octets());
    page.extend(address.octets());
    page.extend([24, 6]);
    page.extend(name);
    page.extend(u32::try_from(now.as_secs()).expect("before 2106").to_le_bytes());
    page.extend(u64::try_from(now.as_nanos()).expect("before 2554").to_le_bytes());
    page
}

/// Puts a TAP interface on the network of a host, and returns an address there that is free: 57 above the host's.
fn wire(host: &Host) -> Result<Ipv4Addr, Missing> {
    if !Path::new("/dev/net/tun").exists() {
        return Err(Missing("there is no /dev/net/tun, so no TAP interface".to_owned()));
    }
    let own = format!("{}/24", host.ip());
    let lines = [
        format!("tuntap add dev {TAP} mode tap"),
        "link add br1 type bridge forward_delay 0 stp_state 0".to_owned(),
        format!("link set {TAP} master br1 up"),
        "link set eth0 master br1".to_owned(),
        format!("addr del {own} dev eth0"),
        "link set br1 up".to_owned(),
        format!("addr add {own} brd + dev br1"),
        "route replace 255.255.255.255/32 dev br1".to_owned(),
    ];
    for line in lines {
        let output = host.command("ip").args(line.split(' ')).output().expect("ip runs");
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            return Err(Missing(format!("no TAP interface: `ip {line}`: {}", said.trim())));
        }
    }
    let [a, b, c, d] = host.ip().octets();
    Ok(Ipv4Addr::new(a, b, c, d + 57))
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn script() -> PathBuf {
    root().join("scripts/mcu.sh")
}

/// The simulator, built as the tests are. `FEIGE_SIM_BIN` names another one.
///
/// # Panics
/// If it does not build.
pub fn feige_sim() -> &'static Path {
    static PATH: OnceLock<PathBuf> = OnceLock::new();
    PATH.get_or_init(|| {
        if let Some(path) = std::env::var_os("FEIGE_SIM_BIN") {
            return path.into();
        }
        let test = std::env::current_exe().expect("where the test is");
        let folder = test.ancestors().nth(2).expect("in a target folder");
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut build = Command::new(cargo);
        build.args(["build", "--quiet", "--package", "feige-sim", "--bin", "feige-sim"]);
        build.arg("--target-dir").arg(folder.parent().expect("in a target folder"));
        if folder.ends_with("release") {
            build.arg("--release");
        }
        let status = build.arg("--manifest-path").arg(root().join("Cargo.toml")).status().expect("cargo runs");
        assert!(status.success(), "`cargo build --package feige-sim` failed");
        folder.join("feige-sim")
    })
}

/// The image for a board. `FEIGE_MCU_LM3S6965` and `FEIGE_MCU_MPS2_AN385` name others.
///
/// # Errors
/// [`Missing`] if there is no QEMU or no toolchain.
///
/// # Panics
/// If it does not build although there is a toolchain.
pub fn image(board: Board) -> Result<PathBuf, Missing> {
    if !runs("qemu-system-arm") {
        return Err(Missing("QEMU is not installed (Debian: qemu-system-arm)".to_owned()));
    }
    let variable = format!("FEIGE_MCU_{}", board.name().replace('-', "_").to_uppercase());
    if let Some(path) = std::env::var_os(variable) {
        return Ok(path.into());
    }
    built(&["build", board.name()])
}

/// The image with the core alone.
///
/// # Errors
/// [`Missing`] if there is no toolchain.
///
/// # Panics
/// If it does not build although there is a toolchain.
pub fn core_image() -> Result<PathBuf, Missing> {
    built(&["core"])
}

/// What `scripts/mcu.sh` builds.
fn built(arguments: &[&str]) -> Result<PathBuf, Missing> {
    static BUILDING: Mutex<()> = Mutex::new(());
    let _turn = BUILDING.lock().unwrap_or_else(PoisonError::into_inner);
    let output = Command::new(script()).args(arguments).stdin(Stdio::null()).output().expect("bash runs");
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        let missing = said.contains("no core library for") || said.contains("no linker");
        assert!(missing, "`scripts/mcu.sh {}` fails: {said}", arguments.join(" "));
        return Err(Missing(said.trim().to_owned()));
    }
    let path = String::from_utf8_lossy(&output.stdout);
    Ok(path.lines().last().unwrap_or_default().into())
}

fn runs(program: impl AsRef<OsStr>) -> bool {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
