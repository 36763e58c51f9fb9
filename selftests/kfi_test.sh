#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What kfi promises to a consumer, tested by the module kfi_test: arguments, errors, data, endings. Its log is the result.
# kfi-test: limit=90 order=4 devices=all
. "$(dirname "$0")/lib.sh"

need_module kfi_test "$(driver_module)"
# For the test of a message without a receive.
modprobe kfi tcp_credits=1 && ports_up && provider_up || { ktap_print_header; ktap_set_plan 1; ktap_test_fail "devices and provider"; ktap_finished; }
dmesg -C
modprobe kfi_test addr=$IP0 src=$IP1
rc=$?
dmesg | sed -n 's/^.*kfi_test: //p'
unloaded kfi_test || echo "# kfi_test does not unload"
exit $((rc ? KSFT_FAIL : KSFT_PASS))
