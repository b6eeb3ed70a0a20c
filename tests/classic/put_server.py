"""Put server: put_server.py FOLDER, in which there must be a folder file_upload"""
import json
import os
import socket
import struct
import sys


class Server:
    def __init__(self, folder):
        self.folder = folder
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", 0))
        self.socket.listen(5)
        print(self.socket.getsockname()[1], flush=True)

    def run(self):
        while True:
            self.conn, _ = self.socket.accept()
            while True:
                length = self.conn.recv(4)
                if not length:
                    break
                length = struct.unpack("i", length)[0]
                args = json.loads(self.conn.recv(length).decode("utf-8"))
                if hasattr(self, args["cmd"]):
                    getattr(self, args["cmd"])(args)
            self.conn.close()

    def put(self, args):
        path = os.path.join(self.folder, "file_upload", args["filename"])
        received = 0
        with open(path, "wb") as file:
            while received < args["filesize"]:
                # Takes the beginning of the next message, too, if it is there.
                data = self.conn.recv(8192)
                file.write(data)
                received += len(data)


Server(sys.argv[1]).run()
