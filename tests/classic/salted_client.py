"""Salted store, client: salted_client.py HOST PORT FOLDER COMMAND [ARGUMENT] [COMMAND [ARGUMENT]]...

list KIND: prints the names.  get NAME: into FOLDER.  put PATH.  tamper PATH: put with a wrong digest.  nope -: unknown.
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


def md5(data, salt):
    return hashlib.md5((str(data) + str(salt)).encode("utf-8")).hexdigest()


def kind_of(name):
    ending = os.path.splitext(name)[1]
    return next((kind for kind, endings in ENDINGS.items() if ending in endings), "")


def ask(header, data, digest=None):
    salt = uuid.uuid4().hex
    header["encrypted"] = digest or md5(data, salt)
    header["salt"] = salt
    header = json.dumps(header).encode("utf-8")
    client.send(struct.pack("i", len(header)))
    client.send(header)
    client.sendall(data)

    struct.unpack("i", client.recv(4))
    # One recv for the header, whatever comes with it.
    header = json.loads(client.recv(SIZE).decode("utf-8"))
    # Counts what it reads, not the octets.
    body = b"".join(client.recv(SIZE) for _ in range((header["data_length"] + SIZE - 1) // SIZE))
    if "encrypted" in header:
        assert md5(body, header["salt"]) == header["encrypted"], (header, len(body))
    else:
        body = b"error: " + body
    return body


client = socket.socket()
client.connect((sys.argv[1], int(sys.argv[2])))
client.settimeout(float(os.environ.get("PATIENCE", 5)))
folder = sys.argv[3]
words = sys.argv[4:]
for command, word in zip(words[::2], words[1::2]):
    if command == "list":
        header = {"command": "show_file_name_list", "data_length": 0, "file_type": word.strip("-")}
        print(ask(header, b"").decode("utf-8"))
    elif command == "get":
        name = word.encode("utf-8")
        header = {"command": "download_file", "data_length": len(name), "file_name": word, "file_type": kind_of(word)}
        body = ask(header, name)
        with open(os.path.join(folder, word), "wb") as file:
            file.write(body)
    elif command in ("put", "tamper"):
        with open(word, "rb") as file:
            data = file.read()
        name = os.path.basename(word)
        header = {"command": "upload", "data_length": len(data), "file_name": name, "file_path": word}
        header["file_type"] = kind_of(name)
        print(ask(header, data, "0" * 32 if command == "tamper" else None).decode("utf-8"))
    else:
        print(ask({"command": command, "data_length": 0}, b"").decode("utf-8"))
client.close()
