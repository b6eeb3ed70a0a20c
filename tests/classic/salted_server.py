"""Salted store, server: salted_server.py FOLDER

Waits 5 s for its one client, and ends when that leaves.
"""
import hashlib
import json
import os
import socket
import struct
import sys
import uuid

ENDINGS = {
    "img": (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".svg"),
    "video": (".mp4", ".avi", ".mov", ".wmv", ".mkv", ".flv", ".mpeg", ".mpg", ".vob", ".m4v"),
}
SIZE = 1024
ROOT = sys.argv[1]


def md5(data, salt):
    return hashlib.md5((str(data) + str(salt)).encode("utf-8")).hexdigest()


def receive(conn):
    length = conn.recv(4)
    if not length:
        return None, b""
    struct.unpack("i", length)
    # One recv for the header, whatever comes with it.
    header = json.loads(conn.recv(SIZE).decode("utf-8"))
    # Counts what it reads, not the octets.
    pieces = [conn.recv(SIZE) for _ in range((header.get("data_length", 0) + SIZE - 1) // SIZE)]
    return header, b"".join(pieces)


def send(conn, header, data, seal=True):
    header["data_length"] = len(data)
    if seal:
        salt = uuid.uuid4().hex
        header["encrypted"] = md5(data, salt)
        header["salt"] = salt
    header = json.dumps(header).encode("utf-8")
    conn.sendall(struct.pack("i", len(header)) + header)
    conn.sendall(data)


def folder(kind):
    path = os.path.join(ROOT, kind)
    os.makedirs(path, exist_ok=True)
    return path


server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(1)
patience = float(os.environ.get("PATIENCE", 5))
server.settimeout(patience)
print(server.getsockname()[1], flush=True)
conn, _ = server.accept()
conn.settimeout(patience)
while True:
    header, data = receive(conn)
    if header is None:
        break
    command = header["command"]
    kind = header.get("file_type", "")
    if command == "show_file_name_list":
        names = [name for name in sorted(os.listdir(folder(kind))) if os.path.isfile(os.path.join(folder(kind), name))]
        send(conn, {"command": command, "data_length": 0, "file_type": kind}, ",".join(names).encode("utf-8"))
    elif command == "download_file":
        try:
            with open(os.path.join(folder(kind), header["file_name"]), "rb") as file:
                send(conn, {"command": command, "data_length": 0, "file_type": kind}, file.read())
        except FileNotFoundError:
            text = header["file_name"] + " is not exist"
            send(conn, {"command": command, "data_length": 0}, text.encode("utf-8"), seal=False)
    elif command == "upload":
        if md5(data, header.get("salt")) != header["encrypted"]:
            send(conn, {"command": command, "data_length": 0}, "数据被篡改!".encode("utf-8"), seal=False)
            continue
        name, ending = os.path.splitext(header["file_name"])
        assert kind == next((kind for kind, endings in ENDINGS.items() if ending in endings), ""), kind
        path = os.path.join(folder(kind), name + ending)
        with open(path, "wb") as file:
            file.write(data)
        text = f"当前文件 {name} 上传成功!保存至 :>>>> {path}!"
        send(conn, {"command": command, "data_length": 0}, text.encode("utf-8"))
    else:
        send(conn, {"command": command, "data_length": 0}, f"{command} is not exist".encode("utf-8"), seal=False)
