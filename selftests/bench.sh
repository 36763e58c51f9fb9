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
median() { sort -n | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
# measure WHO LOAD...: one sample of each workload
measure()
{
	local who=$1 disk name rw bs depth
	shift

	"$@" && disk=$(nvme_connect -i 1) || return
	while read -r name rw bs depth; do
		fio_iops "$disk" "$rw" "$bs" "$depth" $SECONDS_EACH >> "/tmp/$who.$name" || return
	done <<< "$WORKLOADS"
	gone && host_unload
}
# Each of the two first in every other pair, so that a drift of the machine hits both alike.
pair()
{
	if [ $(($1 % 2)) -eq 0 ]; then
		measure ours host_ported "$(host_last)" && measure theirs host_stock
	else
		measure theirs host_stock && measure ours host_ported "$(host_last)"
	fi
}

ktap_print_header
ktap_set_plan $((PAIRS + 1))
[ -n "$(host_last)" ] || ktap_skip_all "there is no series patches/nvme-host"
setup() { ports_up && null_disk 0 && target_up rdma /dev/nullb0; }
ktap_here "target on $KFI_DEVICE" setup
for n in $(seq "$PAIRS"); do
	ktap_here "pair $n" pair "$n"
done
while read -r name _; do
	ours=$(median < "/tmp/ours.$name") theirs=$(median < "/tmp/theirs.$name")
	ktap_diag "$name: ours $(xargs < "/tmp/ours.$name"), theirs $(xargs < "/tmp/theirs.$name")"
	awk -v n="nvme.$KFI_DEVICE.$name" -v o="$ours" -v t="$theirs" \
		'BEGIN { printf "#| %s %s %s %.3f IOPS\n", n, o, t, t ? o / t : 0 }'
done <<< "$WORKLOADS"
ktap_finished
