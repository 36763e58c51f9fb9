#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every step of the ib_srp port: the module loads, logs in, does verified I/O, logs out, unloads.
# kfi-test: kernels=none limit=120 order=22
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/srp.sh"

need_module ib_srp ib_srpt target_core_iblock sd_mod null_blk kfi_verbs "$(driver_module)"
last=$(srp_last)
[ -n "$last" ] || ktap_skip_all "there is no series patches/srp"
MIB=$((KFI_SCALE > 1 ? 4 : 32))

setup() { ports_up && null_disk $MIB && srp_target_up; }
one() { srp_ported "$1" && disk=$(srp_login ch_count=2) && fio_verify "$disk" $MIB && srp_logout && srp_unload; }

ktap_print_header
ktap_set_plan $((last + 2))
ktap_here "target on $KFI_DEVICE" setup
for step in $(seq 0 "$last"); do
	ktap_here "step $step: login, $MIB MiB verified, logout, unload" one "$step" || { srp_logout; srp_unload; }
done
ktap_finished
