#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""Counts unsafe code in the Rust files given, and says where it must not be."""

import re
import sys

# The modules that hold unsafe code; generated bindings are included in bindings.rs.
NAMED = re.compile(r"^(shim/api(/.*)?|shim/sys(/.*)?|shim/provider/.*|ib_client/verbs(/.*)?|ib_client/api(/.*)?|"
                   r"consumers/kfi(/.*)?|consumers/kfi_perf/sys|tcp/api(/.*)?|selftests/fuzz/tcp|.*/bindings)\.rs$")
WORD = re.compile(r"\bunsafe\b")
DENY = re.compile(r"#!\[deny\([^)]*\bunsafe_code\b|#!\[forbid\([^)]*\bunsafe_code\b")


def code_of(text):
    """TEXT with comments and the insides of strings blanked, line for line."""
    def blank(m):
        return re.sub(r"[^\n]", " ", m.group(0))
    return re.sub(r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\])*"', blank, text, flags=re.S)


def commented(lines, i):
    """Is there a SAFETY comment on the lines right above the statement of line I?"""
    for j in range(i - 1, max(i - 30, -1), -1):
        line = lines[j].strip()
        if "SAFETY:" in line or "# Safety" in line:
            return True
        # A statement that began earlier, or attributes and comments, may lie between.
        if line.endswith((";", "}")) and not line.startswith("//"):
            return False
    return False


def main():
    lines_total = blocks = functions = impls = 0
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        lines, code = text.splitlines(), code_of(text).splitlines()
        named = NAMED.match(path)
        if not named and not DENY.search(text) and not path.startswith("selftests/"):
            root = path.endswith("/lib.rs") or re.search(r"^\s*module!", text, re.M)
            print(f"{'root' if root else 'undenied'}: {path}")
        for i, line in enumerate(code):
            if not WORD.search(line) or "unsafe_code" in line or "unsafe_op_in" in line:
                continue
            # A type of a function pointer is not unsafe code: it only names one.
            if re.fullmatch(r".*\bunsafe extern \"?\s*\"? ?fn\(.*", line) and "{" not in line:
                continue
            lines_total += 1
            if not named:
                print(f"outside: {path}:{i + 1}: {lines[i].strip()}")
            if re.search(r"\bunsafe\s*\{", line):
                blocks += 1
                if "SAFETY:" not in lines[i] and not commented(lines, i):
                    print(f"uncommented: {path}:{i + 1}: {lines[i].strip()}")
            elif re.search(r"\bunsafe\s+impl\b", line):
                impls += 1
                if not commented(lines, i):
                    print(f"uncommented: {path}:{i + 1}: {lines[i].strip()}")
            elif re.search(r"\bunsafe\s+(extern\s+\S+\s+)?fn\b", line):
                functions += 1
    print(f"unsafe code: {lines_total} lines; {blocks} blocks, {functions} functions, {impls} impls")


if __name__ == "__main__":
    main()
