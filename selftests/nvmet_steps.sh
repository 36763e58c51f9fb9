#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every step of the nvmet-rdma port, with receives of each queue and with shared ones: the module loads, listens, serves
# verified I/O to the stock initiator and to the ported one, lets go, unloads.
# kfi-test: kernels=uml limit=120 order=21
. "$(dirname "$0")/lib.sh"

need_module nvme-fabrics nvme-rdma nvmet null_blk kfi_verbs "$(driver_module)"
last=$(target_last)
[ -n "$last" ] || ktap_skip_all "there is no series patches/nvmet"
first=${1:-0}
MIB=$((KFI_SCALE > 1 ? 4 : 16))

setup() { ports_up && null_disk $MIB; }
host_gone() { nvme_end && host_unload; }
served() { disk=$(nvme_connect -i 2) && fio_verify "$disk" $MIB && host_gone; }
one()
{
	target_ported "$@" && target_up rdma /dev/nullb0 && host_stock && served &&
		host_ported "$(host_last)" && served && target_gone
}

ktap_print_header
ktap_set_plan $((2 * (last - first + 1) + 1))
ktap_here "ports of $KFI_DEVICE" setup
for step in $(seq "$first" "$last"); do
	ktap_here "step $step: both initiators, $MIB MiB verified, unload" one "$step" || { host_gone; target_gone; }
	if [ "$KFI_DEVICE" = siw ]; then
		ktap_test_skip "step $step: shared receives" "siw does not tell when a queue has taken its last one"
	else
		ktap_here "step $step: the same with shared receives" one "$step" use_srq=1 || { host_gone; target_gone; }
	fi
done
ktap_finished
