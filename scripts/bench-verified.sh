#!/bin/bash
# Measures the verified transfer between two network namespaces of its own, Feige beside its peers, and prints a table:
# MB/s, CPU seconds for each GiB of both ends together, and the resident memory of the larger process.
#
#   scripts/bench-verified.sh [RUNS]           default 5; the peers take turns, the medians are printed
#   SIZE=256 scripts/bench-verified.sh         size of the file in MiB, default 1024
#   FILES=1000 scripts/bench-verified.sh       files of 4 KiB in the folder, default 10000
#   DIR=/var/tmp scripts/bench-verified.sh     sources and targets on a disk instead of in memory
#   ONLY='feige rsync' scripts/bench-verified.sh   only these rows
#
# Needs root (namespaces, control groups), and for the peers: rsync, curl, python3; what is missing is left out, by name.
# Both ends share the machine; sources and targets are in memory (/dev/shm). Congestion control is cubic, by route.
# Absolute figures move with the machine and the day: only the ratios within one run mean something.
set -euo pipefail
cd "$(dirname "$0")/.."

RUNS=${1:-5}
SIZE=${SIZE:-1024}
FILES=${FILES:-10000}
[ "$(id -u)" = 0 ] || { echo "bench-verified: needs root for its network namespaces; nothing was measured" >&2; exit 2; }

[ -n "${FEIGE_BIN:-}" ] || cargo build --quiet --release -p feige --bins --examples
bin=$(realpath "${CARGO_TARGET_DIR:-target}")/release
feige=${FEIGE_BIN:-$bin/feige}
# shellcheck source=scripts/lib/bench-lab.sh
. scripts/lib/bench-lab.sh
lab_up 10.80.0

# measure NAME OCTETS PORT SERVE FETCH: starts the function SERVE on the server, waits until it listens, times the function
# FETCH on the client, and ends the server. Both end in in_group. The time is that of FETCH, the CPU that of both.
measure() {
    local name=$1 octets=$2 port=$3 serve=$4 fetch=$5 start end cpu
    case " ${ONLY:-$name} " in *" $name "*) ;; *) return 0 ;; esac
    rm -rf "$work/in" && mkdir "$work/in"
    : >"$work/rss"
    warm $((octets + (64 << 20)))
    cpu=$(($(used s) + $(used c)))
    ($serve) >"$work/serve.log" 2>&1 &
    serving=$!
    listening "$server" "$port" "$work/serve.log"
    start=$(now)
    ($fetch) >"$work/fetch.log" 2>&1 || { cat "$work/serve.log" "$work/fetch.log" >&2; return 1; }
    end=$(now)
    # The processes of the server that are left, but not the `time` that waits to note what they took.
    ip netns pids "$server" | while read -r pid; do
        [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = time ] || kill -INT "$pid" 2>/dev/null || true
    done
    wait "$serving" 2>/dev/null || true
    serving=
    cpu=$(($(used s) + $(used c) - cpu))
    row "$name" "$octets" $((end - start)) "$cpu"
}

octets=$((SIZE * 1048576))
folder=$((FILES * 4096))
mkdir -p "$work/out/folder" "$work/home"
head -c "$octets" /dev/urandom >"$work/out/file"
head -c 4096 /dev/urandom >"$work/out/small"
for i in $(seq 0 99); do mkdir "$work/out/folder/$i"; done
head -c "$folder" /dev/urandom | (cd "$work/out/folder" && split -b 4096 -a 6 -d - f &&
    i=0 && for file in f*; do echo "$file $((i++ % 100))/"; done | xargs -n 2 mv)
touch "$work/home/config.toml"
cat >"$work/rsyncd.conf" <<CONF
use chroot = no
reverse lookup = no
uid = root
gid = root
[out]
path = $work/out
[in]
path = $work/in
read only = no
CONF
export HOME=$work/home FEIGE_CONFIG=$work/home/config.toml

serve_out() { in_group s "$server" "$feige" --json serve "$work/out" --guest read --listen $here:2426; }
serve_in() { in_group s "$server" "$feige" --json serve "$work/in" --guest write --listen $here:2426; }
get() { in_group c "$client" "$feige" --quiet get "$@" -o "$work/in"; }
get_file() { get "feige://$here/file"; }
get_small() { get "feige://$here/small"; }
get_md5() { get "feige://$here/file" --md5; }
get_folder() { get -r "feige://$here/folder"; }
put_file() { in_group c "$client" "$feige" --quiet put "$work/out/file" "feige://$here/"; }
put_md5() { in_group c "$client" "$feige" --quiet put "$work/out/file" "feige://$here/" --md5; }
copy() { in_group c "$client" cp "$work/out/file" "$work/in/file"; }
put_folder() { in_group c "$client" "$feige" --quiet put -r "$work/out/folder" "feige://$here/"; }
rsyncd() { in_group s "$server" rsync --daemon --no-detach --config="$work/rsyncd.conf" --address=$here --port=2873 "$@"; }
rsync_file() { in_group c "$client" rsync -W --port=2873 $here::out/file "$work/in/"; }
rsync_md5() { in_group c "$client" rsync -W --checksum-choice=md5 --port=2873 $here::out/file "$work/in/"; }
rsync_folder() { in_group c "$client" rsync -r --port=2873 $here::out/folder "$work/in/"; }
session_serve() { in_group s "$server" "$bin/examples/session" serve $here:2427 "$work/out/file"; }
session_get() { in_group c "$client" "$bin/examples/session" get $here:2427 "$work/in/file"; }
bare_serve() { in_group s "$server" "$bin/examples/session" serve $here:2427 "$work/out/file" --unhashed; }
bare_get() { in_group c "$client" "$bin/examples/session" get $here:2427 "$work/in/file" --unhashed; }
http() { cd "$work/out" && in_group s "$server" python3 -m http.server --bind $here 8000; }
curl_small() { in_group c "$client" curl -s -o "$work/in/small" "http://$here:8000/small"; }

for _ in $(seq "$RUNS"); do
    measure feige "$octets" 2426 serve_out get_file
    [ ! -f "$work/in/file" ] || cmp "$work/out/file" "$work/in/file"
    measure feige-put "$octets" 2426 serve_in put_file
    [ ! -f "$work/in/file" ] || cmp "$work/out/file" "$work/in/file"
    if have rsync; then measure rsync "$octets" 2873 rsyncd rsync_file; fi
    # The digest of the first round is remembered: what counts is that of an unchanged file.
    measure feige-put-md5 "$octets" 2426 serve_in put_md5
    measure cp "$octets" 2426 serve_in copy
    measure hashed "$octets" 2427 session_serve session_get
    measure unhashed "$octets" 2427 bare_serve bare_get
    measure feige-md5 "$octets" 2426 serve_out get_md5
    if have rsync; then measure rsync-md5 "$octets" 2873 rsyncd rsync_md5; fi
    measure feige-folder "$folder" 2426 serve_out get_folder
    [ ! -d "$work/in/folder" ] || diff -rq "$work/out/folder" "$work/in/folder"
    measure feige-put-folder "$folder" 2426 serve_in put_folder
    [ ! -d "$work/in/folder" ] || diff -rq "$work/out/folder" "$work/in/folder"
    if have rsync; then measure rsync-folder "$folder" 2873 rsyncd rsync_folder; fi
    measure feige-small 4096 2426 serve_out get_small
    if have curl; then measure curl-small 4096 8000 http curl_small; fi
done

table
echo
echo "verifying costs: $(ratio hashed unhashed 3) of the rate without (goal: at least 0.95)"
echo "feige to rsync (xxh128): $(ratio feige rsync 3), put $(ratio feige-put rsync 3) times the rate (goal: at least 1.05)"
echo "feige: $(column feige 4) CPU s/GiB, both ends (goal: at most 1.8)"
echo "put --md5 of an unchanged file: $(ratio feige-put-md5 feige-put 2) times the time of put (goal: at most 1.1)"
echo "cp of the same file, for comparing machines: $(column cp 4) CPU s/GiB (0.50 where the goals were set)"
echo "feige --md5 to rsync --checksum-choice=md5: $(ratio feige-md5 rsync-md5 3) times the rate (goal: at least 1.1)"
echo "$FILES files: rsync takes $(ratio rsync-folder feige-folder 2) times as long as get, $(ratio rsync-folder feige-put-folder 2) as put (goal: at least 2.5)"
echo "one small file: $(ratio feige-small curl-small 2) times the time of curl (goal: at most 1.5)"
