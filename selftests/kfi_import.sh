#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What include/kfi/import.h promises to a verbs driver under way to kfi, tested by the module kfi_import_test. Its log is the result.
# kfi-test: limit=60 order=4
. "$(dirname "$0")/lib.sh"

need_module kfi_import_test "$(driver_module)"
ports_up && provider_up || { ktap_print_header; ktap_set_plan 1; ktap_test_fail "devices and provider"; ktap_finished; }
said_by kfi_import_test addr=$IP0 src=$IP1
rc=$?
unloaded kfi_import_test || { echo "# kfi_import_test does not unload"; rc=1; }
exit $((rc ? KSFT_FAIL : KSFT_PASS))
