# Toolchains for microcontrollers: sourced by scripts, not run.
#
# Expects `root`, the folder of the project, and `out`, a folder for what is built; sets nothing but what
# `choose_toolchain` says. The toolchain is chosen per target: the one that `rustc` names if the target was added to it
# (`rustup target add thumbv7m-none-eabi`), else Debian's (`apt install rustc-web cargo-web rust-web-src lld`), whose
# core library is built once from its sources into a sysroot of our own. That sysroot holds `core` and nothing else, so
# whatever builds against it needs no allocator.
# shellcheck shell=bash disable=SC2034

root=${root:?the script that sources this sets it}
out=${out:?the script that sources this sets it}
deb_rustc=${DEB_RUSTC:-/usr/bin/rustc}
deb_cargo=${DEB_CARGO:-/usr/bin/cargo}
me=$(basename "$0" .sh)

fail() {
    echo "$me: $*" >&2
    exit 1
}

# A linker for bare ELF: the one of rustup's toolchain, else LLVM's from the system.
find_linker() {
    local host candidate
    host=$(rustc -vV 2>/dev/null | sed -n 's/^host: //p') || host=
    candidate=$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$host/bin/rust-lld
    if [ -n "$host" ] && [ -x "$candidate" ]; then
        echo "$candidate"
        return
    fi
    for candidate in ld.lld ld.lld-22 ld.lld-19 ld.lld-14; do
        command -v "$candidate" && return
    done
    return 1
}

# Debian's core library for TARGET, built once for each version of the compiler.
debian_sysroot() {
    local target=$1 version sysroot sources work
    version=$("$deb_rustc" -vV | sed -n 's/^release: //p')
    sysroot=$out/sysroot-$version
    if ! ls "$sysroot/lib/rustlib/$target/lib"/libcore-*.rlib >/dev/null 2>&1; then
        echo "$me: building core for $target from Debian's sources, once" >&2
        sources=$("$deb_rustc" --print sysroot)/lib/rustlib/src/rust/library
        work=$(mktemp -d "$out/sysroot.XXXXXX")
        mkdir -p "$work/empty/src" "$work/home"
        printf '[package]\nname = "empty"\nversion = "0.0.0"\nedition = "2024"\n[workspace]\n' >"$work/empty/Cargo.toml"
        echo '#![no_std]' >"$work/empty/src/lib.rs"
        # The sources carry their few dependencies with them: nothing is fetched.
        printf '[source.crates-io]\nreplace-with = "debian"\n[source.debian]\ndirectory = "%s/vendor"\n' "$sources" \
            >"$work/home/config.toml"
        # Bitcode, because the image is optimised as a whole.
        (cd "$work/empty" && env -u RUSTC_WRAPPER CARGO_HOME="$work/home" RUSTC="$deb_rustc" RUSTC_BOOTSTRAP=1 \
            RUSTFLAGS=-Cembed-bitcode=yes CARGO_TARGET_DIR="$work/target" \
            "$deb_cargo" build --quiet --offline --release -Zbuild-std=core --target "$target") >&2
        mkdir -p "$work/lib" "$sysroot/lib/rustlib/$target"
        cp "$work/target/$target/release/deps"/lib{core,compiler_builtins}-*.rlib "$work/lib/"
        mv "$work/lib" "$sysroot/lib/rustlib/$target/lib"
        rm -rf "$work"
    fi
    echo "$sysroot"
}

# Sets cargo_command and the environment for TARGET.
choose_toolchain() {
    local target=$1 libdir linker sysroot upper
    upper=$(tr 'a-z.-' 'A-Z__' <<<"$target")
    linker=$(find_linker) || fail "no linker: apt install lld"
    export "CARGO_TARGET_${upper}_LINKER=$linker"
    libdir=$(rustc --print target-libdir --target "$target" 2>/dev/null) || libdir=
    if [ -n "$libdir" ] && ls "$libdir"/libcore-*.rlib >/dev/null 2>&1; then
        cargo_command=(cargo)
        export CARGO_TARGET_DIR=$out/rustup/$target
        echo "$me: $target with $(rustc -V)"
        return
    fi
    if [ ! -x "$deb_rustc" ] || [ ! -x "$deb_cargo" ] ||
        [ ! -d "$("$deb_rustc" --print sysroot)/lib/rustlib/src/rust/library/core" ]; then
        fail "no core library for $target: run 'rustup target add $target'," \
            "or on Debian 'apt install rustc-web cargo-web rust-web-src lld'"
    fi
    # The two cargos must not be mixed up: Debian's would call the `rustc` that is first in PATH, and the choice of
    # a rustup toolchain may stand in the environment.
    unset RUSTUP_TOOLCHAIN RUSTC_WRAPPER CARGO_ENCODED_RUSTFLAGS RUSTFLAGS
    export RUSTC=$deb_rustc RUSTDOC=${deb_rustc%rustc}rustdoc
    cargo_command=("$deb_cargo")
    mkdir -p "$out"
    sysroot=$(debian_sysroot "$target")
    export "CARGO_TARGET_${upper}_RUSTFLAGS=--sysroot=$sysroot"
    # Cargo does not notice another sysroot: one target directory for each. And one for each target, so that nobody waits
    # for the other.
    export CARGO_TARGET_DIR=$out/debian-${sysroot##*-}/$target
    echo "$me: $target with $("$deb_rustc" -V)"
}

# The calls in an image that lead into a panic, as `site ADDRESS CALLER -> CALLEE`; `panic_sites IMAGE [STOP]`.
panic_sites() {
    if ! command -v llvm-objdump llvm-symbolizer >/dev/null; then
        fail "cannot look for calls that panic: apt install llvm"
    fi
    llvm-objdump --disassemble --no-show-raw-insn --demangle "$1" | awk -v stop="${2:-}" -f "$root/scripts/panic-paths.awk"
}

# Shows the source lines of the sites on standard input.
explain() {
    local image=$1 address rest
    while read -r _ address rest; do
        printf '\n  panic call at %s in %s\n' "$address" "$rest"
        llvm-symbolizer --obj="$image" --inlines --demangle --functions=linkage "0x$address" |
            sed -e '/^$/d' | paste -d' ' - - | sed -e "s|$root/||" -e 's|^|      |'
    done
}
