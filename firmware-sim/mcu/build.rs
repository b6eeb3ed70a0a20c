//! Puts the memory map of the board where the linker finds it.

use std::path::PathBuf;
use std::{env, fs};

/// LM3S6965. The last KiB of the flash holds the settings.
const LM3S6965: &str = "
MEMORY
{
    FLASH (rx) : ORIGIN = 0x00000000, LENGTH = 255K
    RAM (rwx)  : ORIGIN = 0x20000000, LENGTH = 64K
}
_settings = 0x0003fc00;
";

/// MPS2 with AN385: 128 KiB of the 4 MiB of RAM that it has, because this image serves the verified transfer, too.
const MPS2_AN385: &str = "
MEMORY
{
    FLASH (rx) : ORIGIN = 0x00000000, LENGTH = 255K
    RAM (rwx)  : ORIGIN = 0x20000000, LENGTH = 128K
}
_settings = 0x0003fc00;
";

fn main() {
    let board = if env::var_os("CARGO_FEATURE_MPS2_AN385").is_some() { MPS2_AN385 } else { LM3S6965 };
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    fs::write(out.join("memory.x"), board).expect("a target folder that can be written to");
    // The linker script of cortex-m-rt wants the names of the board's interrupts here: nothing handles any.
    fs::write(out.join("device.x"), "").expect("a target folder that can be written to");
    println!("cargo::rustc-link-search={}", out.display());
    println!("cargo::rerun-if-changed=build.rs");
}
