#!/usr/bin/env bash
# Message figures of the real program, each beside a bare UDP peer in the same run (needs root for the namespaces).
#
#   scripts/bench-messages.sh [ROUNDS]
#
# Two network namespaces joined by a veth pair; on one side `feige listen`, or a bare echo; on the other side `udp-load`.
# Prints round trips a second with one outstanding, their ratio, and how many datagrams a second are acknowledged.
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-5}
count=30000
[ "$(id -u)" = 0 ] || { echo "bench-messages: needs root to make network namespaces" >&2; exit 1; }
cargo build -q --release -p feige -p feige-tests --bins
bin=$(cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')/release

a=fgbm-a-$$ b=fgbm-b-$$ work=$(mktemp -d) server=
stop_server() { if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; server=; fi; }
cleanup() { stop_server; ip netns del "$a" 2>/dev/null || true; ip netns del "$b" 2>/dev/null || true; rm -rf "$work"; }
trap cleanup EXIT
ip netns add "$a"; ip netns add "$b"
ip link add veth0 netns "$a" type veth peer name veth0 netns "$b"
ip -n "$a" addr add 10.79.0.1/24 brd + dev veth0; ip -n "$b" addr add 10.79.0.2/24 brd + dev veth0
for n in "$a" "$b"; do ip -n "$n" link set lo up; ip -n "$n" link set veth0 up; done

# serve CPU COMMAND...: starts a server in namespace A, pinned to that processor.
serve() { local cpu=$1; shift; ip netns exec "$a" taskset -c "$cpu" "$@" >"$work/out" 2>"$work/err" & server=$!; sleep 0.7; }
load() { ip netns exec "$b" taskset -c "$1" "$bin/udp-load" "${@:2}"; }
listen() { serve "$1" env XDG_STATE_HOME="$work" XDG_RUNTIME_DIR="$work" "$bin/feige" --json listen --accept none --dir "$work"; }
rss() { awk '/VmRSS|VmHWM/ {printf "%s %.1f MiB  ", $1, $2/1024}' "/proc/$1/status"; echo; }

# beside CPU: a bare echo and Feige in turn, each on processor 0, the load on the processor CPU.
beside() {
  for _ in $(seq "$rounds"); do
    serve 0 "$bin/udp-load" echo 0.0.0.0:2425; bare=$(load "$1" ping 10.79.0.2:0 10.79.0.1:2425 $count); stop_server
    listen 0; feige=$(load "$1" ipmsg 10.79.0.2:2425 10.79.0.1:2425 $count); stop_server
    awk -v b="$bare" -v f="$feige" 'BEGIN { split(b, x, " "); split(f, y, " "); printf "  bare %s | feige %s | ratio %.2f\n", b, f, y[1] / x[1] }'
  done
}
echo "one outstanding, $count round trips, server and client on one processor each:"
beside 1
echo "one outstanding, both on one processor:"
beside 0
echo "flood, feige on processor 0, load on processor 1:"
listen 0
idle=$(rss "$server")
for rate in 50000 100000 150000 200000; do echo "  $rate/s: $(load 1 flood 10.79.0.2:2425 10.79.0.1:2425 $rate 4)"; done
echo "  memory idle:  $idle"; echo "  memory after: $(rss "$server")"
