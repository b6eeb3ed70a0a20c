#!/usr/bin/env bash
# Builds the core for microcontrollers and proves that it cannot panic there.
#
#   scripts/bare-metal.sh [build|proof] [TARGET...]
#
#   build   compiles feige-core for each target, with and without its features
#   proof   links core/proof for each target: the link fails if a panic is reachable, and then the functions
#           that lead to one are listed (needs llvm-objdump and llvm-symbolizer); prints what the image takes
#   (none)  both
#
# Targets: thumbv7m-none-eabi and thumbv6m-none-eabi unless named.
#
# `scripts/lib/toolchain.sh` says which toolchain is used; nothing that is built here needs an allocator.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
out=${CARGO_TARGET_DIR:-$root/target}/bare-metal

what=all
case "${1:-}" in
    build | proof) what=$1; shift ;;
    -h | --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
esac
targets=("$@")
[ ${#targets[@]} -gt 0 ] || targets=(thumbv7m-none-eabi thumbv6m-none-eabi)

# `choose_toolchain` sets it.
cargo_command=()
. "$root/scripts/lib/toolchain.sh"

build() {
    local target=$1
    (
        choose_toolchain "$target"
        cd "$root"
        "${cargo_command[@]}" build --quiet --release -p feige-core --target "$target"
        "${cargo_command[@]}" build --quiet --release -p feige-core --all-features --target "$target"
        echo "bare-metal: feige-core builds for $target"
    )
}

# Links the image although it may panic: the missing function gets an address. The code is the same.
link_all_the_same() {
    "${cargo_command[@]}" rustc --quiet --release --locked --target "$target" "$@" -- \
        -Clink-arg=--defsym=feige_core_must_not_panic=feige_panic_stand_in
}

proof() {
    local target=$1 image log sites
    (
        choose_toolchain "$target"
        cd "$root/core/proof"
        image=$CARGO_TARGET_DIR/$target/release/feige-proof
        log=$out/proof-$target.log
        rm -f "$image"
        if ! "${cargo_command[@]}" build --quiet --release --locked --target "$target" 2>"$log"; then
            if ! grep -q 'undefined symbol: feige_core_must_not_panic' "$log"; then
                cat "$log" >&2
                exit 1
            fi
            link_all_the_same
            echo "bare-metal: a panic is reachable on $target:" >&2
            panic_sites "$image" | explain "$image" >&2
            rm -f "$image"
            exit 1
        fi
        # Berkeley's text is what lies in flash without the initial values of .data.
        size "$image" | awk -v target="$target" 'NR == 2 {
            printf "bare-metal: no panic is reachable on %s; flash %d octets, RAM %d octets\n", target, $1 + $2, $2 + $3 }'

        # The compiler puts a panic into every future, for a caller that polls it after its end.
        link_all_the_same --features async
        sites=$(panic_sites "$image")
        [ -n "$sites" ] || fail "the search finds no panic at all, not even the compiler's: it does not work"
        sites=$(grep -v 'panic_const::panic_const_async_fn_resumed$' <<<"$sites" || true)
        if [ -n "$sites" ]; then
            echo "bare-metal: with the asynchronous driver, a panic is reachable on $target:" >&2
            explain "$image" <<<"$sites" >&2
            exit 1
        fi
        echo "bare-metal: nor with the asynchronous driver, but for polling a future that has ended"
    )
}

for target in "${targets[@]}"; do
    [ "$what" = proof ] || build "$target"
    [ "$what" = build ] || proof "$target"
done
