#!/usr/bin/env python3
"""How long a hit takes over four links: flood-latency.py BINARY [SEARCHES]

Starts a chain of five `feige peer` on loopback and asks the first for what the last has, so many times (50). Prints the
median and the longest time between the query leaving the asker and its hit, beside the goal: each link may take what a
peer holds a query (10 ms on average) and 5 ms more.
"""
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

LINKS, HOLD, MORE = 4, 10.0, 5.0


def event(process, name):
    for line in process.stdout:
        told = json.loads(line)
        if told["event"] == name:
            return told
    raise SystemExit(f"flood-latency: {name} was not told")


def main():
    binary, searches = os.path.abspath(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 50
    peers, at = [], None
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "HOME": folder, "XDG_STATE_HOME": folder}
        start = lambda *arguments: subprocess.Popen(
            [binary, "-v", "--json", *arguments], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment, text=True
        )
        try:
            for number in range(LINKS):
                share = os.path.join(folder, str(number))
                os.mkdir(share)
                if number == 0:
                    open(os.path.join(share, "needle.txt"), "w").close()
                neighbour = ["--neighbour", at] if at else []
                peers.append(start("peer", "--listen", "127.0.0.1:0", "--share", share, *neighbour))
                at_new = event(peers[-1], "ready")["addr"]
                if at:
                    event(peers[-1], "linked")
                at = at_new
            times = []
            for _ in range(searches):
                find = start("find", "needle", "--via", at)
                event(find, "sent")
                sent = time.monotonic()
                hit = event(find, "hit")
                times.append((time.monotonic() - sent) * 1000)
                assert hit["hops"] == LINKS, hit
                find.wait()
        finally:
            for peer in peers:
                peer.terminate()
    goal = LINKS * (HOLD + MORE)
    within = sum(taken < goal for taken in times)
    print(f"{LINKS} links, {searches} searches: median {statistics.median(times):.1f} ms, longest {max(times):.1f} ms")
    print(f"goal {goal:.0f} ms: {within} of {searches} within it")


main()
