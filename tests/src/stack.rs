//! How deep the stack of a microcontroller's image can get, read from its instructions.
//!
//! For images that run on no machine there is: the painted stack of one that runs says what was used, this says what can
//! be. A frame is what a function pushes and takes off the stack pointer; the depth is the longest way through the calls,
//! including functions whose address a function merely holds.
//!
//! **Time**: some tenths of a second for 30 KB of code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use crate::Missing;

/// A function: its octets on the stack and where it can go.
#[derive(Debug, Default)]
struct Function {
    name: String,
    frame: u64,
    calls: BTreeSet<u64>,
}

/// The most octets of stack from `main` on.
///
/// Calls through tables of methods are not seen: `tables` names them as pairs, a part of the caller's name and a part of the
/// names of everything that it may call so.
///
/// # Errors
/// [`Missing`] without `llvm-objdump`.
///
/// # Panics
/// If functions call each other in a circle, or a frame has no fixed size.
pub fn depth(image: &Path, tables: &[(&str, &str)]) -> Result<u64, Missing> {
    let mut command = Command::new("llvm-objdump");
    let Ok(output) = command.args(["--disassemble", "--no-show-raw-insn"]).arg(image).output() else {
        return Err(Missing("no llvm-objdump: apt install llvm".to_owned()));
    };
    let mut functions = functions(&String::from_utf8_lossy(&output.stdout));
    let named: Vec<(u64, String)> = functions.iter().map(|(at, function)| (*at, function.name.clone())).collect();
    for function in functions.values_mut() {
        for (caller, called) in tables {
            if function.name.contains(caller) {
                function.calls.extend(named.iter().filter(|(_, name)| name.contains(called)).map(|(at, _)| *at));
            }
        }
    }
    let main = functions.iter().find(|(_, function)| function.name == "main").map(|(at, _)| *at);
    Ok(deepest(main.expect("cortex-m-rt calls it"), &functions, &mut Vec::new(), &mut BTreeMap::new()))
}

fn functions(listing: &str) -> BTreeMap<u64, Function> {
    let mut functions: BTreeMap<u64, Function> = BTreeMap::new();
    let mut at = 0;
    for line in listing.lines() {
        if let Some((start, name)) = line.strip_suffix(">:").and_then(|line| line.split_once(" <")) {
            // Those with a dollar sign divide code from data within a function.
            if !name.starts_with('$') {
                at = u64::from_str_radix(start, 16).unwrap();
                functions.insert(at, Function { name: name.to_owned(), ..Function::default() });
            }
            continue;
        }
        let Some((_, instruction)) = line.split_once(':') else { continue };
        let Some(function) = functions.get_mut(&at) else { continue };
        let (operation, operands) = instruction.trim().split_once('\t').unwrap_or((instruction.trim(), ""));
        function.frame += taken(operation, operands);
        let address = operands.split(['\t', ' ', ',']).find_map(|word| word.strip_prefix("0x"));
        let Some(address) = address.and_then(|address| u64::from_str_radix(address, 16).ok()) else { continue };
        let holds = operands.starts_with(".word");
        // Thumb: the lowest bit of an address that is held is 1.
        let target = if holds { address & !1 } else { address };
        if target != at && (holds || operation.starts_with('b')) {
            function.calls.insert(target);
        }
    }
    // The others are places within a function, or data.
    let starts: BTreeSet<u64> = functions.keys().copied().collect();
    functions.values_mut().for_each(|function| function.calls.retain(|at| starts.contains(at)));
    functions
}

/// What an instruction takes of the stack.
fn taken(operation: &str, operands: &str) -> u64 {
    let number = |text: &str| text.trim_end_matches([']', '!']).parse::<u64>().unwrap();
    if operation.starts_with("push") || operation.starts_with("stm") && operands.starts_with("sp!") {
        return 4 * operands.split(',').filter(|register| !register.contains('!')).count() as u64;
    }
    if operation.starts_with("str") {
        return operands.split_once("[sp, #-").map_or(0, |(_, octets)| number(octets));
    }
    if !operation.starts_with("sub") || !operands.starts_with("sp,") {
        return 0;
    }
    let (_, octets) = operands.split_once('#').unwrap_or_else(|| panic!("a frame of no fixed size: {operands}"));
    number(octets)
}

fn deepest(at: u64, functions: &BTreeMap<u64, Function>, above: &mut Vec<u64>, known: &mut BTreeMap<u64, u64>) -> u64 {
    if let Some(depth) = known.get(&at) {
        return *depth;
    }
    let function = &functions[&at];
    assert!(!above.contains(&at), "{} calls itself", function.name);
    above.push(at);
    let below = function.calls.iter().map(|&called| deepest(called, functions, above, known)).max();
    above.pop();
    let depth = function.frame + below.unwrap_or(0);
    known.insert(at, depth);
    depth
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `main` takes 8 + 16, `one` 4 + 256, and calls `two` with 8; `held` with 1024 is called by an address that is held.
    const LISTING: &str = "
00000100 <main>:
     100:\tpush\t{r7, lr}
     102:\tsub\tsp, #16
     104:\tbl\t0x200 <one> @ imm = #252
     108:\tb\t0x104 <main+0x4> @ imm = #-8

00000200 <one>:
     200:\tstr\tr11, [sp, #-4]!
     204:\tsub.w\tsp, sp, #256
     208:\tbl\t0x300 <two> @ imm = #252

00000210 <$d>:
     210:\t01 04 00 00\t.word\t0x00000401

00000300 <two>:
     300:\tpush.w\t{r8, r9}

00000400 <held>:
     400:\tsub.w\tsp, sp, #1024
";

    #[test]
    fn the_longest_way_counts() {
        let functions = functions(LISTING);
        assert_eq!(deepest(0x100, &functions, &mut Vec::new(), &mut BTreeMap::new()), 24 + 260 + 1024);
    }
}
