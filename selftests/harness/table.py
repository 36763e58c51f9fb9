#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Makes a table of the output of selftests/run: a row for each test and device, a column for each kernel."""

import re
import sys

import ktap

# "ok 7 uml-debug rxe nvme_kfi (79 s)"; the device is missing where there is none.
END = re.compile(r"^(?:not )?ok \d+ (\S+) (?:(\S+) )?(\S+) \(\d+ s\)")


def cell(count):
    words = [str(count["pass"])]
    if count["fail"]:
        words.append(f"{count['fail']} FAILED")
    if count["skip"]:
        words.append(f"{count['skip']} skipped")
    return ", ".join(words)


def read(lines):
    """Returns the kernels in their order, and {(test, device): {kernel: cell}}."""
    kernels, rows = [], {}
    totals = ktap.Totals()
    for line in lines:
        end = END.match(line)
        if end:
            kernel, device, test = end.groups()
            if kernel not in kernels:
                kernels.append(kernel)
            rows.setdefault((test, device or ""), {})[kernel] = cell(totals.count)
            totals = ktap.Totals()
        elif line.startswith("    ") and (result := ktap.result_of(line)):
            totals.add("", result)
    return kernels, rows


def main():
    kernels, rows = read(sys.stdin)
    table = [["test", "device", *kernels]]
    table += [[*row, *(cells.get(k, "-") for k in kernels)] for row, cells in sorted(rows.items())]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        print("  ".join(word.ljust(width) for word, width in zip(line, widths)).rstrip())


if __name__ == "__main__":
    main()
