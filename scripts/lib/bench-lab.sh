# shellcheck shell=bash
# Two network namespaces with a cable between them, control groups that count processor time, and a table of results:
# what scripts/bench-*.sh share. Sourced; the caller has set -euo pipefail and runs as root.
#
#   lab_up NET           makes the namespaces $server ($here) and $client ($there), in NET.0/24, and $work, a folder in memory
#   in_group SIDE NS …   runs a command in a namespace, its time counted for side s or c, its memory noted
#   listening NS PORT LOG   waits until the process $serving listens in a namespace; shows its log and fails if it has ended
#   warm OCTETS          gets so much memory ready: what is free in a virtual machine may have gone back to its host, and
#                        getting it again takes several times as long as to copy a file
#   used SIDE            processor time of a side so far, in microseconds
#   row NAME OCTETS NS   appends a line to the results: NAME, seconds, MB/s, CPU s/GiB, RSS MiB; NS is the time in nanoseconds
#   column NAME N        the median of column N of NAME's lines
#   ratio A B N          one through the other
#   table                everything

lab_up() {
    local net=$1 end ns dev address
    work=$(mktemp -d "${DIR:-/dev/shm}/feige-bench.XXXXXX")
    tag=fb$$
    server=${tag}s client=${tag}c
    here=$net.1 there=$net.2
    group=/sys/fs/cgroup
    [ -d $group/cpuacct ] && group=$group/cpuacct
    group=$group/$tag
    trap lab_down EXIT
    ip netns add "$server"
    ip netns add "$client"
    ip link add "${tag}0" netns "$server" type veth peer name "${tag}1" netns "$client"
    for end in "$server ${tag}0 $here" "$client ${tag}1 $there"; do
        read -r ns dev address <<<"$end"
        ip -n "$ns" link set lo up
        ip -n "$ns" addr add "$address/24" dev "$dev"
        ip -n "$ns" link set "$dev" up
        ip -n "$ns" route change "$net.0/24" dev "$dev" src "$address" congctl cubic 2>/dev/null || true
    done
    mkdir -p "$group" "$group/s" "$group/c"
    : >"$work/results"
}

lab_down() {
    set +e
    [ -n "${serving:-}" ] && kill "$serving" 2>/dev/null
    for ns in "$server" "$client"; do ip netns pids "$ns" 2>/dev/null | xargs -r kill 2>/dev/null; done
    wait 2>/dev/null
    ip netns del "$server" 2>/dev/null
    ip netns del "$client" 2>/dev/null
    rmdir "$group/s" "$group/c" "$group" 2>/dev/null
    rm -rf "$work"
}

warm() {
    head -c "$1" /dev/zero >"$work/warm"
    rm "$work/warm"
}

used() {
    if [ -f "$group/$1/cpuacct.usage" ]; then echo $(($(cat "$group/$1/cpuacct.usage") / 1000))
    else awk '/usage_usec/ { print $2 }' "$group/$1/cpu.stat"; fi
}

in_group() {
    local side=$1 ns=$2
    shift 2
    exec bash -c 'echo $$ >"$0/cgroup.procs"; exec ip netns exec "$1" /usr/bin/time -a -o "$2" -f %M "${@:3}"' \
        "$group/$side" "$ns" "$work/rss" "$@"
}

listening() {
    until ip netns exec "$1" ss -Hltn "sport = :$2" | grep -q .; do
        kill -0 "$serving" 2>/dev/null || { cat "$3" >&2; return 1; }
        sleep 0.02
    done
}

now() { date +%s%N; }

row() {
    awk -v n="$1" -v o="$2" -v t="$3" -v c="$4" -v r="$(grep -E '^[0-9]+$' "$work/rss" | sort -n | tail -1)" \
        'BEGIN { printf "%s\t%.3f\t%.0f\t%.3f\t%.1f\n", n, t / 1e9, o / (t / 1e3), c / 1e6 / (o / 1073741824), r / 1024 }' >>"$work/results"
}

column() { awk -F'\t' -v n="$1" -v c="$2" '$1 == n { print $c }' "$work/results" | sort -g | awk '{ v[NR] = $1 } END { if (NR) print (v[int((NR + 1) / 2)] + v[int((NR + 2) / 2)]) / 2 }'; }
ratio() { awk -v a="$(column "$1" "$3")" -v b="$(column "$2" "$3")" 'BEGIN { if (a > 0 && b > 0) printf "%.2f", a / b; else printf "-" }'; }

table() {
    local name
    printf '%-22s %9s %9s %10s %8s\n' what seconds MB/s 'CPU s/GiB' 'RSS MiB'
    for name in $(cut -f 1 "$work/results" | awk '!seen[$0]++'); do
        printf '%-22s %9.3f %9.0f %10.3f %8.1f\n' "$name" "$(column "$name" 2)" "$(column "$name" 3)" "$(column "$name" 4)" "$(column "$name" 5)"
    done
}

have() { command -v "$1" >/dev/null || { echo "bench: no $1, left out" >&2; return 1; }; }
