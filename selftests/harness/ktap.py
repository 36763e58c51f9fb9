# SPDX-License-Identifier: GPL-2.0
"""Reading and counting KTAP."""

import re

RESULT = re.compile(r"^\s*(not )?ok\b\s*\d*\s*(?:-\s*)?([^#]*)(?:#\s*(SKIP|TODO|XFAIL)\b\s*(.*))?", re.I)
PLAN = re.compile(r"^\s*1\.\.(\d+)(?:\s*#\s*SKIP\s*(.*))?", re.I)


class Result:
    def __init__(self, state, name, note=""):
        self.state, self.name, self.note = state, name.strip(), note


def result_of(line):
    """The result that a line states, or None."""
    m = RESULT.match(line)
    if not m:
        return None
    if m.group(3) and m.group(3).upper() == "SKIP":
        state = "skip"
    elif m.group(1):
        state = "fail"
    else:
        state = "pass"
    return Result(state, m.group(2), m.group(4) or "")


def parse(lines, rc):
    """Results of one script: its own lines, and what its exit code and its plan say in addition."""
    results = []
    plan = None
    skip_all = None
    for line in lines:
        if line.startswith("#"):
            continue
        m = PLAN.match(line)
        if m:
            plan = int(m.group(1))
            if plan == 0:
                skip_all = m.group(2) or "no reason given"
            continue
        result = result_of(line)
        if result:
            results.append(result)
    if rc == 4 and not results:
        results.append(Result("skip", "all", skip_all or "no reason given"))
    elif plan is None:
        results.append(Result("fail", "plan", f"the script printed no plan (exit code {rc})"))
    elif plan and len(results) < plan:
        results.append(Result("fail", "plan", f"{plan} results were planned and {len(results)} came (exit code {rc})"))
    elif rc not in (0, 4) and not any(r.state == "fail" for r in results):
        results.append(Result("fail", "exit", f"exit code {rc} without a failed result"))
    return results


class Totals:
    def __init__(self):
        self.count = {"pass": 0, "fail": 0, "skip": 0}
        self.failed = []
        self.skipped = []

    def add(self, prefix, result):
        self.count[result.state] += 1
        if result.state == "fail":
            self.failed.append((f"{prefix}: {result.name}", result.note))
        elif result.state == "skip":
            self.skipped.append((f"{prefix}: {result.name}", result.note))

    def line(self):
        return "{pass} passed, {fail} failed, {skip} skipped".format(**self.count)
