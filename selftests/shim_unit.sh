#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kfi.ko's argument checks, orders and texts on the host.
# kfi-test: kernels=host limit=60 order=3
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=selftests/lib.sh
. selftests/lib.sh

ktap_print_header
ktap_set_plan 1
ktap_test "unit tests" selftests/unit/run.sh shim
ktap_finished
