#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every step of the iSER port: the module loads, logs in, does verified I/O, logs out, unloads.
# kfi-test: kernels=none limit=120 order=32
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/iscsi.sh"

need_iscsi
need_iser_port
last=$(iser_last)
[ -n "$last" ] || ktap_skip_all "there is no series patches/iser"
MIB=$((KFI_SCALE > 1 ? 4 : 32))

setup() { isert_stock && ports_up && iscsi_route && null_disk $MIB && iscsi_target_up /dev/nullb0 && iscsid_up; }
one()
{
	iser_ported "$1" && disk=$(iscsi_login) && fio_verify "$disk" $MIB && iscsi_end && iser_unload
}

ktap_print_header
ktap_set_plan $((last + 2))
ktap_here "target on $KFI_DEVICE" setup
for step in $(seq 0 "$last"); do
	ktap_here "step $step: login, $MIB MiB verified, logout, unload" one "$step" ||
		{ iscsi_end; iser_unload; }
done
ktap_finished
