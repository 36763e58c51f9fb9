#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""A peer that breaks the rules of Documentation/kfi/wire.rst, against kfi_perf's server. Used by tcp_hostile.sh.

Prints one line for each case: "ok NAME" or "not ok NAME: WHY". A case passes when the server ends that connection, and
only that, or does what the page says."""

import itertools
import os
import random
import resource
import socket
import struct
import sys
import time

SERVER, SERVICE, LOCAL, PORT = sys.argv[1], int(sys.argv[2]), sys.argv[3], 20077
MAGIC = b"kfi-tcp1"
SEND_INV, CREDITS, CRC32C, ERRORS = 0x1, 0x2, 0x4, 0x8
PINGPONG, RATE, READ, WRITE = range(4)
PROTOCOL, KEY, RANGE, DIGEST = 1, 2, 3, 5
TOP = (1 << 64) - 1


class Closed(Exception):
    """The server has ended the connection."""


class Peer:
    """One connection, as far as the test lets it come."""

    def __init__(self, order="<", features=ERRORS | SEND_INV, service=SERVICE, room=0):
        self.order, self.features, self.service = order, features, service
        self.seq, self.head = 0, b""
        self.sock = socket.socket(socket.AF_INET6 if ":" in SERVER else socket.AF_INET)
        self.sock.settimeout(8)
        if room:
            # Before connecting, so that the window is never larger.
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room)
        self.sock.bind((LOCAL, 0))
        self.sock.connect((SERVER, PORT))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def hello(self, loop=PINGPONG, size=4096, depth=4, **change):
        f = dict(version=3, kind=0, length=None, magic=MAGIC, service=self.service, features=self.features, credits=0,
                 probe=struct.pack(self.order + "Q", 1), ird=16, ord=16,
                 private=b"kfip\x01" + bytes([loop, 0, 0]) + struct.pack(">II", size, depth))
        f.update(change)
        length = len(f["private"]) if f["length"] is None else f["length"]
        return (struct.pack(">BBHI8sHHBBBB", f["version"], f["kind"], length, f["service"], f["magic"], f["features"],
                            f["credits"], f["ird"], f["ord"], 0, 0) + f["probe"] + f["private"])

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as e:
            raise Closed from e

    def recv(self, size):
        data = b""
        while len(data) < size:
            try:
                more = self.sock.recv(min(size - len(data), 1 << 20))
            except socket.timeout:
                raise
            except OSError as e:
                raise Closed from e
            if not more:
                raise Closed
            data += more
        return data

    def answer(self):
        head = self.recv(32)
        version, kind, length = struct.unpack(">BBH", head[:4])
        private = self.recv(length)
        if version != 3:
            raise RuntimeError(f"version {version}")
        self.head = head
        return kind, head[22], private

    def frame(self, op=0, flags=0, op_data=0, count=0, length=None, size=None, words=(), payload=b"", version=3):
        length = 16 + 8 * len(words) if length is None else length
        size = 16 + 8 * len(words) + len(payload) if size is None else size
        head = struct.pack(self.order + "BBHBBBBQ", version, op, flags, op_data, count, length & 255, self.seq, size & TOP)
        self.seq = (self.seq + 1) & 255
        return head + b"".join(struct.pack(self.order + "Q", w & TOP) for w in words) + payload

    def next_frame(self):
        head = self.recv(16)
        _, op, flags, op_data, count, length, _, size = struct.unpack(self.order + "BBHBBBBQ", head)
        words = self.recv(length - 16)
        self.head = head + words
        return op, flags, op_data, struct.unpack(f"{self.order}{len(words) // 8}Q", words), self.recv(size - length)

    def start(self, *args, **kwargs):
        """Connects and greets; leaves address and key of the server's region."""
        self.send(self.hello(*args, **kwargs))
        kind, reason, _ = self.answer()
        if kind != 1:
            raise RuntimeError(f"rejected, reason {reason}")
        self.send(self.frame(payload=bytes(32)))
        op, _, _, _, data = self.next_frame()
        if op != 0 or len(data) != 32:
            raise RuntimeError("no greeting")
        self.addr, self.key = struct.unpack(">QI", data[:12])
        return self

    def untaken(self):
        """Bytes that the server's TCP has, and the server has not taken."""
        ports = f":{PORT:04X}", f":{self.sock.getsockname()[1]:04X}"
        for table in ("tcp", "tcp6"):
            with open(f"/proc/net/{table}", encoding="ascii") as f:
                for line in f:
                    word = line.split()
                    if (word[1][-5:], word[2][-5:]) == ports:
                        return int(word[4].split(":")[1], 16)
        raise Closed

    def ended(self):
        """Waits for the end; returns the code of the report, if there was one."""
        code = None
        try:
            while True:
                op, _, _, words, _ = self.next_frame()
                if op == 0x81:
                    code = words[0] >> 32
        except Closed:
            pass
        except socket.timeout as e:
            raise RuntimeError("the connection is still there") from e
        self.sock.close()
        return code

    def in_two(self, data, cut):
        """Sends DATA in two pieces, which the server's TCP does not put together again."""
        self.send(data[:cut])
        time.sleep(0.002)
        self.send(data[cut:])

    def blocked(self):
        """Has the server send a long response that nobody takes, behind which everything waits; returns how long it is."""
        self.send(self.frame(op=2, count=4, words=[self.addr, 1 << 20, self.key] * 4))
        if self.recv(16)[1] != 3:
            raise RuntimeError("no response")
        return 4 << 20

    def rest(self, frame, sent):
        """Sends what is missing of the last one of the frames, or one more."""
        self.send(frame[sent % len(frame):])

    def read(self, want, at):
        """Reads what is AT that place of the region: it must be WANT."""
        self.send(self.frame(op=2, count=1, words=[self.addr + at, len(want), self.key]))
        op, _, _, _, data = self.next_frame()
        if op != 3 or data != want:
            raise RuntimeError(f"read: operation {op}, {len(data)} bytes" + ", others" * (op == 3))

    def write(self, data, at):
        """Writes DATA there, and waits for the acknowledgement."""
        self.send(self.frame(op=4, flags=4, count=1, words=[self.addr + at, len(data), self.key], payload=data))
        if self.next_frame()[:3] != (0, 0, 2):
            raise RuntimeError("write: no acknowledgement")

    def echo(self, data=b"x" * 100):
        self.send(self.frame(payload=data))
        while True:
            op, _, op_data, _, got = self.next_frame()
            if op == 0 and op_data == 0:
                break
        if got != data:
            raise RuntimeError("wrong echo")


CASES = []


def case(f):
    CASES.append(f)
    return f


def until(condition):
    """Waits for CONDITION."""
    end = time.time() + 30
    while not condition():
        if time.time() > end:
            raise RuntimeError("waited in vain")
        time.sleep(0.01)


def refused(hello=None, raw=None):
    p = Peer()
    p.send(p.hello(**hello) if raw is None else raw)
    try:
        kind, reason, _ = p.answer()
    except Closed:
        return None
    if kind != 6:
        raise RuntimeError("accepted")
    p.ended()
    return reason


def broken(loop=PINGPONG, code=PROTOCOL, order="<", **frame):
    p = Peer(order=order).start(loop)
    words = frame.pop("elements", None)
    if words is not None:
        frame["words"] = [w for e in words(p) for w in e]
        frame.setdefault("count", len(frame["words"]) // 3)
    p.send(p.frame(**frame))
    got = p.ended()
    if got != code:
        raise RuntimeError(f"report {got} instead of {code}")


@case
def connection_messages():
    for change in [dict(version=v) for v in (0, 2, 4, 255)] + [dict(kind=k) for k in (*range(1, 8), 255)] + \
            [dict(length=n) for n in (257, 65535)] + [dict(probe=p) for p in (bytes(8), b"\xff" * 8, b"\0" * 4 + b"\1" + b"\0" * 3)]:
        if refused(change) is not None:
            raise RuntimeError(f"answered {change}")


@case
def additions():
    """What this version of kfi does not know, and what is no offer, it leaves out. A field means nothing where it has no meaning."""
    for features, ird, order in ((0xffff, 0, 255), (0xfff0, 255, 0), (ERRORS, 255, 255), (CREDITS, 3, 5), (0, 1, 1)):
        p = Peer()
        hello = bytearray(p.hello(features=features, ird=ird, ord=order, credits=65535))
        # The reason of a reject, and nothing.
        hello[22:24] = b"\xff\xff"
        p.send(bytes(hello))
        if p.answer()[0] != 1:
            raise RuntimeError("rejected")
        service, magic, got, _, got_ird, got_ord, reason, _ = struct.unpack(">I8sHHBBBB", p.head[4:24])
        if (service, magic, reason) != (SERVICE, MAGIC, 0):
            raise RuntimeError(f"answer {p.head}")
        # Both are 16 at the server.
        if got & ~features & 0xffff or got & ~0xf or (got_ird, got_ord) != (min(order, 16), min(ird, 16)):
            raise RuntimeError(f"features {got:x}, ird {got_ird}, ord {got_ord}")
        p.send(p.frame(payload=bytes(32)))
        if p.next_frame()[0] not in (0, 0x80):
            raise RuntimeError("no greeting")
        p.sock.close()
    # Another magic: no addition, so no service either.
    if refused(dict(magic=b"kfi-tcp2", features=0xffff)) != 0:
        raise RuntimeError("kfi of another kind")


@case
def rejects():
    if refused(dict(service=SERVICE + 1)) != 1:
        raise RuntimeError("unknown service")
    # libfabric on the port that consumers share, and kfi without a service number.
    if refused(dict(magic=bytes(8), features=0, service=0)) != 0 or refused(dict(service=0)) != 1:
        raise RuntimeError("no service")
    if refused(dict(private=b"nonsense")) != 0 or refused(dict(private=bytes(256))) != 0:
        raise RuntimeError("the consumer took nonsense")


@case
def any_segmentation():
    p = Peer()
    for byte in p.hello():
        p.send(bytes([byte]))
    p.answer()
    for byte in p.frame(payload=bytes(32)):
        p.send(bytes([byte]))
    p.next_frame()
    p.echo()
    p.sock.close()
    p = Peer()
    p.send(p.hello() + p.frame(payload=bytes(32)))
    p.answer()
    p.next_frame()
    for cut in range(1, 48):
        p.in_two(p.frame(payload=bytes(32)), cut)
        p.next_frame()
    p.sock.close()
    p = Peer().start(WRITE)
    for cut in range(1, 92):
        data = os.urandom(20)
        p.in_two(p.frame(op=4, flags=5, count=2, words=[7, p.addr, 15, p.key, p.addr + 15, 5, p.key], payload=data), cut)
        if p.next_frame()[:3] != (0, 0, 2):
            raise RuntimeError("no acknowledgement")
        p.in_two(p.frame(op=2, count=4, words=[w for n in range(4) for w in (p.addr + n * 5, 5, p.key)]), cut + 20)
        if p.next_frame()[4] != data:
            raise RuntimeError("other data")
    p.sock.close()


@case
def silence():
    peers = []
    for cut in (0, 1, 31, 40):
        peers.append(Peer())
        peers[-1].send(peers[-1].hello()[:cut])
    for p in peers:
        p.sock.settimeout(25)
        p.ended()


@case
def half_open():
    """Far more than are waited for: the oldest are closed, nothing piles up, and others can connect."""
    count = 10000
    resource.setrlimit(resource.RLIMIT_NOFILE, (count + 100, count + 100))
    before = memory()
    peers = [Peer() for _ in range(count)]
    Peer().start().echo()
    grown = before - memory()
    left = 0
    for p in peers:
        p.sock.setblocking(False)
        try:
            left += p.sock.recv(1) != b""
        except BlockingIOError:
            left += 1
        except OSError:
            pass
        p.sock.close()
    if not 0 < left <= 128:
        raise RuntimeError(f"{left} of {count} are waited for")
    # Both ends' sockets are the test's own: 4 KiB for each.
    if grown > 128 << 20:
        raise RuntimeError(f"{grown >> 20} MiB")


@case
def second_request():
    p = Peer().start()
    p.send(p.hello())
    if p.ended() != PROTOCOL:
        raise RuntimeError("no report")


@case
def vanishes():
    for cut in (0, 10, 32, 48):
        p = Peer()
        p.send(p.hello()[:cut])
        p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        p.sock.close()
    for cut in (1, 16, 17, 1000):
        for linger in (0, 1):
            p = Peer().start()
            p.send(p.frame(payload=bytes(2000))[:cut])
            p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
            p.sock.close()


@case
def partial_frames():
    """A stream that ends behind any byte of a frame: its consumer hears of each end, and no acknowledgement comes."""
    server, count = Server(), 0
    server.set(run=1)
    for linger in (None, 0):
        for cut in range(46):
            p = Peer(service=server.service).start(WRITE)
            p.send(p.frame(op=4, flags=4, count=1, words=[p.addr, 6, p.key], payload=b"sixsix")[:cut])
            if linger is None:
                p.sock.shutdown(socket.SHUT_WR)
                if p.ended() is not None:
                    raise RuntimeError("a report")
                if p.head[0:2] == b"\3\0" and p.head[4] == 2:
                    raise RuntimeError("an acknowledgement")
            else:
                p.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                p.sock.close()
            count += 1
    until(lambda: server.result("disconnected") == str(count))
    server.remove()


@case
def lengths():
    for op, words, size in ((2, [1, 2, 3], 39), (4, [1, 2, 3], 39), (0x81, [1 << 32], 23)):
        for bad in (0, size, size + 2, size + 2 + (1 << 32), size + 2 + (1 << 63), TOP):
            broken(op=op, count=len(words) // 3, words=words, size=bad)
        for length in (16, size - 7, size + 9, 255):
            broken(op=op, count=len(words) // 3, words=words, length=length, size=255)
    for size in (17, 1 << 32, 1 << 63, TOP):
        broken(op_data=2, size=size)
        broken(op=3, size=size)
    # Flags and the words that go with them.
    broken(flags=1)
    broken(flags=1, length=32, words=[1])
    broken(flags=0x101, words=[1])
    broken(op=2, count=2, words=[1, 2, 3])
    broken(op=4, count=1, flags=0x100, words=[1, 1, 0, 1])


@case
def headers():
    for f in ([dict(version=v) for v in (0, 2, 4, 255)] + [dict(op=o) for o in (1, 5, 6, 7, 8, 0x7f, 0x80, 0x82, 255)] +
              [dict(flags=f) for f in (0x2, 0x10, 0x80, 0x200, 0x400, 0x800, 0x8000)] +
              [dict(length=n) for n in (0, 8, 15, 17, 24, 120, 255)] + [dict(size=n) for n in (0, 15)] +
              [dict(op_data=n) for n in (1, 3, 255)] + [dict(op_data=2, payload=b"x"), dict(op_data=2, flags=4)] +
              [dict(op=2, count=n) for n in (0, 5, 255)] + [dict(op=4, count=n) for n in (0, 5, 255)] +
              [dict(op=2, flags=1, count=1, words=[1, 2, 3, 4]), dict(op=3, flags=1, words=[1])]):
        broken(**f)


@case
def answers_to_nothing():
    broken(op_data=2)
    broken(op=3)
    broken(op=3, payload=b"data")


@case
def reports():
    """A report is the last that is looked at, and nobody answers it."""
    for code in (0, 1, 6, 7, 0xffffffff):
        p = Peer().start()
        p.send(p.frame(op=0x81, words=[code << 32 | 0xffffffff]) + p.frame(version=9))
        if p.ended() is not None:
            raise RuntimeError("a report of a report")
    broken(op=0x81, flags=4, words=[1 << 32])
    broken(op=0x81, words=[1 << 32], payload=b"x")


@case
def cq_data():
    p = Peer().start()
    for data in (0, 1, 1 << 32, TOP):
        p.send(p.frame(flags=1, words=[data], payload=b"data"))
        if p.next_frame()[4] != b"data":
            raise RuntimeError("wrong echo")
    p.sock.close()
    # Writes that take receives, of which the server has fewer.
    p = Peer().start(WRITE)
    for n in range(40):
        p.send(p.frame(op=4, flags=5, count=1, words=[TOP - n, p.addr, n % 9, p.key], payload=bytes(n % 9)))
        if p.next_frame()[:3] != (0, 0, 2):
            raise RuntimeError("no acknowledgement")
    p.sock.close()


@case
def acknowledged_once():
    """Each of the flags that ask for an acknowledgement, both, and where they mean nothing."""
    p = Peer().start(WRITE)
    for flags in (4, 8, 12):
        p.send(p.frame(op=4, flags=flags, count=1, words=[p.addr, 8, p.key], payload=b"8 bytes."))
        if p.next_frame()[:3] != (0, 0, 2):
            raise RuntimeError("no acknowledgement")
        p.send(p.frame(op=2, flags=flags, count=1, words=[p.addr, 8, p.key]))
        if p.next_frame()[0] != 3:
            raise RuntimeError("something before the response")
        p.read(b"8 bytes.", 0)
    p.sock.close()


@case
def stale_count_and_sequence():
    p = Peer().start()
    for count in (1, 4, 5, 255):
        p.seq = random.randrange(256)
        p.send(p.frame(count=count, payload=b"x" * 40))
        p.next_frame()
    p.sock.close()


@case
def keys():
    # One that grants nothing of the kind: the loop needs no region.
    broken(PINGPONG, KEY, op=2, elements=lambda p: [(p.addr, 8, p.key)])
    for bad in (lambda k: k ^ 1, lambda k: k ^ 0x80000000, lambda k: 0, lambda k: k | 1 << 32, lambda k: TOP):
        broken(WRITE, KEY, op=4, payload=b"12345678", elements=lambda p: [(p.addr, 8, bad(p.key))])
        broken(READ, KEY, op=2, elements=lambda p: [(p.addr, 8, bad(p.key))])
    # Not the first element alone is looked at.
    broken(WRITE, KEY, op=4, payload=bytes(16), elements=lambda p: [(p.addr, 8, p.key), (p.addr, 8, p.key ^ 1)])
    broken(READ, KEY, op=2, elements=lambda p: [(p.addr, 8, p.key)] * 3 + [(p.addr, 8, p.key ^ 1)])
    other = Peer().start(WRITE)
    broken(WRITE, KEY, op=4, payload=b"12345678", elements=lambda p: [(other.addr, 8, other.key)])
    gone = Peer().start(WRITE)
    gone.sock.close()
    broken(WRITE, KEY, op=4, payload=b"12345678", elements=lambda p: [(gone.addr, 8, gone.key)])
    # Once a wrong key has been seen the right one is worth nothing.
    other.send(other.frame(op=4, count=1, words=[other.addr, 8, other.key], payload=b"12345678"))
    other.send(other.frame(payload=bytes(64)))
    other.sock.close()


@case
def ranges():
    region = 4096
    for addr, length in ((-1, 8), (region, 1), (region - 7, 8), (region + 1, 0), (0, region + 1), (1 << 63, 8), (0, 1 << 40),
                         (0, 1 << 63), (0, TOP), (TOP, 1), (8, TOP - 7)):
        broken(READ, RANGE, op=2, elements=lambda p, a=addr, n=length: [(p.addr + a, n, p.key)])
        if length <= region + 1:
            broken(WRITE, RANGE, op=4, payload=bytes(length), elements=lambda p, a=addr, n=length: [(p.addr + a, n, p.key)])
    for op, size in ((2, 0), (4, 16)):
        broken(READ, RANGE, op=op, payload=bytes(size), elements=lambda p: [(p.addr, 8, p.key), (p.addr + region - 7, 8, p.key)])


@case
def sums():
    for sizes, size in (((8,), 7), ((8,), 9), ((8, 8), 8), ((1 << 63, 1 << 63), 0), ((1 << 62,) * 4, 0), ((TOP, 1), 0)):
        broken(WRITE, PROTOCOL, op=4, payload=bytes(size), elements=lambda p, s=sizes: [(p.addr, n, p.key) for n in s])
    broken(READ, PROTOCOL, op=2, elements=lambda p: [(p.addr, 1 << 63, p.key)] * 2)


@case
def several_elements():
    p = Peer().start(READ, size=16384)
    for parts in (((0, 8),), ((0, 8),) * 4, ((0, 4096), (100, 1), (4000, 200), (0, 0)), ((16384, 0),)):
        p.send(p.frame(op=2, count=len(parts), words=[w for a, n in parts for w in (p.addr + a, n, p.key)]))
        op, _, _, _, data = p.next_frame()
        if op != 3 or len(data) != sum(n for _, n in parts):
            raise RuntimeError(f"{op} {len(data)}")
    p.sock.close()
    p = Peer().start(WRITE, size=16384)
    for parts in (((0, 8),) * 4, ((0, 5000), (4, 4), (4095, 3), (0, 1)), ((0, 0),)):
        total = sum(n for _, n in parts)
        p.send(p.frame(op=4, flags=4, count=len(parts), words=[w for a, n in parts for w in (p.addr + a, n, p.key)],
                       payload=bytes(total)))
        if p.next_frame()[:3] != (0, 0, 2):
            raise RuntimeError("no acknowledgement")
    p.sock.close()


@case
def other_byte_order():
    p = Peer(order=">").start()
    p.echo()
    p.sock.close()
    p, data = Peer(order=">").start(WRITE, size=65536), os.urandom(65536)
    # Payload is never converted.
    p.write(data[:40001], 0)
    p.write(data[40001:], 40001)
    p.read(data, 0)
    p.read(data[3:10], 3)
    p.sock.close()
    broken(READ, KEY, ">", op=4, payload=bytes(8), elements=lambda p: [(p.addr, 8, p.key ^ 1)])
    broken(READ, RANGE, ">", op=2, elements=lambda p: [(p.addr + 4090, 8, p.key)])


@case
def invalidations():
    for key in (lambda p: 0, lambda p: p.key ^ 2, lambda p: 1 << 32):
        p = Peer().start(WRITE)
        p.send(p.frame(flags=0x100, words=[key(p)], payload=bytes(8)))
        if p.ended() != KEY:
            raise RuntimeError("no report")
    # The right one: whatever the consumer makes of it, the key is gone.
    p = Peer().start(WRITE)
    p.send(p.frame(flags=0x100, words=[p.key], payload=bytes(8)))
    p.send(p.frame(op=4, count=1, words=[p.addr, 8, p.key], payload=bytes(8)))
    p.ended()
    p = Peer(features=0).start()
    p.send(p.frame(flags=0x100, words=[1], payload=bytes(8)))
    if p.ended() is not None:
        raise RuntimeError("a report that was not agreed on")


@case
def credits():
    for order in "<>":
        credits_in(order)


def credits_in(order):
    # More messages than there are receives: the server has two for each of the depth.
    p = Peer(order, features=ERRORS | CREDITS).start(credits=100)
    p.send(b"".join(p.frame(payload=bytes(32)) for _ in range(64)))
    if p.ended() != PROTOCOL:
        raise RuntimeError("no report")
    # The server has one message, its greeting. What else it has to say needs no credit.
    p = Peer(order, features=ERRORS | CREDITS).start(credits=1)
    p.send(p.frame(flags=0x4, payload=b"y" * 50))
    op, _, op_data, _, _ = p.next_frame()
    while op == 0x80:
        op, _, op_data, _, _ = p.next_frame()
    if op != 0 or op_data != 2:
        raise RuntimeError("a message without credit")
    p.send(p.frame(op=0x80, flags=0x200, words=[2]))
    op, _, op_data, _, data = p.next_frame()
    if op != 0 or op_data != 0 or data != b"y" * 50:
        raise RuntimeError("no message with credit")
    # Limits do not shrink, and need the feature.
    p.send(p.frame(op=0x80, flags=0x200, words=[1]))
    if p.ended() != PROTOCOL:
        raise RuntimeError("no report")
    for limit in (2 + (1 << 31), 1 << 32, TOP):
        p = Peer(order, features=ERRORS | CREDITS).start(credits=2)
        p.send(p.frame(op=0x80, flags=0x200, words=[limit]))
        if p.ended() != PROTOCOL:
            raise RuntimeError(f"limit {limit}")
    broken(order=order, op=0x80, flags=0x200, words=[5])
    broken(order=order, flags=0x200, words=[5], payload=bytes(8))


@case
def too_long():
    # The receive fails, and the connection with it, whatever is behind the header.
    p = Peer().start()
    p.send(p.frame(payload=bytes(4097)))
    if p.ended() != RANGE:
        raise RuntimeError("no report")
    for size in (1 << 20, 1 << 40, 1 << 63, TOP - 16):
        p = Peer().start()
        p.send(p.frame(size=16 + size))
        if p.ended() != RANGE:
            raise RuntimeError("no report")


def flood(p, data, seconds=3):
    p.sock.settimeout(0.5)
    end = time.time() + seconds
    sent = 0
    try:
        while time.time() < end:
            sent += p.sock.send(data)
    except (OSError, socket.timeout):
        pass
    return sent


def stuffed(p, frame, most=24 << 20):
    """Sends FRAME again and again until the server has not taken anything for a while; returns how many bytes that were."""
    p.sock.settimeout(2)
    sent, data = 0, frame * 64
    try:
        while sent < most:
            sent += p.sock.send(data[sent % len(frame):])
    except socket.timeout:
        p.sock.settimeout(30)
        return sent
    raise RuntimeError(f"{sent} bytes taken")


def memory():
    """Bytes that the system could give out."""
    with open("/proc/meminfo", encoding="ascii") as f:
        return next(int(line.split()[1]) for line in f if line.startswith("MemAvailable")) << 10


class Flat:
    """What happens inside needs no memory in the end but that of the sockets' buffers."""

    def __enter__(self):
        self.before = memory()

    def __exit__(self, *error):
        grown = self.before - memory()
        if error[0] is None and grown > 48 << 20:
            raise RuntimeError(f"{grown >> 20} MiB more are used")


@case
def no_receive():
    # The server answers each message and runs out of receives, because nobody takes its answers.
    p = Peer().start(depth=4)
    with Flat():
        sent = flood(p, p.frame(payload=bytes(4096)) * 16)
    if not 100000 < sent < 64 << 20:
        raise RuntimeError(f"{sent} bytes taken")
    Peer().start().echo()
    p.sock.close()


@case
def reads_without_taking():
    """The server stops reading; everything is answered in the end."""
    p = Peer(room=65536).start(READ, size=16384)
    request = p.frame(op=2, count=1, words=[p.addr, 16384, p.key])
    with Flat():
        sent = stuffed(p, request)
    Peer().start().echo()
    for _ in range(sent // len(request)):
        op, _, _, _, data = p.next_frame()
        if op != 3 or len(data) != 16384:
            raise RuntimeError(f"{op} {len(data)}")
    p.rest(request, sent)
    if p.next_frame()[0] != 3:
        raise RuntimeError("no response")
    p.read(b"", 0)
    p.sock.close()


@case
def invalidated_while_sent():
    """A region is invalidated while a response from it is being sent: the connection ends before the response does."""
    p, size = Peer(room=4096).start(READ, size=1 << 20), 1 << 20
    p.send(p.frame(op=2, count=1, words=[p.addr, size, p.key]))
    p.recv(16)
    p.send(p.frame(flags=0x100, words=[p.key], payload=bytes(8)))
    # By then the server has looked at that.
    Peer().start().echo()
    try:
        p.recv(size)
    except Closed:
        return
    raise RuntimeError("all of it was sent")


@case
def amplified_reads():
    """Each request asks for four times the region: what waits is bounded, and everything comes in the end."""
    p = Peer(room=65536).start(READ, size=1 << 20)
    requests = [p.frame(op=2, count=4, words=[p.addr, 1 << 20, p.key] * 4) for _ in range(12)]
    with Flat():
        p.send(b"".join(requests))
        # By then the server has looked at all of them.
        for _ in range(3):
            Peer().start().echo()
        taken = len(requests) - p.untaken() / len(requests[0])
    # 16 MiB, and the response that is being sent.
    if taken != 5:
        raise RuntimeError(f"{taken} requests taken")
    p.sock.settimeout(30)
    for _ in requests:
        op, _, _, _, data = p.next_frame()
        if op != 3 or len(data) != 4 << 20:
            raise RuntimeError(f"{op} {len(data)}")
    p.read(b"", 0)
    p.sock.close()


@case
def queued_reads():
    """As many requests are taken as the peer has said that it has outstanding, and the one that is answered."""
    for order in (0, 1, 5, 16):
        p = Peer(room=4096).start(READ, size=1 << 20, ord=order)
        size, more = p.blocked(), 7
        requests = [p.frame(op=2, count=1, words=[p.addr, n, p.key]) for n in range(max(order, 1) + more)]
        p.send(b"".join(requests))
        # By then the server has looked at all of them.
        Peer().start().echo()
        left = p.untaken()
        if left != more * len(requests[0]):
            raise RuntimeError(f"ord {order}: {left} bytes left")
        p.sock.settimeout(30)
        p.recv(size)
        for n in range(len(requests)):
            op, _, _, _, data = p.next_frame()
            if op != 3 or len(data) != n:
                raise RuntimeError(f"{op} {len(data)} instead of response {n}")
        p.sock.close()


@case
def queued_acknowledgements():
    """256 wait, and those that are about to be sent."""
    p = Peer(room=4096).start(READ, size=1 << 20)
    size, ahead = p.blocked(), 8
    writes = [p.frame(op=4, flags=4, count=1, words=[p.addr, 0, p.key]) for _ in range(300)]
    p.send(b"".join(writes))
    Peer().start().echo()
    taken = len(writes) - p.untaken() / len(writes[0])
    if not 256 <= taken <= 256 + ahead:
        raise RuntimeError(f"{taken} taken")
    p.sock.settimeout(30)
    p.recv(size)
    for n in range(len(writes)):
        if p.next_frame()[:3] != (0, 0, 2):
            raise RuntimeError(f"no acknowledgement {n}")
    p.read(b"", 0)
    p.sock.close()


@case
def acknowledgements_without_taking():
    """The server stops reading; each write is acknowledged in the end, once."""
    p = Peer(room=4096).start(WRITE)
    write = p.frame(op=4, flags=4, count=1, words=[p.addr, 0, p.key])
    with Flat():
        sent = stuffed(p, write)
    Peer().start().echo()
    for n in range(sent // len(write)):
        if p.next_frame()[:3] != (0, 0, 2):
            raise RuntimeError(f"no acknowledgement {n} of {sent // len(write)}")
    p.rest(write, sent)
    if p.next_frame()[:3] != (0, 0, 2):
        raise RuntimeError("no acknowledgement of the last one")
    # Nothing is before this response.
    p.read(b"", 0)
    p.sock.close()


class Server:
    """One more server of kfi_perf, that comes and goes."""

    service = SERVICE + 50

    def __init__(self):
        self.dir = "/sys/kernel/config/kfi_perf/hostile"
        os.mkdir(self.dir)
        self.set(role="server", addr=f"{SERVER}:{self.service}", provider="tcp")

    def set(self, **values):
        for key, value in values.items():
            with open(f"{self.dir}/{key}", "w", encoding="ascii") as f:
                f.write(str(value))

    def result(self, key):
        with open(f"{self.dir}/result", encoding="ascii") as f:
            return dict(line.strip().split("=", 1) for line in f if "=" in line)[key]

    def remove(self):
        self.set(run=0)
        os.rmdir(self.dir)


@case
def listener_closed():
    """Requests of all ages while the listener comes and goes."""
    server, peers, answers = Server(), [], set()
    hello = Peer(service=server.service).hello()
    for n in range(40):
        server.set(run=1)
        for cut in (0, 10, len(hello), len(hello)):
            peers.append(Peer(service=server.service))
            peers[-1].send(hello[:cut])
        server.set(run=0)
        peers[n].sock.close()
    server.remove()
    for p in peers[40:]:
        try:
            p.send(hello)
            answers.add(p.answer()[0])
        except Closed:
            pass
        p.sock.close()
    if not answers <= {1, 6}:
        raise RuntimeError(f"answers {answers}")


@case
def region_closed():
    """The server ends while its region is written, read, and waits to be sent: nothing more is placed or sent."""
    server = Server()
    service = server.service
    for cut in (1, 16, 40, 41, 5000, 16384):
        server.set(run=1)
        writer = Peer(service=service).start(WRITE, size=16384)
        data = writer.frame(op=4, flags=4, count=1, words=[writer.addr, 16384, writer.key], payload=bytes(16384))
        writer.send(data[:cut])
        readers = [Peer(service=service).start(READ, size=16384) for _ in range(4)]
        for p in readers:
            flood(p, p.frame(op=2, count=1, words=[p.addr, 16384, p.key]) * 16, seconds=0.1)
        stuck = Peer(service=service).start(depth=4)
        flood(stuck, stuck.frame(payload=bytes(4096)), seconds=0.1)
        server.set(run=0)
        for p in (writer, stuck, *readers):
            try:
                p.send(data[cut:] or b"x")
            except Closed:
                pass
            p.sock.settimeout(8)
            # What was sent before is all that comes, to its end or to a reset within a frame.
            p.ended()
    server.remove()


@case
def slow():
    peers = []
    for n in range(1000):
        p = Peer().start()
        p.send(p.frame(payload=bytes(100))[:n % 110 + 1])
        peers.append(p)
    Peer().start().echo()
    for p in peers:
        p.sock.close()


@case
def random_bytes():
    rnd = random.Random(1)
    for _ in range(150):
        p = Peer().start(rnd.randrange(4))
        data = bytearray(p.frame(op=rnd.choice((0, 0, 2, 3, 4)), flags=rnd.choice((0, 1, 4, 5)), count=1,
                                 words=[p.addr, 8, p.key][:rnd.randrange(4)], payload=bytes(rnd.randrange(64))))
        for _ in range(rnd.randrange(1, 4)):
            data[rnd.randrange(len(data))] = rnd.randrange(256)
        try:
            p.send(bytes(data))
        except Closed:
            pass
        p.sock.close()


def main(cases):
    failed = 0
    for f in cases:
        if sys.argv[4:] and f.__name__ not in sys.argv[4:]:
            continue
        try:
            f()
            print(f"ok {f.__name__}", flush=True)
        except Exception as e:  # pylint: disable=broad-except
            failed = 1
            print(f"not ok {f.__name__}: {type(e).__name__} {e}", flush=True)
    return failed


def hold():
    """Keeps connections of all kinds until there is no more input."""
    peers = [Peer().start(n % 4) for n in range(20)]
    for n, p in enumerate(peers):
        p.send(p.frame(payload=bytes(100))[:n * 5])
    peers += [Peer() for _ in range(20)]
    print("held", flush=True)
    sys.stdin.read()


TABLE = []
for n in range(256):
    for _ in range(8):
        n = n >> 1 ^ (0x82f63b78 if n & 1 else 0)
    TABLE.append(n)


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xffffffff


class Digests(Peer):
    """A peer that has agreed on CRC32C."""

    def __init__(self, order="<"):
        super().__init__(order, features=ERRORS | CRC32C)

    def frame(self, flags=0, words=(), payload=b"", wrong=None, **rest):
        """WRONG: the digest of the "header" or of the "payload"; or the header has none and no "flag"."""
        if wrong == "flag":
            return super().frame(flags=flags, words=words, payload=payload, **rest)
        length = 24 + 8 * len(words)
        data = super().frame(flags=flags | 0x400, words=words, length=length, size=length + len(payload), **rest)
        data += struct.pack(self.order + "Q", crc32c(data) ^ (wrong == "header")) + payload
        return data + (struct.pack(self.order + "I", crc32c(payload) ^ (wrong == "payload")) if payload else b"")

    def next_frame(self):
        op, flags, op_data, words, data = super().next_frame()
        if not flags & 0x400 or crc32c(self.head[:-8]) != words[-1]:
            raise RuntimeError("wrong digest of a header")
        if data and crc32c(data) != struct.unpack(self.order + "I", self.recv(4))[0]:
            raise RuntimeError("wrong digest of a payload")
        return op, flags, op_data, words[:-1], data


def digests():
    """Needs tcp_crc32c=1. What is read may be written behind that, before it has been sent: the digest is that of what was."""
    for order in "<>":
        p, size, new = Digests(order).start(READ, size=1 << 20), 1 << 20, os.urandom(1 << 16)
        p.send(p.frame(op=2, count=1, words=[p.addr, size, p.key]))
        p.send(p.frame(op=4, count=1, words=[p.addr + size - len(new), len(new), p.key], payload=new))
        # By then the server has looked at the write.
        Peer().start().echo()
        op, _, _, _, data = p.next_frame()
        if op != 3 or len(data) != size:
            raise RuntimeError(f"{op} {len(data)}")
        if data[-len(new):] != new:
            raise RuntimeError("the response was sent before the write came")
        p.sock.close()


# What is wrong, and the code of the report.
WRONG_DIGESTS = (("payload", DIGEST), ("header", DIGEST), ("flag", PROTOCOL))


def wrong_digests():
    """Needs tcp_crc32c=1. Nothing is delivered or acknowledged; the report is the first that comes."""
    for order, (wrong, code) in itertools.product("<>", WRONG_DIGESTS):
        for loop, op, size in ((PINGPONG, 0, 1), (PINGPONG, 0, 4096), (WRITE, 4, 1), (WRITE, 4, 4096), (READ, 2, 0)):
            if wrong == "payload" and size == 0:
                continue
            p = Digests(order).start(loop)
            words = [p.addr, size, p.key] if op else []
            p.send(p.frame(op=op, flags=4 if size else 0, count=len(words) // 3, words=words, payload=os.urandom(size),
                           wrong=wrong))
            op, _, _, words, _ = p.next_frame()
            if op != 0x81 or words[0] >> 32 != code:
                raise RuntimeError(f"{wrong}: operation {op}, {words} instead of report {code}")
            p.ended()


def other_address():
    """SERVER is an address of the host at which nobody listens. Silence and a request end the same way: at once, unanswered."""
    p = Peer()
    if p.ended() is not None or refused({}) is not None or refused(raw=b"\x16\x03\x01") is not None:
        raise RuntimeError("answered")


if __name__ == "__main__" and sys.argv[4:] == ["hold"]:
    hold()
elif __name__ == "__main__" and sys.argv[4:] == ["digests"]:
    sys.argv[4:] = []
    sys.exit(main([digests, wrong_digests]))
elif __name__ == "__main__" and sys.argv[4:] == ["other_address"]:
    sys.exit(main([other_address]))
elif __name__ == "__main__":
    sys.exit(main(CASES))
