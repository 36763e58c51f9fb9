#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""The other side of tcp_peer.py: what listens breaks the rules, against a client of kfi_perf. Used by tcp_hostile.sh.

Arguments: a network namespace to listen in, the address there, ours; the only cases to run. Prints the same lines as tcp_peer.py."""

import ctypes
import errno
import itertools
import os
import socket
import struct
import sys
import threading
import time

NETNS, ADDR, LOCAL, *only = sys.argv[1:]
SERVICE, PORT = 7003, 20077
sys.argv[1:] = [ADDR, str(SERVICE), LOCAL, *only]
# pylint: disable=wrong-import-position
from tcp_peer import CRC32C, CREDITS, ERRORS, KEY, PROTOCOL, RANGE, SEND_INV, TOP, WRONG_DIGESTS, Closed, Digests, Peer, main

PERF = "/sys/kernel/config/kfi_perf"
DONE = -errno.ECANCELED
LIBC = ctypes.CDLL(None, use_errno=True)


class Client(threading.Thread):
    """A client of kfi_perf that connects to us."""

    count = 0

    def __init__(self, **params):
        super().__init__(daemon=True)
        Client.count += 1
        self.dir = f"{PERF}/listener-{Client.count}"
        os.mkdir(self.dir)
        params = dict(dict(loop="pingpong", size=4096, depth=4, iterations=1000000000), **params)
        where = f"[{ADDR}]" if ":" in ADDR else ADDR
        for key, value in dict(provider="tcp", addr=f"{where}:{SERVICE}", src=LOCAL, **params).items():
            self.write(key, value)
        self.error = 0
        self.start()

    def write(self, key, value):
        # Python's own functions write once more after EINTR, with which an aborted run ends.
        fd = os.open(f"{self.dir}/{key}", os.O_WRONLY)
        text = str(value).encode()
        done = LIBC.write(fd, text, len(text))
        error = ctypes.get_errno()
        os.close(fd)
        if done < 0:
            raise OSError(error, os.strerror(error))

    def run(self):
        try:
            self.write("run", 1)
        except OSError as e:
            self.error = -e.errno

    def result(self, seconds=15):
        """Waits for the end; every operation must have completed, once."""
        self.join(seconds)
        if self.is_alive():
            raise RuntimeError("the client does not end")
        with open(f"{self.dir}/result", encoding="ascii") as f:
            result = dict(line.strip().split("=", 1) for line in f if "=" in line)
        os.rmdir(self.dir)
        if result["posted"] != result["completed"]:
            raise RuntimeError(f"posted {result['posted']}, completed {result['completed']}")
        if result["mismatches"] != "0":
            raise RuntimeError("wrong data")
        return result

    def abort(self):
        self.write("abort", 1)


class Host(Peer):
    """A connection that we have accepted."""

    def __init__(self, sock, order="<"):  # pylint: disable=super-init-not-called
        self.sock, self.order, self.seq, self.head = sock, order, 0, b""
        self.service, self.features, self.credits = SERVICE, 0, 0
        sock.settimeout(8)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def request(self):
        head = self.recv(32)
        version, kind, length, self.service, magic, self.features, self.credits = struct.unpack(">BBHI8sHH", head[:20])
        if (version, kind, magic) != (3, 0, b"kfi-tcp1"):
            raise RuntimeError("no request")
        self.recv(length)
        return self

    def accept(self, **change):
        change = dict(dict(kind=1, private=b""), **change)
        self.send(self.hello(**change))
        return self

    def greet(self):
        """The client's greeting and ours; it reads and writes 64 KiB at 0x1000 with key 7."""
        if self.next_frame()[0] != 0:
            raise RuntimeError("no greeting")
        self.send(self.greeting())
        return self

    def established(self, features=ERRORS, **change):
        return self.request().accept(features=self.features & features, **change).greet()

    def serve(self, count):
        """Does what COUNT of the client's operations ask for; returns how many of each there were."""
        memory, done = bytearray(1 << 16), [0] * 5
        for _ in range(count):
            op, flags, _, words, data = self.next_frame()
            done[op] += 1
            if op == 0:
                self.send(self.frame(payload=data))
                continue
            at, size, key = words[:3]
            at -= 0x1000
            if key != 7 or not 0 <= at <= len(memory) - size:
                raise RuntimeError(f"operation {op}, {words}")
            if op == 2:
                # What is left over from something else means nothing.
                self.send(self.frame(op=3, count=99, flags=12, payload=bytes(memory[at:at + size])))
            else:
                memory[at:at + size] = data
                if flags & 4:
                    self.send(self.frame(op_data=2, count=99))
        return done

    def acknowledged_next(self):
        """Asks for an acknowledgement, before which nothing else comes."""
        self.send(self.frame(flags=4, payload=b"sign"))
        op, _, op_data, _, _ = self.next_frame()
        while op == 0x80:
            op, _, op_data, _, _ = self.next_frame()
        if (op, op_data) != (0, 2):
            raise RuntimeError(f"operation {op} instead of an acknowledgement")

    def greeting(self):
        return self.frame(payload=struct.pack(">QI", 0x1000, 7) + bytes(20))


class DigestHost(Host, Digests):
    """The same where CRC32C is agreed on."""


LISTENER = None


def listen():
    """In the other network namespace."""
    here = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    with open(f"/run/netns/{NETNS}", encoding="ascii") as f:
        os.setns(f.fileno(), os.CLONE_NEWNET)
    sock = socket.socket(socket.AF_INET6 if ":" in ADDR else socket.AF_INET)
    os.setns(here, os.CLONE_NEWNET)
    os.close(here)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # Small, so that a peer that does not read is noticed soon.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sock.bind((ADDR, PORT))
    sock.listen(64)
    sock.settimeout(8)
    return sock


def meet(kind=Host, order="<", **params):
    """A client, and its connection."""
    client = Client(**params)
    return client, kind(LISTENER.accept()[0], order)


def ends(client, *errors, seconds=15):
    client.result(seconds)
    if client.error not in errors:
        raise RuntimeError(f"the client ends with {client.error} instead of {errors}")


def broken(act, *errors, report=None, features=ERRORS, **params):
    """ACT on an established connection ends it; REPORT is what the client must say before."""
    # Reads: what the client sends is short, so that it is always between two frames.
    client, host = meet(**dict(dict(loop="read"), **params))
    host.established(features, credits=100)
    try:
        act(host)
    except Closed:
        pass
    code = host.ended()
    # The first that the client hears is that an operation was cut off.
    ends(client, *(errors or (-errno.EPROTO, DONE)))
    if report is not None and code != report:
        raise RuntimeError(f"report {code} instead of {report}")


CASES = []


def case(f):
    CASES.append(f)
    return f


@case
def data_with_the_accept():
    client, host = meet(iterations=20, depth=1)
    host.request()
    host.send(host.hello(kind=1, private=b"", features=0) + host.greeting())
    host.next_frame()
    for _ in range(20):
        op, _, _, _, data = host.next_frame()
        host.send(host.frame(op=op, payload=data))
    ends(client, 0)
    host.sock.close()


@case
def accept_in_pieces():
    client, host = meet(iterations=1, depth=1)
    for byte in host.request().hello(kind=1, private=b"p" * 20, features=0):
        host.send(bytes([byte]))
    host.greet()
    host.send(host.frame(payload=host.next_frame()[4]))
    ends(client, 0)
    host.sock.close()


@case
def data_before_the_accept():
    client, host = meet()
    host.request().send(host.frame(payload=bytes(32)))
    host.ended()
    ends(client, -errno.EPROTO, DONE)


@case
def second_answer():
    """It is read as a header."""
    for kind in (0, 1, 6):
        broken(lambda h, k=kind: h.send(h.hello(kind=k, private=b"", features=0)), report=PROTOCOL)


@case
def in_pieces():
    """Frames cut at each byte: responses, acknowledgements, messages."""
    client, host = meet(loop="read", size=30, depth=1, iterations=45)
    host.established()
    for cut in range(1, 46):
        host.next_frame()
        host.in_two(host.frame(op=3, payload=bytes(30)), cut)
    ends(client, 0)
    client, host = meet(loop="write", size=30, depth=1, iterations=15)
    host.established()
    for cut in range(1, 16):
        host.next_frame()
        host.in_two(host.frame(op_data=2), cut)
    ends(client, 0)
    client, host = meet(size=30, depth=1, iterations=53, verify=1)
    host.established()
    for cut in range(1, 54):
        data = host.next_frame()[4]
        host.in_two(host.frame(flags=1, words=[TOP - cut], payload=data), cut)
    ends(client, 0)


@case
def partial_frames():
    """The stream ends behind any byte of a response: not one client takes that for the end of an operation."""
    for cut in range(20):
        client, host = meet(loop="read", size=4, depth=1)
        host.established()
        host.next_frame()
        host.send(host.frame(op=3, payload=b"four")[:cut])
        host.sock.shutdown(socket.SHUT_WR)
        result = client.result()
        if client.error >= 0 or result["ops"] != "0":
            raise RuntimeError(f"{client.error}, {result['ops']} operations behind {cut} bytes")
        host.sock.close()


@case
def other_byte_order():
    """Each loop with a host of the other byte order, data checked; then some faults, whose reports are in that order, too."""
    # A write that is verified is read back.
    for loop, size, verify, want in (("pingpong", 64, 1, (30, 0, 0, 0, 0)), ("read", 4096, 0, (0, 0, 30, 0, 0)),
                                     ("write", 5000, 1, (0, 0, 30, 0, 30))):
        client, host = meet(order=">", loop=loop, size=size, verify=verify, iterations=30)
        done = host.established(ERRORS | SEND_INV).serve(sum(want))
        ends(client, 0)
        if tuple(done) != want:
            raise RuntimeError(f"{loop}: operations {done}")
    broken(lambda h: h.send(h.frame(op=3, payload=bytes(10))), report=PROTOCOL, order=">")
    broken(lambda h: h.send(h.frame(op=2, count=1, words=[0x1000, 8, 1])), report=KEY, order=">")
    broken(lambda h: h.send(h.frame(op=0x81, words=[4 << 32])), -errno.EREMOTEIO, -errno.EACCES, -errno.EIO, DONE, order=">")
    # Headers in the client's own order are not.
    broken(lambda h: (setattr(h, "order", "<"), h.send(h.frame(op=3, payload=bytes(4096))), setattr(h, "order", ">")), report=PROTOCOL,
           order=">")


@case
def headers():
    for f in ([dict(version=v) for v in (0, 2, 4, 255)] + [dict(op=o) for o in (1, 5, 6, 7, 8, 0x7f, 0x80, 0x82, 255)] +
              [dict(flags=f) for f in (0x2, 0x10, 0x80, 0x100, 0x200, 0x400, 0x800, 0x8000)] +
              [dict(length=n) for n in (0, 8, 15, 17, 24, 120, 255)] + [dict(size=n) for n in (0, 15)] +
              [dict(op_data=n) for n in (1, 3, 255)] + [dict(op_data=2, payload=b"x"), dict(op_data=2, flags=4)] +
              [dict(op=o, count=n) for o in (2, 4) for n in (0, 5, 255)] +
              [dict(op=3, length=n, size=n + 4096) for n in (8, 24)] + [dict(op=3, flags=1, words=[1], payload=bytes(4096))] +
              [dict(op=3, size=n) for n in (0, 15, 1 << 32, 1 << 63, TOP)] +
              [dict(op=4, count=1, words=[0x1000, 8, 7], payload=bytes(n)) for n in (7, 9)] +
              [dict(op=4, count=2, words=[0x1000, 1 << 63, 7] * 2), dict(op=2, count=2, words=[0x1000, 1 << 63, 7] * 2)] +
              [dict(op=0x81, payload=b"x", words=[1 << 32]), dict(op=0x81, flags=4, words=[1 << 32]), dict(op=0x81)]):
        broken(lambda h, f=f: h.send(h.frame(**f)), report=PROTOCOL)


@case
def too_long():
    """A message longer than the receive: the receive says so, and the connection ends."""
    for size in (4097, 1 << 20, 1 << 40, 1 << 63, TOP - 16):
        broken(lambda h, n=size: h.send(h.frame(size=16 + n)), -errno.EMSGSIZE, report=RANGE)


@case
def reads_beyond_the_limit():
    """The client has no more reads outstanding than its peer has agreed to, and goes on when one is answered."""
    for limit in (0, 1, 3, 16):
        client, host = meet(loop="read", depth=20, size=16)
        host.established(ird=limit)
        for _ in range(limit):
            if host.next_frame()[0] != 2:
                raise RuntimeError("no read request")
        host.acknowledged_next()
        for _ in range(3 * min(limit, 1)):
            host.send(host.frame(op=3, payload=bytes(16)))
            if host.next_frame()[0] != 2:
                raise RuntimeError("no read request behind the response")
            host.acknowledged_next()
        client.abort()
        client.result()
        host.sock.close()


@case
def acknowledgements_beyond_the_limit():
    """The client has 128 of them outstanding, and no more."""
    client, host = meet(loop="write", depth=200, size=16)
    host.established()
    for _ in range(128):
        if host.next_frame()[0] != 4:
            raise RuntimeError("no write")
    for _ in range(3):
        host.acknowledged_next()
        host.send(host.frame(op_data=2))
        if host.next_frame()[0] != 4:
            raise RuntimeError("no write behind the acknowledgement")
    client.abort()
    client.result()
    host.sock.close()


@case
def credits():
    """The client keeps to the credits that it has been given, and expects the same."""
    client, host = meet(depth=8, size=16)
    host.established(ERRORS | CREDITS, credits=1)
    # Without one it sends no message, and everything else.
    host.acknowledged_next()
    for limit in (2, 4):
        host.send(host.frame(op=0x80, flags=0x200, words=[limit]))
        messages = 0
        while messages < limit - limit // 2:
            op, _, op_data, _, _ = host.next_frame()
            messages += op == 0 and op_data == 0
        host.acknowledged_next()
    client.abort()
    client.result()
    host.sock.close()
    both = dict(features=ERRORS | CREDITS, report=PROTOCOL)
    # The greeting was the first.
    broken(lambda h: h.send(b"".join(h.frame(payload=b"x") for _ in range(4 * h.credits))), **both)
    # One that shrinks, or is too far ahead, or more than 32 bits long.
    for limit in (TOP, 0xffffffff, 100 + (1 << 31), 1 << 32, 99):
        broken(lambda h, n=limit: h.send(h.frame(op=0x80, flags=0x200, words=[n])), **both)
    broken(lambda h: h.send(h.frame(op=0x80)), **both)
    broken(lambda h: h.send(h.frame(op=0x80, flags=0x200, words=[100], payload=b"x")), **both)


@case
def invalidations():
    """Of keys that the client has not given out."""
    for key, code in ((0, KEY), (7, KEY), (0xffffffff, KEY), (1 << 32, KEY)):
        broken(lambda h, k=key: h.send(h.frame(flags=0x100, words=[k], payload=b"x")), features=ERRORS | SEND_INV, report=code)


@case
def refusals():
    for private, behind, reason in ((b"", b"", 0), (b"n" * 256, b"", 0), (b"n" * 256, b"garbage" * 100, 0), (b"", b"", 255)):
        client, host = meet()
        answer = bytearray(host.request().hello(kind=6, private=private, probe=bytes(8), features=0))
        answer[22] = reason
        host.send(bytes(answer) + behind)
        host.sock.close()
        ends(client, -errno.ECONNREFUSED, DONE)


@case
def wrong_answers():
    changes = ([dict(version=v) for v in (0, 2, 4, 255)] + [dict(kind=k) for k in (0, 2, 5, 7, 255)] +
               [dict(length=n) for n in (257, 65535)] + [dict(probe=p) for p in (bytes(8), b"\xff" * 8)] +
               [dict(magic=bytes(8)), dict(ird=255), dict(ord=255), dict(features=0xffff), dict(features=0x8000)])
    for change in changes:
        client, host = meet()
        host.request().accept(**dict(dict(features=0), **change))
        host.ended()
        ends(client, -errno.EPROTO, DONE)


@case
def peer_gone_at_each_step():
    steps = [lambda h: None, lambda h: h.recv(10), lambda h: h.request(), lambda h: h.request().send(h.hello(kind=1)[:1]),
             lambda h: h.request().send(h.hello(kind=1, private=b"p" * 9, features=0)[:33]),
             lambda h: h.request().accept(features=0), lambda h: h.request().accept(features=0).next_frame(),
             lambda h: h.request().accept(features=0).greet(),
             lambda h: h.request().accept(features=0).greet().send(h.frame(payload=bytes(100))[:7]),
             lambda h: h.request().accept(features=0).greet().send(h.frame(payload=bytes(100))[:16]),
             lambda h: h.request().accept(features=0).greet().send(h.frame(payload=bytes(100))[:50]),
             lambda h: h.request().accept(features=0).greet().recv(60)]
    for loop in ("pingpong", "read", "write"):
        for step in steps:
            for linger in (0, 1):
                client, host = meet(loop=loop)
                step(host)
                host.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", linger, 0))
                host.sock.close()
                client.result()
                if client.error >= 0:
                    raise RuntimeError("the client has not noticed")


@case
def acknowledgements_for_nothing():
    broken(lambda h: h.send(h.frame(op_data=2)), report=PROTOCOL)
    # Surplus ones, and before everything that is posted has left.
    broken(lambda h: (h.recv(40), h.send(h.frame(op_data=2) * 40)), loop="write", size=65536, depth=8)
    # One for data that are with the client's TCP, and have not been taken.
    broken(lambda h: (h.recv(40), h.send(h.frame(op_data=2))), loop="write", size=20000, depth=1)


@case
def wrong_responses():
    broken(lambda h: h.send(h.frame(op=3, payload=bytes(10))), report=PROTOCOL)
    for size in (0, 1, 4095, 4097, 1 << 20):
        broken(lambda h, n=size: h.send(h.frame(op=3, payload=bytes(n))), loop="read", report=PROTOCOL)
    broken(lambda h: h.send(h.frame(op=3, size=16 + (1 << 62))), loop="read", report=PROTOCOL)
    # The right ones, and more of them than there were requests: at first for operations that follow.
    broken(lambda h: h.send(h.frame(op=3, payload=bytes(4096)) * 2000), loop="read", depth=1)


@case
def responses_out_of_order():
    # Sizes are those of the requests, in their order; the kernel posts a read back behind each write.
    broken(lambda h: (h.next_frame(), h.send(h.frame(op_data=2)), h.next_frame(), h.send(h.frame(op=3, payload=bytes(100)))),
           loop="write", depth=1, verify=1, report=PROTOCOL)


@case
def rights_that_the_client_has_not_given():
    for key in (0, 1, 7, 1 << 32, (1 << 64) - 1):
        broken(lambda h, k=key: h.send(h.frame(op=2, count=1, words=[0x1000, 8, k])), report=2)
        broken(lambda h, k=key: h.send(h.frame(op=4, count=1, words=[0x1000, 8, k], payload=bytes(8))), report=2)
    broken(lambda h: h.send(h.frame(flags=0x100, words=[7], payload=b"x")), report=PROTOCOL)


@case
def reports():
    for code in (0, 1, 2, 5, 6, 7, 0xffffffff):
        for ordinal in (0, 1, 2, 0xffffffff):
            broken(lambda h, c=code, o=ordinal: h.send(h.frame(op=0x81, words=[c << 32 | o])),
                   -errno.EREMOTEIO, -errno.EACCES, -errno.EIO, -errno.EPROTO, DONE, loop="read")


@case
def floods():
    """Messages for which there is no receive, of a peer that takes nothing: the client's consumer can still end it."""
    for loop in ("pingpong", "read", "write"):
        client, host = meet(loop=loop, size=65536, depth=16)
        host.request().accept(features=0).greet()
        host.sock.settimeout(0.5)
        try:
            for _ in range(64):
                host.sock.sendall(host.frame(flags=4, payload=bytes(65536)))
        except (OSError, socket.timeout):
            pass
        client.abort()
        client.result()
        host.sock.close()


@case
def no_answer():
    """The connection is given up after a while, whatever has come before."""
    waiting = []
    for text in (b"", None):
        client, host = meet()
        host.request().send(host.hello(kind=1)[:20] if text is None else text)
        waiting.append((client, host))
    start = time.time()
    for client, host in waiting:
        ends(client, -errno.ETIMEDOUT, DONE, seconds=60)
        host.sock.close()
    if time.time() - start < 20:
        raise RuntimeError("given up too soon")


def digests():
    """Needs tcp_crc32c=1. The client takes a response whose digests are right, and no other."""
    for order, (wrong, code) in itertools.product("<>", ((None, None), *WRONG_DIGESTS)):
        client, host = meet(DigestHost, order, loop="read", iterations=1, depth=1)
        host.established(CRC32C | ERRORS)
        if host.next_frame()[0] != 2:
            raise RuntimeError("no read request")
        host.send(host.frame(op=3, payload=os.urandom(4096), wrong=wrong))
        got = host.ended()
        ends(client, *((0,) if wrong is None else (-errno.EPROTO, DONE)))
        if got != code:
            raise RuntimeError(f"{wrong}: report {got} instead of {code}")


if __name__ == "__main__":
    LISTENER = listen()
    if only == ["digests"]:
        CASES = [digests]
    sys.exit(main(CASES))
