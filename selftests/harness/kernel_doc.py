#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0
"""What scripts/kernel-doc lets pass: a function, macro or structure of the headers given without kernel-doc, a function
whose kernel-doc does not say in which context it may be called, or what it returns."""

import re
import sys

FUNCTION = re.compile(r"^(?P<type>(?:static inline )?(?:\w+[ *]+)+)(?P<name>\w+)\([^;{]*?\)\s*(?:;|\n\{)", re.M)
MACRO = re.compile(r"^#define (?P<name>kfi_\w+)\(", re.M)
STRUCT = re.compile(r"^struct (?P<name>\w+) \{", re.M)


def doc_before(text, at):
    """The kernel-doc that ends right before AT, or None."""
    before = text[:at].rstrip()
    start = before.rfind("/**")
    if not before.endswith("*/") or start < 0 or before[start:].count("*/") != 1:
        return None
    return before[start:]


def main():
    for path in sys.argv[1:]:
        with open(path, encoding="utf-8") as f:
            text = f.read()
        found = [(m, kind) for kind, rule in (("function", FUNCTION), ("macro", MACRO), ("struct", STRUCT))
                 for m in rule.finditer(text)]
        if not found:
            print(f"{path}: nothing found")
        for m, kind in found:
            name, doc = m["name"], doc_before(text, m.start())
            # What begins with two underscores is called by the macros and inline functions of the headers.
            if name.startswith("__"):
                continue
            if doc is None:
                print(f"{path}: {name}: no kernel-doc")
            elif kind != "struct":
                if "Context:" not in doc:
                    print(f"{path}: {name}: no Context")
                void = kind == "function" and re.search(r"\bvoid $", m["type"])
                if not void and "Return:" not in doc:
                    print(f"{path}: {name}: no Return")


main()
