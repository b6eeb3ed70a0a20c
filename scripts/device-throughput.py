#!/usr/bin/env python3
"""Measures how fast the simulated device receives and sends a file, on a TAP interface in a network namespace.

    scripts/device-throughput.py [--rounds N] FEIGE_SIM [BUFFERS...]

FEIGE_SIM is a release build. Beside it are `feige`, which stores a file of 64 MiB there and fetches it (the verified transfer),
and `examples/bare_stack` (`cargo build --release -p feige-sim --examples`), the TCP/IP stack alone on the same interface. The
peer of the plain transfer is this program: a member by hand that offers the file, serves it with `sendfile`, and fetches it
back. For comparison with TFTP (Debian's tftpd-hpa, left out if it is not there), curl fetches a file in blocks of 1,428 octets
over a veth. All of it takes turns, N times (3). Needs root for the namespaces, which are removed at the end.

Prints MB/s, and in brackets the part of what the stack alone reached in the same round; at the end the best and the median.
"""
import os, shutil, re, socket, statistics, subprocess, sys, tempfile, time

SPACE, DEVICE, SIZE = os.environ.get("FEIGE_SPACE") or f"fgt-{os.getpid()}-speed", "10.77.0.2", 64 << 20


def ip(line):
    subprocess.run(["ip", *line.split()], check=True)


def peer(sim_path, buffers):
    """A message offers the file, the device fetches it, and it is fetched back; then `feige put` and `feige get`."""
    sim = subprocess.Popen(
        [sim_path, "--json", "--ram-disk", "150M", "--buffers", buffers], stdout=subprocess.PIPE, text=True)
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
    connection.close()
    server.close()
    udp.close()
    verified = feige(os.path.join(os.path.dirname(sim_path), "feige"))
    sim.terminate()
    sim.wait()
    return {"device receives, with MD5": receive, "device sends": send, **verified}


def feige(program):
    """The verified transfer, as its users have it: the time is that of the whole command."""
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        with open(f"{folder}/file", "wb") as file:
            file.write(os.urandom(1 << 20) * (SIZE >> 20))
        rates = {}
        url = f"feige://{DEVICE}/"
        for name, command in (
            ("put, verified", ["put", "file", url]), ("get, verified", ["get", f"{url}file", "-o", "back"])):
            before = time.monotonic()
            done = subprocess.run([program, *command], cwd=folder, env={"HOME": folder}, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
            rates[name] = SIZE / (time.monotonic() - before)
            assert done.returncode == 0, done.stdout
        with open(f"{folder}/file", "rb") as file, open(f"{folder}/back", "rb") as back:
            assert file.read() == back.read(), "what came back is something else"
        return rates


def stack(sim_path, octets):
    """The stack with buffers of so many octets and nothing on it, as a yardstick."""
    ip("tuntap add dev tap0 mode tap")
    ip("addr add 10.77.0.1/24 brd + dev tap0")
    ip("link set tap0 up")
    program = os.path.join(os.path.dirname(sim_path), "examples", "bare_stack")
    bare = subprocess.Popen([program, "tap0", str(octets)], stdout=subprocess.PIPE, text=True)
    bare.stdout.readline()
    with tempfile.TemporaryFile() as file:
        file.write(bytes(SIZE))
        file.flush()
        connection = socket.create_connection((DEVICE, 1235))
        before, at = time.monotonic(), 0
        while at < SIZE:
            at += os.sendfile(connection.fileno(), file.fileno(), at, SIZE - at)
        receive = SIZE / (time.monotonic() - before)
        connection.close()
    connection = socket.create_connection((DEVICE, 1234))
    before, got = time.monotonic(), 0
    while got < SIZE:
        got += len(connection.recv(1 << 18))
    send = got / (time.monotonic() - before)
    connection.close()
    bare.kill()
    bare.wait()
    ip("link del tap0")
    return {"stack alone receives": receive, "stack alone sends": send}


def tftp():
    """A TFTP server of Debian's and curl, in two namespaces."""
    if not shutil.which("in.tftpd") or not shutil.which("curl"):
        return {}
    other, size = f"{SPACE}-t", 16 << 20
    ip(f"netns add {other}")
    try:
        ip(f"link add t0 type veth peer name t1 netns {other}")
        for space, dev, address in ((None, "t0", "10.78.0.1"), (other, "t1", "10.78.0.2")):
            at = f"-n {other} " if space else ""
            ip(f"{at}addr add {address}/24 dev {dev}")
            ip(f"{at}link set {dev} up")
        with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
            os.chmod(folder, 0o755)
            with open(f"{folder}/file", "wb") as file:
                file.write(os.urandom(size))
            server = subprocess.Popen(
                ["ip", "netns", "exec", other, "in.tftpd", "-L", "-u", "nobody", "-s", "-a", "10.78.0.2:69", folder])
            time.sleep(0.5)
            curl = ["curl", "-s", "-o", "/dev/null", "-w", "%{size_download}", "--max-time", "60"]
            before = time.monotonic()
            got = subprocess.run(
                [*curl, "--tftp-blksize", "1428", "tftp://10.78.0.2/file"], stdout=subprocess.PIPE, text=True)
            rate = size / (time.monotonic() - before)
            server.terminate()
            server.wait()
            assert got.stdout == str(size), got
            return {"TFTP sends": rate}
    finally:
        ip(f"netns del {other}")


OCTETS = {"large": 65535, "small": 4096, "chip": 2048}

# What the device does, and what the stack alone does of it.
YARDSTICK = {
    "device receives, with MD5": "stack alone receives",
    "put, verified": "stack alone receives",
    "device sends": "stack alone sends",
    "get, verified": "stack alone sends",
}


def measure(sim_path, rounds, sizes):
    rates, parts = {}, {}
    for _ in range(rounds):
        for buffers in sizes:
            here = {**stack(sim_path, OCTETS[buffers]), **peer(sim_path, buffers)}
            for name, rate in here.items():
                rates.setdefault((buffers, name), []).append(rate / 1e6)
                if name in YARDSTICK:
                    parts.setdefault((buffers, name), []).append(rate / here[YARDSTICK[name]])
            print(f"{buffers}: " + ", ".join(
                f"{name} {rate / 1e6:.0f}" + (f" ({rate / here[YARDSTICK[name]]:.2f})" if name in YARDSTICK else "")
                for name, rate in here.items()), flush=True)
        for name, rate in tftp().items():
            rates.setdefault(("", name), []).append(rate / 1e6)
            print(f"{name} {rate / 1e6:.0f}", flush=True)
    print(f"\n| MB/s, best and median of {rounds} | best | median | of the stack alone: best | median |")
    print("|---|---|---|---|---|")
    for (buffers, name), all_of_them in rates.items():
        part = parts.get((buffers, name))
        of_it = f"{max(part):.2f} | {statistics.median(part):.2f}" if part else " | "
        print(f"| {buffers} {name} | {max(all_of_them):.0f} | {statistics.median(all_of_them):.0f} | {of_it} |")


arguments = sys.argv[1:]
rounds = 3
if arguments[:1] == ["--rounds"]:
    rounds, arguments = int(arguments[1]), arguments[2:]
if not arguments or arguments[0].startswith("-"):
    sys.exit(__doc__)
if os.environ.get("FEIGE_SPACE"):
    measure(os.path.realpath(arguments[0]), rounds, arguments[1:] or ["large", "small", "chip"])
else:
    ip(f"netns add {SPACE}")
    try:
        ip(f"-n {SPACE} link set lo up")
        command = ["ip", "netns", "exec", SPACE, sys.executable, *sys.argv]
        sys.exit(subprocess.run(command, env={**os.environ, "FEIGE_SPACE": SPACE}).returncode)
    finally:
        ip(f"netns del {SPACE}")
