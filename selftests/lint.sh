#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Form: formatting, clippy with the kernel's lints, checkpatch, sparse, kernel-doc, shellcheck, unsafe code. All of it is silent.
# kfi-test: kernels=host limit=1200 order=2
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=selftests/lib.sh
. selftests/lib.sh
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
set +e +u

ktap_print_header
ktap_set_plan 14
mapfile -t rust < <(source_files '*.rs')
mapfile -t c < <(source_files '*.c' '*.h')
mapfile -t shell < <(source_files '*' | while read -r f; do
	head -n 1 "$f" | grep -qaE '^#!.*/(ba)?sh$' && echo "$f"
done)

silent() { local out; out=$("$@" 2>&1); [ -z "$out" ] || { echo "$out"; return 1; }; }

# Examples that must not build are not judged.
judged() { printf '%s\n' "$@" | grep -v '^selftests/compile-fail/'; }
mapfile -t rust < <(judged "${rust[@]}")

spdx() { local f; for f in "${rust[@]}" "${c[@]}" "${shell[@]}"; do head -n 2 "$f" | grep -q SPDX-License-Identifier || echo "$f"; done; }
checkpatch()
{
	/cache/src/scripts/checkpatch.pl --no-tree --strict --terse --no-summary --max-line-length=120 \
		--ignore "$CHECKPATCH_IGNORE" -f "${c[@]}"
}
# EXPORT_SYMBOL wants the function above it; ours are in Rust.
CHECKPATCH_IGNORE=EXPORT_SYMBOL

kernel_doc() { /cache/src/scripts/kernel-doc -none -Wall include/kfi/*.h; }

# The pages, with the kernel's extension for kernel-doc, which finds headers and its own code below one directory.
pages()
{
	local d=/tmp/docs

	mkdir -p $d/tree
	ln -sfn /cache/src/tools $d/tree/tools
	ln -sfn "$PWD/include" $d/tree/include
	cat > $d/conf.py <<-P
	import sys
	sys.path.insert(0, '/cache/src/Documentation/sphinx')
	extensions = ['kerneldoc']
	kerneldoc_srctree = '$d/tree'
	primary_domain = 'c'
	highlight_language = 'none'
	P
	srctree=$d/tree sphinx-build -q -W --keep-going -c $d -d $d/doctrees -b dummy Documentation/kfi $d/out
}

# kbuild LOG ARGUMENT...: a build of its own that only looks; prints compilers' warnings.
kbuild()
{
	local log=/cache/logs/lint-$KFI_OUT_ID-$1.log mo
	mo=/cache/$(kfi_out stock)-$1
	shift
	# From the beginning: a file that is up to date shows no warning.
	rm -rf "$mo"
	mkdir -p "$mo"
	make -C /cache/stock CC=x86_64-linux-gnu-gcc-14 M=/kfi MO="$mo" -j"$(nproc)" "$@" modules > "$log" 2>&1 ||
		tail -n 30 "$log"
	# What, and where.
	grep -E -A1 '(warning|error|WARNING): ' "$log" | grep -vE '^--|warnings? emitted'
}
clippy() { kbuild clippy CLIPPY=1; }
# The patches: each of them, and each step of a series whose steps are built anyway, for the same kernel; of the others the last.
patches()
{
	local d only

	for d in patches/*/module; do
		d=$(dirname "$d") only=
		if [ -f "$d/tests" ] && [ "$(series_steps "$d" uml)" != each ]; then
			only=last
		fi
		scripts/series check "$d" uml $only > /dev/null 2> /tmp/patches.out || cat /tmp/patches.out
	done
}
sparse() { kbuild sparse C=2 W=1 CHECK=$KFI_IN_TOP/scripts/sparse; }

ktap_test "SPDX line in each source file" silent spdx
ktap_test "rustfmt" silent rustfmt --edition 2021 --check --config-path .rustfmt.toml "${rust[@]}"
ktap_test "clippy with the kernel's lints" silent clippy
ktap_test "checkpatch --strict" silent checkpatch
ktap_test "sparse, and gcc with W=1" silent sparse
ktap_test "patches: checkpatch --strict, sparse, gcc with W=1" silent patches
ktap_test "kernel-doc of the public headers" silent kernel_doc
ktap_test "kernel-doc says context and return" silent python3 selftests/harness/kernel_doc.py include/kfi/*.h
if command -v sphinx-build > /dev/null; then
	ktap_test "pages of Documentation" silent pages
else
	ktap_test_skip "pages of Documentation" "python3-sphinx is not installed"
fi
if command -v shellcheck > /dev/null; then
	ktap_test "shellcheck" silent shellcheck -x --severity=warning "${shell[@]}"
else
	ktap_test_skip "shellcheck" "not installed"
fi
python3 selftests/harness/unsafe_lines.py "${rust[@]}" > /tmp/unsafe.out || echo "outside: unsafe_lines.py failed" >> /tmp/unsafe.out
ktap_diag "$(grep -v '^outside:' /tmp/unsafe.out)"
ktap_test "no unsafe code outside the modules named for it" silent grep '^outside:' /tmp/unsafe.out
ktap_test "modules without unsafe code deny it" silent grep '^undenied:' /tmp/unsafe.out
ktap_test "a SAFETY comment at each unsafe block" silent grep '^uncommented:' /tmp/unsafe.out
ktap_test "no mod.rs" silent source_files mod.rs
ktap_finished
