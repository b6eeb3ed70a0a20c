#!/bin/bash
# Measures transfers between two network namespaces of its own, Feige beside its peers, and prints a table:
# MB/s, CPU seconds for each GiB of both ends together, and the resident memory of the larger process.
#
#   scripts/bench-transfer.sh [RUNS]           default 5; the peers take turns, the medians are printed
#   SIZE=256 scripts/bench-transfer.sh         size of the file in MiB, default 1024
#   FILES=1000 scripts/bench-transfer.sh       files of 4 KiB in the folder, default 10000
#   DIR=/var/tmp scripts/bench-transfer.sh     sources and targets on a disk instead of in memory
#   FEIGE_BIN=PATH scripts/bench-transfer.sh   another program than the one built here
#
# Needs root (namespaces, control groups), and for the peers: vsftpd, lftp, nc, tar; what is missing is left out, by name.
# Both ends share the machine; sources and targets are in memory (/dev/shm). Congestion control is cubic, by route.
# Absolute figures move with the machine and the day: only the ratios within one run mean something.
set -euo pipefail
cd "$(dirname "$0")/.."

RUNS=${1:-5}
SIZE=${SIZE:-1024}
FILES=${FILES:-10000}
[ "$(id -u)" = 0 ] || { echo "bench-transfer: needs root for its network namespaces; nothing was measured" >&2; exit 2; }

cargo build --quiet --release -p feige --bins --examples
bin=$(realpath "${CARGO_TARGET_DIR:-target}")/release
feige=${FEIGE_BIN:-$bin/feige}
# shellcheck source=scripts/lib/bench-lab.sh
. scripts/lib/bench-lab.sh
lab_up 10.79.0

# measure NAME OCTETS WHERE PORT FIRST SECOND: starts the function FIRST, waits until something listens at PORT of the
# namespace WHERE, then times the function SECOND until both have ended. Both end in in_group.
measure() {
    local name=$1 octets=$2 where=$3 port=$4 first=$5 second=$6 start end cpu
    rm -rf "$work/in" && mkdir "$work/in"
    : >"$work/rss"
    warm $((octets + (64 << 20)))
    cpu=$(($(used s) + $(used c)))
    ($first) >"$work/first.log" 2>&1 &
    serving=$!
    listening "$where" "$port" "$work/first.log"
    start=$(now)
    ($second) >"$work/second.log" 2>&1 || { cat "$work/first.log" "$work/second.log" >&2; return 1; }
    if [ "$name" = vsftpd+lftp ]; then
        # A server that stays.
        end=$(now)
        ip netns pids "$server" | xargs -r kill 2>/dev/null || true
        wait "$serving" || true
    else
        wait "$serving" || { cat "$work/first.log" "$work/second.log" >&2; return 1; }
        end=$(now)
    fi
    serving=
    cpu=$(($(used s) + $(used c) - cpu))
    row "$name" "$octets" $((end - start)) "$cpu"
}

octets=$((SIZE * 1048576))
mkdir -p "$work/out/folder"
head -c "$octets" /dev/urandom >"$work/out/file"
for i in $(seq 0 99); do mkdir "$work/out/folder/$i"; done
head -c $((FILES * 4096)) /dev/urandom | (cd "$work/out/folder" && split -b 4096 -a 6 -d - f &&
    i=0 && for file in f*; do echo "$file $((i++ % 100))/"; done | xargs -n 2 mv)

# The program as people use it: one listens, the other sends.
feige_listen() { cd "$work/home" && HOME=$work/home in_group c "$client" "$feige" --json --config "$work/home/c.toml" listen --accept all --once --dir "$work/in"; }
feige_send() { cd "$work/home" && HOME=$work/home in_group s "$server" "$feige" --json --config "$work/home/s.toml" send $there --wait 60s --file "$work/out/$1"; }
feige_file() { feige_send file; }
feige_folder() { feige_send folder; }
# The same transfer without members and messages.
bare_serve() { in_group s "$server" "$bin/examples/transfer" serve $here:2425 $there "$work/out/file"; }
bare_fetch() { in_group c "$client" "$bin/examples/transfer" fetch $here:2425 file "$octets" file "$work/in"; }
plain_serve() { in_group s "$server" "$bin/examples/plain" send $here:2500 "$work/out/file"; }
plain_fetch() { in_group c "$client" "$bin/examples/plain" receive $here:2500 "$work/in/file"; }
ftp_serve() { in_group s "$server" vsftpd "$work/vsftpd.conf"; }
ftp_fetch() { in_group c "$client" lftp -c "set net:max-retries 1; open ftp://anonymous:@$here; get file -o $work/in/file"; }
tar_serve() { in_group s "$server" bash -c "tar -C $work/out -c folder | nc -N -l $here 2501"; }
tar_fetch() { in_group c "$client" bash -c "nc -d $here 2501 | tar -C $work/in -x"; }

mkdir -p "$work/empty" "$work/home"
touch "$work/home/c.toml" "$work/home/s.toml"
cat >"$work/vsftpd.conf" <<CONF
listen=YES
background=NO
anonymous_enable=YES
anon_root=$work/out
no_anon_password=YES
secure_chroot_dir=$work/empty
use_sendfile=YES
seccomp_sandbox=NO
pasv_enable=YES
CONF
chmod -R a+rX "$work"

for _ in $(seq "$RUNS"); do
    measure feige "$octets" "$client" 2425 feige_listen feige_file
    cmp "$work/out/file" "$work/in/file"
    measure bare "$octets" "$server" 2425 bare_serve bare_fetch
    measure plain "$octets" "$server" 2500 plain_serve plain_fetch
    if have vsftpd && have lftp; then measure vsftpd+lftp "$octets" "$server" 21 ftp_serve ftp_fetch; fi
    measure feige-folder $((FILES * 4096)) "$client" 2425 feige_listen feige_folder
    diff -rq "$work/out/folder" "$work/in/folder"
    if have nc && have tar; then measure 'tar|nc' $((FILES * 4096)) "$server" 2501 tar_serve tar_fetch; fi
done

table
echo
echo "feige to vsftpd+lftp: $(ratio feige vsftpd+lftp 3) times the rate (goal: at least 1.2)"
echo "feige to a plain sendfile loop: $(ratio feige plain 3) times the rate (goal: at least 0.9)"
echo "feige: $(column feige 4) CPU s/GiB, both ends (goal: at most 0.75), $(column feige 5) MiB (goal: at most 10)"
echo "feige folder to tar|nc: $(ratio feige-folder 'tar|nc' 2) times the time (goal: at most 1.1)"
