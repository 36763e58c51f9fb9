#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported NVMe drivers against the stock ones: initiator, target, both; both over TCP against stock over the device; and,
# without a device, both against nvme-tcp. Arguments: one of host, target, both, tcp, kfi, and workloads: see disk_bench.sh.
# kfi-test: kernels=none limit=900 devices=all
# shellcheck disable=SC2034 # what disk_bench.sh takes
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/disk_bench.sh"

# Name, ULP, initiator, target, the policy of kfi.
if [ "$KFI_DEVICE" = tcp ]; then
	variants=("stock nvme-tcp stock stock -" "kfi nvme-rdma kfi kfi -")
	declare -A title=([kfi]=nvme.tcp_vs_nvmetcp)
else
	variants=("stock nvme-rdma stock stock -" "host nvme-rdma kfi stock -" "target nvme-rdma stock kfi -"
		"both nvme-rdma kfi kfi -" "tcp nvme-rdma kfi kfi $IP0/32=tcp")
	declare -A title=([host]="nvme.$KFI_DEVICE" [target]="nvme.${KFI_DEVICE}_target" [both]="nvme.${KFI_DEVICE}_both"
		[tcp]="nvme.tcp_vs_$KFI_DEVICE")
fi

setup() { ports_up && null_disk 0 && modprobe kfi; }
attach() # ULP HOST TARGET POLICY
{
	echo "${4#-}" > /sys/module/kfi/parameters/policy || return
	nvme_load "$1" "$2" "$3" && disk=$(NVME_TRTYPE=${1#nvme-} nvme_connect -i 1)
}
detach() { nvme_unload; }

bench_disk "$@"
