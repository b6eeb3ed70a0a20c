"""Put client: put_client.py PORT together|apart FILE...

together: all messages in one go, so that they share segments.
"""
import json
import os
import socket
import struct
import sys

client = socket.socket()
client.connect(("127.0.0.1", int(sys.argv[1])))
messages = []
for path in sys.argv[3:]:
    header = {"cmd": "put", "filename": os.path.basename(path), "filesize": os.path.getsize(path)}
    header = bytes(json.dumps(header), encoding="utf-8")
    with open(path, "rb") as file:
        messages.append(struct.pack("i", len(header)) + header + file.read())
if sys.argv[2] == "together":
    client.sendall(b"".join(messages))
else:
    for message in messages:
        client.sendall(message)
client.close()
