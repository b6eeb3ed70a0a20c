"""Flooded search, a peer of the "J" family: peer_j.py CONFIG ID [NAME...]

CONFIG has all peers: [Peer-N] ip_addr, server_port, client_port, share_dir, peer_list. Without names it takes commands from
stdin (`get NAME`, `exit`); with names it fetches one after the other and ends. TTL of its own questions: the environment's
TTL, 2. It prints `ready`, `found …`, `got NAME`, `failed NAME`.

Their ways: one `recv` for a message, a thread for each connection that goes on spinning after the other side has closed,
questions sent on until the TTL is -1, `found` with six fields, port before address.
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
NUMBER = int(sys.argv[2])
ME = config[f"Peer-{NUMBER}"]
IP, PORT, SEEKER, SHARE = ME["ip_addr"], int(ME["server_port"]), int(ME["client_port"]), ME["share_dir"]
NEIGHBOURS = [(config[f"Peer-{n}"]["ip_addr"], int(config[f"Peer-{n}"]["server_port"])) for n in json.loads(ME["peer_list"])]
wanted, hits, lock = {}, {}, threading.Lock()


def tell(*words):
    # One write, because two threads tell: `print` writes the end of a line by itself, and lines of both would mix.
    os.write(1, (" ".join(map(str, words)) + "\n").encode("utf-8"))


def say(to, text):
    conn = socket.socket()
    try:
        conn.connect(to)
        conn.send(text.encode("utf-8"))
        conn.close()
    except OSError:
        pass


def pack(name):
    path, packed = os.path.join(SHARE, name), io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        if os.path.isdir(path):
            for inside in sorted(os.listdir(path)):
                archive.write(os.path.join(path, inside), name + "/" + inside)
        else:
            archive.write(path, name)
    with zipfile.ZipFile(packed) as archive:
        first = archive.infolist()[0].file_size if archive.infolist() else 0
    body = packed.getvalue()
    header = {"filename": name.split(".")[0] + ".zip", "md5": hashlib.md5(body).hexdigest(), "file_size": first}
    header = json.dumps(header).encode("utf-8")
    return struct.pack("<i", len(header)), header, body


def serve(conn):
    while True:
        try:
            text = conn.recv(1024).decode("utf-8")
        except OSError:
            return
        if not text:
            time.sleep(0.05)  # Theirs does not even sleep.
            continue
        words = text.split(" ")
        if words[0] == "get":
            name, port, ip, ttl = words[1], int(words[2]), words[3], int(words[-1])
            if os.path.exists(os.path.join(SHARE, name)):
                say((ip, port), f"found {name} at {NUMBER} {IP} {PORT}")
            elif ttl >= 0:
                for neighbour in NEIGHBOURS:
                    say(neighbour, " ".join(words[:-1] + [str(ttl - 1)]))
        elif words[0] == "request":
            for part in pack(words[1]):
                conn.sendall(part)
        else:
            conn.send(b"invalid content")


def listen(port, handle):
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((IP, port))
    server.listen(5)

    def loop():
        while True:
            conn, _ = server.accept()
            threading.Thread(target=handle, args=(conn,), daemon=True).start()

    threading.Thread(target=loop, daemon=True).start()


def hear(conn):
    try:
        words = conn.recv(1024).decode("utf-8").split(" ")
    except OSError:
        return
    if words[0] == "found" and len(words) == 6:
        tell(" ".join(words))
        with lock:
            hits.setdefault(words[1], (words[4], int(words[5])))
            if words[1] in wanted:
                wanted[words[1]].set()


def exactly(conn, count):
    octets = bytearray()
    while len(octets) < count:
        piece = conn.recv(min(count - len(octets), 65536))
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
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        archive.extractall(SHARE)


def get(name):
    event = wanted[name] = threading.Event()
    for neighbour in NEIGHBOURS:
        say(neighbour, f"get {name} {SEEKER} {IP} {os.environ.get('TTL', '2')}")
    try:
        if not event.wait(float(os.environ.get("PATIENCE", "5"))):
            raise TimeoutError("nobody has it")
        download(name, hits[name])
        tell("got", name)
        return True
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        tell("failed", name, error)
        return False


listen(PORT, serve)
listen(SEEKER, hear)
tell("ready")
if sys.argv[3:]:
    sys.exit(0 if all([get(name) for name in sys.argv[3:]]) else 1)
for line in sys.stdin:
    if line.strip() == "exit":
        break
    if line.startswith("get "):
        get(line.split()[1])
