#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The TCP provider's codec, state and key table on the host: unit tests, and a short run of the fuzzer from its corpus.
# kfi-test: kernels=host limit=180 long=1800 order=3
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=selftests/lib.sh
. selftests/lib.sh

ktap_print_header
ktap_set_plan 2

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

unit()
{
	rustc --edition 2021 --test -O -C debug-assertions=on -C overflow-checks=on -o "$dir/unit" selftests/unit/tcp.rs &&
		"$dir/unit"
}

fuzz()
{
	local said rc=0 seconds=20

	[ -z "${KFI_LONG:-}" ] || seconds=1500
	said=$(selftests/fuzz/run ${KFI_LONG:+-n 100000000} -s "$seconds" 2>&1) || rc=$?
	ktap_diag "$(tail -n 1 <<< "$said")" >&3
	[ $rc -eq 0 ] || printf '%s\n' "$said"
	return $rc
}

ktap_test "unit tests" unit
exec 3>&1
ktap_test "no finding by the fuzzer" fuzz
ktap_finished
