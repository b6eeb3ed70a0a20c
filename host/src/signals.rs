//! The signals that ask a program which stays to leave.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Those that it has to see. The end of its terminal is one: always if it fills that (`is_full`), and else unless whoever
/// started it had that ignored (`nohup`), which seeing it would undo.
pub(crate) fn to_leave(is_full: bool) -> Vec<i32> {
    let mut signals = vec![SIGINT, SIGTERM];
    if is_full || !is_ignored(SIGHUP) {
        signals.push(SIGHUP);
    }
    signals
}

/// Whether the system ignores it for us; where it does not tell, we had better change nothing.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_in(&status).is_none_or(|ignored| ignored & (1 << (signal - 1)) != 0)
}

/// The signals that are ignored, the first one in the lowest bit (proc_pid_status(5)).
fn ignored_in(status: &str) -> Option<u64> {
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_read_from_the_status() {
        let status = "Name:\tfeige\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000000440\n";
        assert_eq!(ignored_in(status), Some(0x1001));
        assert_eq!(ignored_in("Name:\tfeige\n"), None);
    }
}
