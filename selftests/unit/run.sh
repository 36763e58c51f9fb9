#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Builds selftests/unit/NAME.rs for the host with the kernel's rustc, runs it, and prints KTAP.
# Usage: selftests/unit/run.sh NAME
top=$(cd "$(dirname "$0")/../.." && pwd -P)
name=${1:?name of a file of selftests/unit without .rs}

# In the root there is the compiler; outside of it, go there.
if [ "$top" != /kfi ]; then
	# shellcheck source=scripts/lib.sh
	. "$top/scripts/lib.sh"
	need_root
	in_root /kfi/selftests/unit/run.sh "$name"
	exit
fi

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
rustc --edition 2021 --test -C debug-assertions=on -C overflow-checks=on -o "$dir/unit" "$top/selftests/unit/$name.rs" ||
	exit 1
"$dir/unit" --test-threads=1 > "$dir/said" 2>&1
rc=$?

echo "KTAP version 1"
echo "1..$(grep -c '^test .* \.\.\. ' "$dir/said")"
awk '/^test .* \.\.\. / {
	number++
	print ($NF == "ok" ? "ok " : "not ok ") number " " $2
	next
}
/panicked at/, /^$/ { print "# " $0 }' "$dir/said"
exit $rc
