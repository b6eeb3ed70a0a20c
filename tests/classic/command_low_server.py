"""Remote command in the low form, server: command_low_server.py"""
import socket
import struct
import subprocess

server = socket.socket()
server.bind(("127.0.0.1", 0))
server.listen(5)
print(server.getsockname()[1], flush=True)
while True:
    conn, _ = server.accept()
    while True:
        try:
            command = conn.recv(1024)
            process = subprocess.run(
                command.decode("utf-8"), shell=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
            conn.send(struct.pack("i", len(process.stdout) + len(process.stderr)))
            conn.send(process.stdout)
            conn.send(process.stderr)
        except ConnectionResetError:
            break
    conn.close()
