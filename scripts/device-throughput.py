#!/usr/bin/env python3
"""Measures how fast the simulated device receives and sends a file, on a TAP interface in a network namespace.

    scripts/device-throughput.py FEIGE_SIM [BUFFERS...]

FEIGE_SIM is a release build. The peer is this program: a member by hand that offers one file of 64 MiB, serves it with
`sendfile`, and fetches it back. Needs root for the namespace, which is removed at the end.
"""
import os, re, socket, subprocess, sys, tempfile, threading, time

SPACE, DEVICE, SIZE = f"fgt-{os.getpid()}-speed", "10.77.0.2", 64 << 20


def ip(line):
    subprocess.run(["ip", *line.split()], check=True)


def peer(buffers):
    sim = subprocess.Popen(
        [sys.argv[1], "--json", "--ram-disk", "80M", "--buffers", buffers], stdout=subprocess.PIPE, text=True)
    sim.stdout.readline()
    udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    udp.bind(("0.0.0.0", 2425))
    udp.settimeout(20)
    server = socket.create_server(("0.0.0.0", 2425))
    number = int(time.time())

    def say(command, text):
        nonlocal number
        number += 1
        udp.sendto(b"1:%d:peer:pc:%d:%s" % (number, command, text), (DEVICE, 2425))
        return number

    def hear(pattern):
        while True:
            octets = udp.recv(2048)
            if int(octets.split(b":")[4]) & 0x100 and octets.split(b":")[4] != b"":
                udp.sendto(b"1:%d:peer:pc:33:%s\0" % (number + 1000, octets.split(b":")[1]), (DEVICE, 2425))
            found = re.search(pattern, octets)
            if found:
                return found, octets

    say(1, b"peer\0")
    with tempfile.TemporaryFile() as file:
        file.write(os.urandom(1 << 20) * (SIZE >> 20))
        file.flush()
        offer = say(0x200120, b"\0" + b"1:file.bin:%x:0:1:\a\0" % SIZE)
        connection, _ = server.accept()
        connection.recv(4096)
        before, at = time.monotonic(), 0
        while at < SIZE:
            at += os.sendfile(connection.fileno(), file.fileno(), at, SIZE - at)
        hear(rb"MD5")
        receive = SIZE / (time.monotonic() - before)
        connection.close()
    say(0x120, b"get file.bin")
    _, octets = hear(rb"file\.bin:[0-9a-f]+:")
    packet = int(octets.split(b":")[1])
    connection = socket.create_connection((DEVICE, 2425))
    before = time.monotonic()
    connection.sendall(b"1:%d:peer:pc:96:%x:1:0:\0" % (number + 1, packet))
    got = 0
    while got < SIZE:
        octets = connection.recv(1 << 18)
        if not octets:
            break
        got += len(octets)
    send = got / (time.monotonic() - before)
    assert got == SIZE, got
    sim.terminate()
    sim.wait()
    print(f"{buffers:>6}: receives with MD5 {receive / 1e6:7.1f} MB/s, sends {send / 1e6:7.1f} MB/s", flush=True)


if os.environ.get("FEIGE_SPACE"):
    for buffers in sys.argv[2:] or ["large", "small", "chip"]:
        peer(buffers)
else:
    ip(f"netns add {SPACE}")
    try:
        ip(f"-n {SPACE} link set lo up")
        command = ["ip", "netns", "exec", SPACE, sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, "FEIGE_SPACE": SPACE}).returncode)
    finally:
        ip(f"netns del {SPACE}")
