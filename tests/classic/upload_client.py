"""Simple upload, client: upload_client.py PORT FILE"""
import json
import os
import socket
import struct
import sys

path = sys.argv[2]
client = socket.socket()
client.connect(("127.0.0.1", int(sys.argv[1])))
header = {"file_path": path, "file_name": os.path.basename(path), "file_size": os.path.getsize(path)}
header = json.dumps(header).encode("utf-8")
client.send(struct.pack("i", len(header)))
client.send(header)
with open(path, "rb") as file:
    for line in file:
        client.sendall(line)
client.close()
