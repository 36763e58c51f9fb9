#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every step of the ib_srpt port: the module loads, takes a login of the kernel's own initiator, serves verified I/O, with
# receives of each channel and with shared ones, lets go, unloads.
# kfi-test: kernels=none limit=240 order=23
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/srp.sh"

need_module ib_srp target_core_iblock sd_mod null_blk kfi_verbs "$(driver_module)"
last=$(srp_target_last)
[ -n "$last" ] || ktap_skip_all "there is no series patches/srpt"
first=${1:-0}
MIB=$((KFI_SCALE > 1 ? 4 : 16))

setup() { ports_up && null_disk $MIB && srp_stock; }
up() { srp_target_ported "$1" && shift && srp_target_up "$@"; }
served() { disk=$(srp_login ch_count=2) && fio_verify "$disk" $MIB && srp_logout; }
one() { up "$1" && served && srp_target_gone; }
shared() { up "$1" use_srq=1 && served && srp_target_gone; }

ktap_print_header
ktap_set_plan $((2 * (last - first + 1) + 1))
ktap_here "ports of $KFI_DEVICE" setup
for step in $(seq "$first" "$last"); do
	ktap_here "step $step: login, $MIB MiB verified, logout, unload" one "$step" || { srp_logout; srp_target_gone; }
	if [ "$step" -eq 0 ]; then
		ktap_test_skip "step 0: shared receives" "the kernel's own warns when a channel that has used them ends"
	else
		ktap_here "step $step: the same with shared receives" shared "$step" || { srp_logout; srp_target_gone; }
	fi
done
ktap_finished
