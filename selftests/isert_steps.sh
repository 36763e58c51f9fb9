#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every step of the isert port: the module loads, serves verified I/O to the stock initiator, lets go, unloads.
# kfi-test: kernels=none limit=120 order=34
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/iscsi.sh"

need_iscsi
need_iser_port
last=$(isert_last)
[ -n "$last" ] || ktap_skip_all "there is no series patches/isert"
first=${1:-0}
MIB=$((KFI_SCALE > 1 ? 4 : 32))

setup() { iser_stock && ports_up && iscsi_route && null_disk $MIB && iscsid_up; }
gone() { iscsi_target_down && isert_unload; }
one()
{
	isert_ported "$1" && iscsi_target_up /dev/nullb0 && disk=$(iscsi_login) && fio_verify "$disk" $MIB &&
		iscsi_end && gone
}

ktap_print_header
ktap_set_plan $((last - first + 2))
ktap_here "stock initiator on $KFI_DEVICE" setup
for step in $(seq "$first" "$last"); do
	ktap_here "step $step: login, $MIB MiB verified, logout, unload" one "$step" || { iscsi_end; gone; }
done
ktap_finished
