#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported nvme-rdma against the stock one: both in turn on one disk, medians over the pairs.
# kfi-test: kernels=none limit=600
. "$(dirname "$0")/lib.sh"

PAIRS=${KFI_PAIRS:-11}
SECONDS_EACH=1
# name, fio's rw, block size, depth
WORKLOADS="randread_4k_qd32 randread 4k 32
read_128k_qd8 read 128k 8
randwrite_4k_qd32 randwrite 4k 32"

gone() { nvme_disconnect; wait_until nvme_gone; }
# measure WHO LOAD...: one sample of each workload
measure()
{
	local who=$1 disk name rw bs depth
	shift

	"$@" && disk=$(nvme_connect -i 1) || return
	while read -r name rw bs depth; do
		fio_iops "$disk" "$rw" "$bs" "$depth" $SECONDS_EACH >> "/tmp/$name.$who" || return
	done <<< "$WORKLOADS"
	gone && host_unload
}
ours() { measure ours host_ported "$(host_last)"; }
theirs() { measure theirs host_stock; }

ktap_print_header
ktap_set_plan $((PAIRS + 1))
[ -n "$(host_last)" ] || ktap_skip_all "there is no series patches/nvme-host"
setup() { ports_up && null_disk 0 && target_up rdma /dev/nullb0; }
ktap_here "target on $KFI_DEVICE" setup
for n in $(seq "$PAIRS"); do
	ktap_here "pair $n" bench_turn "$n" ours theirs
done
while read -r name _; do
	ktap_diag "$name: ours $(xargs < "/tmp/$name.ours"), theirs $(xargs < "/tmp/$name.theirs")"
	bench_line "nvme.$KFI_DEVICE" "$name" IOPS
done <<< "$WORKLOADS"
ktap_finished
