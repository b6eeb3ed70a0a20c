"""Remote command, client: command_client.py PORT COMMAND...

Prints each output, and a line of - behind it.
"""
import json
import socket
import struct
import sys

client = socket.socket()
client.connect(("127.0.0.1", int(sys.argv[1])))
for command in sys.argv[2:]:
    client.send(command.encode("utf-8"))
    length = struct.unpack("i", client.recv(4))[0]
    header = json.loads(client.recv(length).decode("utf-8"))
    output = b""
    while len(output) < header["total_size"]:
        output += client.recv(1024)
    sys.stdout.write(output.decode("utf-8"))
    print("-")
client.close()
