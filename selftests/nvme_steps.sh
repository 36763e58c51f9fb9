#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every step of the nvme-rdma port: the module loads, connects, does verified I/O, lets go, unloads.
# kfi-test: kernels=uml limit=90 order=20
. "$(dirname "$0")/lib.sh"

need_module nvme-fabrics nvmet-rdma null_blk kfi_verbs "$(driver_module)"
last=$(host_last)
[ -n "$last" ] || ktap_skip_all "there is no series patches/nvme-host"
MIB=$((KFI_SCALE > 1 ? 4 : 32))

setup() { ports_up && null_disk $MIB && target_up rdma /dev/nullb0; }
one()
{
	host_ported "$1" && disk=$(nvme_connect -i 2) && fio_verify "$disk" $MIB && nvme_end && host_unload
}

ktap_print_header
ktap_set_plan $((last + 2))
ktap_here "target on $KFI_DEVICE" setup
for step in $(seq 0 "$last"); do
	ktap_here "step $step: connect, $MIB MiB verified, disconnect, unload" one "$step" ||
		{ nvme_end; host_unload; }
done
ktap_finished
