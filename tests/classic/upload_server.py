"""Simple upload, server: upload_server.py FOLDER"""
import json
import os
import socket
import struct
import sys

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(5)
print(server.getsockname()[1], flush=True)
while True:
    conn, _ = server.accept()
    length = struct.unpack("i", conn.recv(4))[0]
    header = json.loads(conn.recv(length).decode("utf-8"))
    received = 0
    with open(os.path.join(sys.argv[1], header["file_name"]), "wb") as file:
        while received < header["file_size"]:
            data = conn.recv(1024)
            if not data:
                break
            file.write(data)
            received += len(data)
    conn.close()
