#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Keeps the control connection of fi_pingpong, libfabric's program, on behalf of kfi_perf, which carries the messages.

interop.py serve ADDRESS PORT         for a server of kfi_perf at that address; fi_pingpong is the client
interop.py connect ADDRESS DIRECTORY  for a client of kfi_perf, which is told where fi_pingpong listens, and run
"""

import os
import socket
import struct
import sys
import threading
import time

CONTROL = 47592
ASK, ANSWER, COUNTED = b"q\0", b"a\0", b"cnt ok\0"
COUNT_LEN = 10
SOCKADDR_IN, SOCKADDR_IN6 = 2, 3


def exactly(sock, size):
    """So many bytes, or those that came before the end."""
    data = b""
    while len(data) < size:
        more = sock.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def name_of(address, port):
    """The name of an endpoint as it travels: length, kind, sockaddr."""
    if ":" in address:
        name = struct.pack("=H", socket.AF_INET6) + struct.pack("!HI", port, 0)
        name += socket.inet_pton(socket.AF_INET6, address) + struct.pack("=I", 0)
        kind = SOCKADDR_IN6
    else:
        name = struct.pack("=H", socket.AF_INET) + struct.pack("!H", port) + socket.inet_aton(address) + bytes(8)
        kind = SOCKADDR_IN
    return struct.pack("!I", len(name)) + struct.pack("=I", kind) + name


def serve(address, port):
    """The passive side: answers what the client asks, until it closes."""
    listener = socket.create_server((address, CONTROL), family=socket.AF_INET6 if ":" in address else socket.AF_INET)
    listener.settimeout(60)
    print("listening", flush=True)
    control, _ = listener.accept()
    control.settimeout(60)
    control.sendall(name_of(address, port))
    counted = 0
    while True:
        first = exactly(control, len(ASK))
        if not first:
            break
        if first == ASK:
            control.sendall(ANSWER)
            continue
        count = first + exactly(control, COUNT_LEN - len(first))
        if len(count) != COUNT_LEN:
            sys.exit(f"the client ends within its count: {count!r}")
        counted = int(count.rstrip(b"\0"))
        control.sendall(COUNTED)
    print(f"counted={counted}")
    return 0 if counted else 1


def attribute(directory, key, value):
    """Sets an attribute of a test in configfs. One write: a file object repeats one that has failed when it is closed."""
    fd = os.open(f"{directory}/{key}", os.O_WRONLY)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def iterations(directory):
    """How many messages the test has."""
    with open(f"{directory}/iterations", encoding="ascii") as f:
        return int(f.read())


def connect(address, directory):
    """The active side."""
    end = time.monotonic() + 60
    while True:
        try:
            control = socket.create_connection((address, CONTROL), timeout=60)
            break
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)

    (length,) = struct.unpack("!I", exactly(control, 4))
    exactly(control, 4)
    name = exactly(control, length)
    (family,) = struct.unpack("=H", name[:2])
    (port,) = struct.unpack("!H", name[2:4])
    if family == socket.AF_INET:
        where = f"{socket.inet_ntoa(name[4:8])}:{port}"
    else:
        where = f"[{socket.inet_ntop(socket.AF_INET6, name[8:24])}]:{port}"
    print(f"endpoint={where}", flush=True)
    attribute(directory, "addr", where)

    errors = []

    def run():
        try:
            attribute(directory, "run", "1")
        except OSError as error:
            errors.append(error)

    runner = threading.Thread(target=run)
    runner.start()
    # It answers once it has accepted.
    control.sendall(ASK)
    answer = exactly(control, len(ANSWER))
    control.sendall(str(iterations(directory)).encode().ljust(COUNT_LEN, b"\0"))
    counted = exactly(control, len(COUNTED))
    runner.join()
    if errors or answer != ANSWER or counted != COUNTED:
        sys.exit(f"run: {errors}, answer: {answer!r}, count: {counted!r}")
    return 0


if __name__ == "__main__":
    if sys.argv[1] == "serve":
        sys.exit(serve(sys.argv[2], int(sys.argv[3])))
    sys.exit(connect(sys.argv[2], sys.argv[3]))
