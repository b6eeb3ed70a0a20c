"""Remote command, server: command_server.py [MD5]

Runs what it is told, as they do. MD5 stands in the header instead of the digest: many servers have a fixed one there.
"""
import hashlib
import json
import socket
import struct
import subprocess
import sys

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(5)
print(server.getsockname()[1], flush=True)
while True:
    conn, _ = server.accept()
    while True:
        try:
            command = conn.recv(1024)
            # An orderly end reads as an empty command; the answer to it then kills this program.
            process = subprocess.run(
                command.decode("utf-8"), shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            output = process.stdout + process.stderr
            md5 = sys.argv[1] if sys.argv[1:] else hashlib.md5(output).hexdigest()
            header = json.dumps({"md5": md5, "file_name": "f1.txt", "total_size": len(output)}).encode("utf-8")
            conn.send(struct.pack("i", len(header)))
            conn.send(header)
            conn.sendall(output)
        except ConnectionResetError:
            break
    conn.close()
