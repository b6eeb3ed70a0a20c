#!/bin/bash
# Moves files to and from `feige serve` for some minutes while server and clients are killed, connections are cut and
# garbage comes in; then lets everything come to its end and looks: every file equal, no part left.
#
#   scripts/soak-transfer.sh [SECONDS]         default 600
#   SEED=7 scripts/soak-transfer.sh            the same kills again, as far as the machine's pace allows
#   FEIGE_BIN=PATH scripts/soak-transfer.sh    another program than the one built here
#
# Only on loopback; ends by itself and cleans up. Needs python3 for the garbage.
set -euo pipefail
cd "$(dirname "$0")/.."

seconds=${1:-600}
RANDOM=${SEED:-$$}
[ -n "${FEIGE_BIN:-}" ] || cargo build --quiet --release -p feige --bin feige
feige=${FEIGE_BIN:-$(realpath "${CARGO_TARGET_DIR:-target}")/release/feige}
work=$(mktemp -d "${TMPDIR:-/tmp}/feige-soak.XXXXXX")
port=$((20000 + $$ % 10000))
url=feige://127.0.0.1:$port
export HOME=$work
unset "${!FEIGE_@}"

cleanup() {
    for pid in "${serving:-}" "${moving:-}"; do [ -z "$pid" ] || kill -9 "$pid" 2>/dev/null || true; done
    rm -rf "$work"
}
trap cleanup EXIT

fail() {
    echo "soak: $*" >&2
    tail -n 20 "$work/serve.log" "$work/move.log" >&2
    exit 1
}

serve() {
    "$feige" --json serve "$work/home" --guest write --listen "127.0.0.1:$port" >>"$work/serve.log" 2>&1 &
    serving=$!
    for _ in $(seq 100); do
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null && return
        sleep 0.1
    done
    fail "the server does not start"
}

garbage() {
    python3 - "$port" "$RANDOM" <<'PY' 2>/dev/null || true
import random, socket, struct, sys
random.seed(int(sys.argv[2]))
octets = random.choice([
    random.randbytes(random.randrange(1, 5000)),
    struct.pack("<I", random.choice([0, 1, 5000, 2**31 - 1, 2**32 - 1])) + random.randbytes(50),
    struct.pack("<i", 60) + b'{"cmd": "put", "filename": "../x", "filesize": 99999999999}',
    b"rm -rf /\n",
])
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2) as peer:
    peer.settimeout(0.3)
    peer.sendall(octets)
    peer.recv(1000)
PY
}

# One of the moves, by number: four large files up, four down, a tree up, a tree down.
move() {
    case $1 in
        [0-3]) set -- put "$work/out/large$1" "$url/" ;;
        [4-7]) set -- get "$url/ready$(($1 - 4))" -o "$work/in" ;;
        8) set -- put -r "$work/out/tree" "$url/" ;;
        9) set -- get -r "$url/shelf" -o "$work/in" ;;
    esac
    "$feige" --quiet "$@" >>"$work/move.log" 2>&1
}

mkdir -p "$work/home/shelf" "$work/in" "$work/out/tree/deep"
for i in 0 1 2 3; do
    head -c $((RANDOM * 900 + i)) /dev/urandom >"$work/out/large$i"
    head -c $((RANDOM * 900 + i)) /dev/urandom >"$work/home/ready$i"
done
for i in $(seq 200); do
    head -c $((RANDOM * 3)) /dev/urandom >"$work/out/tree/deep/$i"
    head -c $((RANDOM * 3)) /dev/urandom >"$work/home/shelf/$i"
done
: >"$work/move.log"
serve

end=$((SECONDS + seconds)) kills=0 crashes=0 whole=0
while [ $SECONDS -lt $end ]; do
    number=$((RANDOM % 10))
    # What arrived is thrown away now and then, so that there is something to move.
    case $((RANDOM % 4)) in
        # A server that has not noticed yet may put something into a folder while it is removed.
        0) rm -rf "$work/in/ready$((RANDOM % 4))" "$work/home/large$((RANDOM % 4))" || true ;;
        1) rm -rf "$work/in/shelf" "$work/home/tree" || true ;;
    esac
    move $number &
    moving=$!
    case $((RANDOM % 5)) in
        0 | 1)
            sleep "0.$(printf %03d $((RANDOM % 300)))"
            pkill -9 -P $moving 2>/dev/null || true
            kills=$((kills + 1))
            ;;
        2)
            sleep "0.$(printf %03d $((RANDOM % 200)))"
            kill -9 "$serving"
            wait "$serving" 2>/dev/null || true
            crashes=$((crashes + 1))
            serve
            ;;
        3) garbage ;;
    esac
    wait $moving && whole=$((whole + 1)) || true
    moving=
    kill -0 "$serving" 2>/dev/null || fail "the server has ended by itself"
done

for number in $(seq 0 9); do move "$number" || fail "move $number does not come to its end"; done
for i in 0 1 2 3; do
    cmp "$work/out/large$i" "$work/home/large$i" || fail "large$i is not what was sent"
    cmp "$work/home/ready$i" "$work/in/ready$i" || fail "ready$i is not what was fetched"
done
diff -r "$work/out/tree" "$work/home/tree" || fail "the tree is not what was sent"
diff -r "$work/home/shelf" "$work/in/shelf" || fail "the shelf is not what was fetched"
kill -INT "$serving"
wait "$serving" || true
serving=
left=$(find "$work/home" "$work/in" -name '*.feige-part*' -o -name '*.feige-sums*')
[ -z "$left" ] || fail "parts are left: $left"
# Small files are not continued: what a killed program had of them is swept when it is old.
small=$(find "$work/home" "$work/in" -name '*.feige-small' | wc -l)
echo "soak: $seconds s, $kills clients and $crashes servers killed, $whole moves undisturbed or recovered: every file equal, no part left but $small of small files to be swept"
