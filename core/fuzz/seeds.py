#!/usr/bin/env python3
"""Writes the first inputs of the fuzzers, corpus/TARGET/*, of the vectors in tests/vectors/ipmsg."""

import pathlib
import re

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
