#!/usr/bin/env python3
"""Writes the first inputs of the fuzzers, corpus/TARGET/*, of the vectors in tests/vectors/ipmsg and of a few headers."""

import json
import pathlib
import re
import struct

HERE = pathlib.Path(__file__).resolve().parent
VECTORS = HERE / "../../tests/vectors/ipmsg"
NAMED = {"0": b"\0", "a": b"\a", "b": b"\b", "n": b"\n", "\\": b"\\"}


def unescape(text):
    def octet(match):
        code = match[1]
        return bytes([int(code[1:], 16)]) if code[0] == "x" and len(code) == 3 else NAMED[code]

    parts = re.split(r"(\\(?:x[0-9a-f]{2}|.))", text)
    return b"".join(octet(re.match(r"\\(.*)", p)) if p.startswith("\\") else p.encode() for p in parts)


def vectors(name):
    lines = (VECTORS / name).read_text().splitlines()
    number = ""
    for line in lines:
        if re.match(r"[VD]\d\d ", line):
            number = line[:3]
        elif line.startswith("octets "):
            yield number, unescape(line.removeprefix("octets "))


def write(target, number, octets):
    folder = HERE / "corpus" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / number).write_bytes(octets)


for number, octets in vectors("datagrams.txt"):
    for target in ("datagram", "entry", "request"):
        write(target, number, octets)
    body, _, tail = octets.partition(b"\0")
    if b"\a" in tail or number == "V54":
        write("attachments", number, tail)
    if number == "V74":
        write("host_list", number, body.split(b":", 5)[5])
for number, octets in vectors("folders.txt"):
    preamble = b"0<" + bytes(3074) if number == "D05" else b""
    write("folder_stream", number, preamble + octets)
NAMES = ["report.doc", "..", r"..\..\evil.exe", "a::b.txt", "nul.txt", "x\u202egpj.exe", "文" * 90 + ".gz", "a. ."]
for index, name in enumerate(NAMES):
    write("file_name", str(index), name.encode())
SEAL = {"encrypted": "d41d8cd98f00b204e9800998ecf8427e", "salt": "0123456789abcdef0123456789abcdef"}
HEADERS = [
    {"file_path": "/home/u/a.bin", "file_name": "雪😀.bin", "file_size": 25},
    {"cmd": "put", "filename": "a.bin", "filesize": 25},
    {"md5": SEAL["encrypted"], "file_name": "f1.txt", "total_size": 6},
    {"command": "show_file_name_list", "data_length": 0, "file_type": "img", **SEAL},
    {"command": "upload", "data_length": 19, "file_name": "up.png", "file_path": "/up.png", **SEAL, "file_type": "img"},
    {"command": "nope", "data_length": 17, "more": [None, True, -1.5e3, {"a": "\"\\"}]},
]
for index, header in enumerate(HEADERS):
    octets = json.dumps(header).encode()
    write("classic", str(index), octets)
    write("classic", f"{index}-message", struct.pack("i", len(octets)) + octets)
write("classic", "command", "ls 雪".encode())

# Headers of the verified transfer: the example of its document, without their lengths.
message = b""
for line in (HERE / "../../docs/protocol/transfer.md").read_text().splitlines() + ["#"]:
    if re.match(r"[CS]( [0-9a-f]{2})+$", line):
        message += bytes.fromhex(line[2:])
    elif line.startswith("#") and message:
        length = int.from_bytes(message[:4], "little")
        if length == len(message) - 4:
            write("transfer_header", f"{message[4]:02}-{length}", message[4:])
        message = b""
for number, messages in enumerate([("n,,n=alice,r=nonce", "c=biws,r=nonce,p=AAAA", ",s=MDEyMzQ1Njc4OQ==,i=4096")]):
    write("scram", str(number), "".join(messages).encode())

# The example of the book of flooding, and the classic texts.
for line in (HERE / "../../docs/protocol/flood.md").read_text().splitlines():
    if re.match(r"([0-9a-f]{2} ){20}", line):
        write("flood_message", "query", bytes.fromhex(line))
TEXTS = ["get 3.txt 10801 127.0.0.1 i=0123456789abcdef,h=1 2", "found 3.txt at 3 127.0.0.1 10803", "request 3.txt 127.0.0.1 10801"]
for index, text in enumerate(TEXTS):
    write("flood_message", str(index), text.encode())
