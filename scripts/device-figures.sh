#!/usr/bin/env bash
# Measures what the device takes on a microcontroller and writes the table in docs/porting.md anew.
#
#   scripts/device-figures.sh          measures and writes
#   scripts/device-figures.sh --print  measures and prints
#
# The same measurements are a test (`cargo test -p feige-tests --test device_chip figures`), which fails where a figure has
# grown by more than a twentieth over what the table says, or over its limit. Needs what scripts/mcu.sh needs, binutils,
# and QEMU.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
document=$root/docs/porting.md
rows=$(cd "$root" && FEIGE_REQUIRE_ALL=1 FEIGE_FIGURES=print cargo test --quiet -p feige-tests --test device_chip figures \
    -- --nocapture | grep -o '| .* |$')
if [ "${1:-}" = --print ]; then
    echo "$rows"
    exit
fi
awk -v rows="$rows" '
    BEGIN { count = split(rows, row, "\n"); for (i = 1; i <= count; i++) { split(row[i], cell, " [|] "); new[cell[1]] = row[i] } }
    { split($0, cell, " [|] ") }
    cell[1] in new { print new[cell[1]]; next }
    { print }' "$document" >"$document.new"
mv "$document.new" "$document"
