#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported iSER drivers against the stock ones: initiator, target, both; both over TCP against stock over the device; and,
# without a device, both against iSCSI over TCP. Arguments: one of host, target, both, tcp, kfi, and workloads: see disk_bench.sh.
# kfi-test: kernels=none limit=900 devices=all
# shellcheck disable=SC2034 # what disk_bench.sh takes
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/iscsi.sh"
. "$(dirname "$0")/disk_bench.sh"

need_iscsi
need_iser_port
# Name, kind of session, initiator, target, the policy of kfi.
if [ "$KFI_DEVICE" = tcp ]; then
	variants=("stock tcp stock stock -" "kfi iser kfi kfi -")
	declare -A title=([kfi]=iser.tcp_vs_iscsi)
else
	variants=("stock iser stock stock -" "host iser kfi stock -" "target iser stock kfi -" "both iser kfi kfi -"
		"tcp iser kfi kfi $IP0/32=tcp")
	declare -A title=([host]="iser.$KFI_DEVICE" [target]="iser.${KFI_DEVICE}_target" [both]="iser.${KFI_DEVICE}_both"
		[tcp]="iser.tcp_vs_$KFI_DEVICE")
fi

setup() { ports_up && iscsi_route && null_disk 0 && modprobe kfi && iscsid_up; }
attach() # KIND HOST TARGET POLICY
{
	echo "${4#-}" > /sys/module/kfi/parameters/policy || return
	{ [ "$1" = tcp ] || driver_load isert "$3"; } && ISCSI_KIND=$1 iscsi_target_up /dev/nullb0 || return
	if [ "$1" = tcp ]; then modprobe iscsi_tcp; else driver_load iser "$2"; fi && disk=$(ISCSI_KIND=$1 iscsi_login)
}
detach() { iscsi_end && iser_unload && removed iscsi_tcp && iscsi_target_down && isert_unload; }

bench_disk "$@"
