#!/usr/bin/env bash
# Measures one file between Feige and a real iptux, in all four directions, in network namespaces (needs root).
#
#   scripts/bench-iptux.sh [RUNS]             default 3; the directions take turns, the medians are printed
#   SIZE=256 scripts/bench-iptux.sh           size of the file in MiB, default 1024
#   FEIGE_PEERS=DIR scripts/bench-iptux.sh    where iptux.sh and lab.sh are, default ../shared/peers
#
# Timed from the command that offers the file until the receiver says that it has it; CPU seconds are those of both
# programs, memory is the peak of the receiving one. Sources and targets are in memory (/dev/shm).
set -euo pipefail
cd "$(dirname "$0")/.."

runs=${1:-3}
size=${SIZE:-1024}
peers=$(realpath "${FEIGE_PEERS:-../shared/peers}")
[ "$(id -u)" = 0 ] || { echo "bench-iptux: needs root for its network namespaces; nothing was measured" >&2; exit 2; }
[ -x "$peers/iptux.sh" ] || { echo "bench-iptux: no iptux.sh in $peers; set FEIGE_PEERS" >&2; exit 2; }

cargo build --quiet --release -p feige --bins
feige=$(realpath "${CARGO_TARGET_DIR:-target}")/release/feige
work=$(mktemp -d /dev/shm/feige-iptux.XXXXXX)
export LAB=$work/lab
jobs_started=()
cleanup() {
    set +e
    for job in "${jobs_started[@]}"; do kill "$job" 2>/dev/null; done
    "$peers/iptux.sh" stop
    INST=iptux2 "$peers/iptux.sh" stop
    wait 2>/dev/null
    "$peers/lab.sh" down
    rm -rf "$work"
}
trap cleanup EXIT

mkdir -p "$LAB" "$work/state" "$work/in"
head -c "${size}M" /dev/urandom >"$work/file"
"$peers/iptux.sh" start >/dev/null
INST=iptux2 IP=10.78.0.21 "$peers/iptux.sh" start >/dev/null
for name in me you; do "$peers/lab.sh" ns "$name" "10.78.0.$([ $name = me ] && echo 2 || echo 3)"; done

# as NAME COMMAND...: runs Feige in that namespace, with a state of its own.
as() {
    local name=$1
    shift
    exec ip netns exec "fg-$name" env XDG_STATE_HOME="$work/state/$name" XDG_RUNTIME_DIR="$work/state/$name" \
        "$feige" --json --user "$name" --hostname "$name-host" "$@"
}
mkdir -p "$work/state/me" "$work/state/you"
(as me listen --accept all --dir "$work/in") >"$work/me.out" 2>/dev/null &
me=$!
jobs_started+=("$me")
(as you listen --accept none) >"$work/you.out" 2>/dev/null &
you=$!
jobs_started+=("$you")
sleep 1
"$peers/iptux.sh" cmd announce
INST=iptux2 "$peers/iptux.sh" cmd announce
sleep 3

iptux() { pgrep -f "^$LAB/bin/iptux-cli .*--dl $LAB/dl/$1( |\$)" | head -n 1; }
one=$(iptux iptux) two=$(iptux iptux2)

cpu() { awk '{ sum += $14 + $15 } END { printf "%.2f", sum / 100 }' "/proc/$1/stat" "/proc/$2/stat"; }
peak() { awk '/VmHWM/ { printf "%.1f", $2 / 1024 }' "/proc/$1/status"; }
# until FILE PATTERN COUNT: waits until so many lines of the file match.
until_seen() {
    local deadline=$((SECONDS + 60))
    until [ "$(grep -c "$2" "$1" || true)" -ge "$3" ]; do
        [ $SECONDS -lt $deadline ] || { echo "bench-iptux: no $2 in $1" >&2; return 1; }
        sleep 0.01
    done
}

# measure NAME SENDER RECEIVER LOG PATTERN TARGET COMMAND...
measure() {
    local name=$1 sender=$2 receiver=$3 log=$4 pattern=$5 target=$6 count before begin
    shift 6
    rm -rf "${target:?}"/*
    count=$(grep -c "$pattern" "$log" || true)
    before=$(cpu "$sender" "$receiver")
    begin=$(date +%s.%N)
    "$@" >/dev/null
    until_seen "$log" "$pattern" $((count + 1))
    awk -v name="$name" -v size="$size" -v begin="$begin" -v end="$(date +%s.%N)" -v before="$before" \
        -v after="$(cpu "$sender" "$receiver")" -v peak="$(peak "$receiver")" 'BEGIN {
            printf "%s %.3f %.0f %.2f %s\n", name, end - begin, size * 1.048576 / (end - begin), (after - before) * 1024 / size, peak
        }' >>"$work/figures"
    cmp -s "$work/file" "$target/file" || { echo "bench-iptux: $name: the file that arrived differs" >&2; return 1; }
}
delegate() { (as you send "$1" --file "$work/file" --wait 60s); }

for _ in $(seq "$runs"); do
    measure 'feige->feige' "$you" "$me" "$work/me.out" '"downloaded"' "$work/in" delegate 10.78.0.2
    measure 'feige->iptux' "$you" "$one" "$LAB/run/iptux.out" recv_finished "$LAB/dl/iptux" delegate 10.78.0.11
    measure 'iptux->feige' "$one" "$me" "$work/me.out" '"downloaded"' "$work/in" "$peers/iptux.sh" cmd "offer 10.78.0.2 $work/file"
    measure 'iptux->iptux' "$one" "$two" "$LAB/run/iptux2.out" recv_finished "$LAB/dl/iptux2" "$peers/iptux.sh" cmd "offer 10.78.0.21 $work/file"
done

echo "direction        seconds      MB/s  CPU s/GiB  peak MiB"
for name in 'feige->feige' 'feige->iptux' 'iptux->feige' 'iptux->iptux'; do
    grep "^$name " "$work/figures" | sort -k2,2n | awk '{ line[NR] = $0 } END { split(line[int((NR + 1) / 2)], f, " ")
        printf "%-15s %8.3f  %8d  %9.2f  %8s\n", f[1], f[2], f[3], f[4], f[5] }'
done
awk '$1 == "feige->feige" { a[++n] = $2 } $1 == "iptux->iptux" { b[++m] = $2 } END {
    asort_(a, n); asort_(b, m); printf "\nfeige to feige: %.2f times the rate of iptux to iptux (goal: at least 2)\n", b[int((m + 1) / 2)] / a[int((n + 1) / 2)] }
    function asort_(x, n,  i, j, t) { for (i = 2; i <= n; i++) for (j = i; j > 1 && x[j] < x[j - 1]; j--) { t = x[j]; x[j] = x[j - 1]; x[j - 1] = t } }' "$work/figures"
