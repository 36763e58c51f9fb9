#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The pure logic of the RDMA layer, on the host.
# kfi-test: kernels=host limit=60 order=3
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=selftests/lib.sh
. selftests/lib.sh

ktap_print_header
ktap_set_plan 1

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

unit()
{
	rustc --edition 2021 --test -C overflow-checks=on -o "$dir/unit" selftests/unit/verbs.rs && "$dir/unit"
}

ktap_test "unit tests" unit
ktap_finished
