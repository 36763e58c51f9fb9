# SPDX-License-Identifier: GPL-2.0
"""What in a kernel's log means that a test has failed."""

import os
import re

BAD = re.compile(
    r"WARNING: |WARNING in|BUG: |BUG at|\bOops\b|KASAN|UBSAN|KCSAN|KFENCE|"
    r"INFO: (task|rcu|possible|trying)|possible (circular|recursive|irq)|inconsistent lock state|"
    r"refcount_t: |ODEBUG: |list_(add|del) corruption|general protection|Kernel panic|"
    r"panicked at|sleeping function called|suspicious RCU|bad unlock balance|"
    r"waiting for .* to become free|kfi-test: kmemleak found|RESTRACK|rcu.*(stall|detected)|"
    r"page allocation failure|Segfault with no mm|Kernel mode (fault|signal)|DMA-API: |"
    r"Unknown symbol|disagrees about version|"
    # kmemleak has given up: it finds nothing more, or not all.
    r"kmemleak: (Memory pool empty|Cannot (insert|allocate a kmemleak_object))|[Mm]emory leak detector disabled|Kmemleak disabled"
)


class Noise:
    """The list of messages that are known not to be ours; see the file."""

    def __init__(self, path):
        self.rules = []
        with open(path, encoding="utf-8") as f:
            for line in f:
                if line.startswith("#") or not line.strip():
                    continue
                kernel, pattern, _reason = line.rstrip("\n").split("\t")
                self.rules.append((kernel, re.compile(pattern, re.S)))

    def known(self, kernel, report):
        return any(k in ("*", kernel) and p.search(report) for k, p in self.rules)


def bad_lines(text, kernel, noise):
    """The reports of defects in TEXT, each a list of lines, without those that are known."""
    lines = text.splitlines()
    starts = [i for i, line in enumerate(lines) if BAD.search(line)]
    found = []
    known_until = 0
    for i, nxt in zip(starts, starts[1:] + [len(lines)]):
        if i < known_until:
            continue
        report = lines[i:min(nxt, i + 150)]
        if noise.known(kernel, "\n".join(report)):
            # A report may hold more lines that look like the start of one.
            known_until = next((j + 1 for j in range(i, len(lines)) if "end trace" in lines[j]), nxt)
            continue
        found.append(report[:60])
    return found


class Log:
    """A guest's log, cut at the marks that harness/init writes around each test."""

    def __init__(self, path):
        self.path = path

    def text(self):
        if not os.path.exists(self.path):
            return ""
        with open(self.path, encoding="utf-8", errors="replace") as f:
            return f.read().replace("\r", "")

    def part(self, number):
        """Log of test NUMBER; of the boot for None. What comes after a test's end belongs to it until the next begins."""
        text = self.text()
        if number is None:
            return text.split("kfi-test: begin", 1)[0]
        parts = re.split(rf"kfi-test: begin {number}\n", text, maxsplit=1)
        if len(parts) < 2:
            return ""
        return re.split(r"kfi-test: begin \d+\n", parts[1], maxsplit=1)[0]

    def tail(self, lines=40):
        return self.text().splitlines()[-lines:]
