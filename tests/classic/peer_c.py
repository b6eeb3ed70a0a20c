"""Flooded search, a peer of the "C" family: peer_c.py CONFIG [NAME...]

CONFIG is of this peer alone: [Peer-N] ID, ip_addr, port_number, share_dir, ttl; [Netpeers] peer_ID, peer_addr, peer_ports.
Without names it takes commands from stdin (`get NAME`, `exit`); with names it fetches one after the other and ends. It
prints `ready`, `found …`, `got NAME`, `failed NAME`.

Their ways: one `recv` for a message, one connection at a time on one port, deaf to questions for 1.5 s after one was sent
on, a TTL of at least one hop, `found` with five fields, address before port.
"""
import configparser
import hashlib
import io
import json
import os
import socket
import struct
import sys
import threading
import time
import zipfile

config = configparser.ConfigParser()
config.read(sys.argv[1], encoding="utf-8")
ME = config[next(name for name in config.sections() if name.startswith("Peer-"))]
IP, PORT, SHARE, TTL = ME["ip_addr"], int(ME["port_number"]), ME["share_dir"], int(ME["ttl"])


def items(key):
    return [word.strip() for word in config["Netpeers"][key].strip("[] ").split(",") if word.strip()]


NEIGHBOURS = list(zip(items("peer_addr"), map(int, items("peer_ports"))))
wanted, hits, deaf_until = {}, {}, 0.0


def tell(*words):
    # One write, because two threads tell: `print` writes the end of a line by itself, and lines of both would mix.
    os.write(1, (" ".join(map(str, words)) + "\n").encode("utf-8"))


def say(to, text):
    conn = socket.socket()
    try:
        conn.connect(to)
        conn.send(text.encode("utf-8"))
    except OSError:
        pass
    conn.close()


def pack(name):
    path, packed = os.path.join(SHARE, name), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        if os.path.isdir(path):
            for inside in sorted(os.listdir(path)):
                archive.write(os.path.join(path, inside), name + "/" + inside)
        else:
            archive.write(path, name)
        first = archive.infolist()[0].file_size if archive.infolist() else 0
    body = packed.getvalue()
    header = {"filename": name.split(".")[0] + ".zip", "md5": hashlib.md5(body).hexdigest(), "file_size": first}
    header = json.dumps(header).encode("utf-8")
    return struct.pack("<i", len(header)) + header, body


def serve(conn):
    global deaf_until
    words = conn.recv(1024).decode("utf-8").split(" ")
    if words[0] == "get":
        if time.monotonic() < deaf_until:
            return
        name, ip, port, ttl = words[1], words[2], int(words[3]), int(words[-1])
        if os.path.exists(os.path.join(SHARE, name)):
            say((ip, port), f"found {name} at {IP} {PORT}")
        elif ttl > 1:
            deaf_until = time.monotonic() + 1.5
            for neighbour in NEIGHBOURS:
                say(neighbour, " ".join(words[:-1] + [str(ttl - 1)]))
    elif words[0] == "found" and len(words) == 5:
        tell(" ".join(words))
        hits.setdefault(words[1], (words[3], int(words[4])))
        if words[1] in wanted:
            wanted[words[1]].set()
    elif words[0] == "request":
        for part in pack(words[1]):
            conn.sendall(part)
        conn.recv(1)  # Until the other side closes.
    else:
        conn.send("不合法的命令".encode("utf-8"))


def listen():
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((IP, PORT))
    server.listen(5)

    def loop():
        while True:
            conn, _ = server.accept()
            try:
                serve(conn)
            except (OSError, ValueError, IndexError):
                pass
            conn.close()

    threading.Thread(target=loop, daemon=True).start()


def exactly(conn, count):
    octets = bytearray()
    while len(octets) < count:
        piece = conn.recv(min(count - len(octets), 1024))
        if not piece:
            raise ConnectionError("ended short")
        octets += piece
    return bytes(octets)


def download(name, holder):
    conn = socket.create_connection(holder)
    conn.settimeout(10)
    conn.send(f"request {name} {IP} {PORT}".encode("utf-8"))
    header = json.loads(exactly(conn, struct.unpack("<i", exactly(conn, 4))[0]))
    body = exactly(conn, header["file_size"])
    while body[-22:-18] != b"PK\x05\x06" or hashlib.md5(body).hexdigest() != header["md5"]:
        piece = conn.recv(1024)
        if not piece:
            raise ConnectionError("the digest is wrong")
        body += piece
    conn.close()
    path = os.path.join(SHARE, header["filename"])
    with open(path, "wb") as file:
        file.write(body)
    with open(path, "rb") as file, zipfile.ZipFile(io.BytesIO(file.read())) as archive:
        os.remove(path)
        archive.extractall(SHARE)


def get(name):
    event = wanted[name] = threading.Event()
    for neighbour in NEIGHBOURS:
        say(neighbour, f"get {name} {IP} {PORT} {max(1, TTL)}")
    try:
        if not event.wait(float(os.environ.get("PATIENCE", "5"))):
            raise TimeoutError("nobody has it")
        download(name, hits[name])
        tell("got", name)
        return True
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        tell("failed", name, error)
        return False


listen()
tell("ready")
if sys.argv[2:]:
    sys.exit(0 if all([get(name) for name in sys.argv[2:]]) else 1)
for line in sys.stdin:
    if line.strip() == "exit":
        break
    if line.startswith("get "):
        get(line.split()[1])
