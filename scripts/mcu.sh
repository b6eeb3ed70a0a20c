#!/usr/bin/env bash
# Builds the device for a microcontroller and runs it in QEMU.
#
#   scripts/mcu.sh build [BOARD]       builds the image with whatever toolchain is there, prints where it is
#   scripts/mcu.sh run [BOARD]         builds it and runs it on the TAP interface $MCU_TAP (tap0)
#   scripts/mcu.sh core                builds the example with the core alone, for size; prints where it is
#   scripts/mcu.sh qemu IMAGE [ARG...] runs an image; ARGs are handed to QEMU, `-nic …` instead of the TAP interface
#   scripts/mcu.sh proof [BOARD]       shows that whatever could panic in the image belongs to the TCP/IP stack,
#                                      nothing to the core or to the agent (needs llvm)
#
# BOARD is lm3s6965 (the default) or mps2-an385. QEMU is Debian's package qemu-system-arm. On the TAP interface, the device
# is 10.77.0.2/24 and this machine should be 10.77.0.1: `cargo run` in firmware-sim/mcu says what to type.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${CARGO_TARGET_DIR:-$root/target}/bare-metal
target=thumbv7m-none-eabi
# `choose_toolchain` sets it.
cargo_command=()
. "$root/scripts/lib/toolchain.sh"

# Sets `image`. Each board has a folder of its own, so that building one does not undo the other. What comes after the
# features is for the compiler.
build() {
    local features=$1
    shift
    choose_toolchain "$target" >&2
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/${features/,/-}
    image=$CARGO_TARGET_DIR/$target/release/feige-mcu
    (cd "$root/firmware-sim/mcu" && "${cargo_command[@]}" rustc --bin feige-mcu --quiet --release --locked \
        --no-default-features --features "$features" -- "$@" >&2)
}

# Sets `image`: the core without the agent and without a TCP/IP stack, as small as it gets.
build_core() {
    choose_toolchain "$target" >&2
    CARGO_TARGET_DIR=$CARGO_TARGET_DIR/core
    image=$CARGO_TARGET_DIR/$target/release/examples/core
    (cd "$root/firmware-sim/mcu" && CARGO_PROFILE_RELEASE_OPT_LEVEL=z "${cargo_command[@]}" build --quiet --release \
        --locked --example core >&2)
}

# Each image tells peers the name of its board; where it lies says nothing (`cargo run --features mps2-an385`).
machine_of() {
    if grep -q mps2-an385 "$1"; then echo "mps2-an385 lan9118"; else echo "lm3s6965evb stellaris"; fi
}

qemu() {
    local image=$1 tap=${MCU_TAP:-tap0} machine model nic
    shift
    read -r machine model <<<"$(machine_of "$image")"
    command -v qemu-system-arm >/dev/null || fail "QEMU is missing: apt install qemu-system-arm"
    nic=()
    case " $* " in
        *" -nic "* | *" -net "*) ;;
        *)
            if [ ! -e "/sys/class/net/$tap" ]; then
                fail "there is no TAP interface $tap. As root, type:
    ip tuntap add dev $tap mode tap user ${SUDO_USER:-$(id -un)}
    ip addr add 10.77.0.1/24 brd + dev $tap
    ip link set $tap up"
            fi
            nic=(-nic "tap,ifname=$tap,script=no,downscript=no,model=$model")
            echo "mcu: the device is 10.77.0.2 on $tap; Ctrl-A X ends it" >&2
            ;;
    esac
    # A device that panics resets itself: better seen than hidden.
    exec qemu-system-arm -machine "$machine" -nographic -no-reboot -kernel "$image" "${nic[@]}" "$@"
}

# Two searches. Whatever panics says where, so the image holds the names of those source files: there must be none of ours.
# And every call into a panic is looked up; its innermost line that is not Rust's own library must be the stack's. (Calls
# that the compiler has merged have no line; they come from files that the first search has seen.)
proof() {
    local image=$1 files sites ours
    llvm-objcopy -O binary "$image" "$out/flash.bin"
    files=$(strings -n 8 "$out/flash.bin" | grep -oE '[-a-z0-9_./]+/src/[a-z0-9_/]+\.rs' | sort -u) || true
    grep -q smoltcp <<<"$files" || fail "no panic was found at all, not even the stack's: the search does not work"
    if ours=$(grep -E "(^|/)(core|firmware-sim|mcu)/src/" <<<"$files" | grep -v /library/core/); then
        printf 'mcu: a panic is reachable in\n%s\n' "$ours" >&2
        exit 1
    fi
    sites=$(panic_sites "$image" '^<*(smoltcp|managed)' | explain "$image")
    ours=$(awk '
        function judge() { if (site != "" && culprit !~ /(smoltcp|managed|heapless|byteorder)-[0-9.]+\/|:0:[0-9]+$/) print site "\n" culprit }
        /panic call at/ { judge(); site = $0; culprit = ""; next }
        NF && culprit == "" && !/\/rustlib\/src\/|\/library\/|rustc\// { culprit = $0 }
        END { judge() }' <<<"$sites")
    if [ -n "$ours" ]; then
        printf 'mcu: a panic is reachable in\n%s\n' "$ours" >&2
        exit 1
    fi
    echo "mcu: $(grep -c 'panic call at' <<<"$sites") calls could panic, all of them in the TCP/IP stack;" \
        "none in the core, the agent, its store or the drivers"
}

board=${2:-lm3s6965}
case "${1:-}" in
    build) build "$board" && echo "$image" ;;
    core) build_core && echo "$image" ;;
    run) build "$board" && qemu "$image" ;;
    qemu) shift && qemu "$@" ;;
    # Without what instructions that stand in several places are gathered in: nobody could say whose a call there is.
    proof) build "$board,locate" -Cllvm-args=-enable-machine-outliner=never && proof "$image" ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0" ;;
esac
