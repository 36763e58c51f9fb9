#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The ported NVMe drivers against the stock ones: initiator, target, both; both over TCP against stock over the device; and,
# without a device, both against nvme-tcp. All of them in turn on one disk that keeps nothing, medians over the turns.
# Arguments: one of host, target, both, tcp to measure only that one, and names of workloads.
# kfi-test: kernels=none limit=900 devices=all
. "$(dirname "$0")/lib.sh"

TURNS=${KFI_PAIRS:-5}
SECONDS_EACH=1
# name, fio's rw, block size, depth
WORKLOADS="randread_4k_qd32 randread 4k 32
randwrite_4k_qd32 randwrite 4k 32
latency_randread_4k_qd1 randread 4k 1
latency_randwrite_4k_qd1 randwrite 4k 1
read_128k_qd8 read 128k 8
write_128k_qd8 write 128k 8"
# What is measured: name, ULP, initiator, target, the policy of kfi; the others are compared with "stock". Then the name of each
# comparison.
if [ "$KFI_DEVICE" = tcp ]; then
	variants=("stock nvme-tcp stock stock -" "kfi nvme-rdma kfi kfi -")
	declare -A title=([kfi]=nvme.tcp_vs_nvmetcp)
else
	variants=("stock nvme-rdma stock stock -" "host nvme-rdma kfi stock -" "target nvme-rdma stock kfi -"
		"both nvme-rdma kfi kfi -" "tcp nvme-rdma kfi kfi $IP0/32=tcp")
	declare -A title=([host]="nvme.$KFI_DEVICE" [target]="nvme.${KFI_DEVICE}_target" [both]="nvme.${KFI_DEVICE}_both"
		[tcp]="nvme.tcp_vs_$KFI_DEVICE")
fi

if [ $# -gt 0 ]; then
	mapfile -t variants < <(printf '%s\n' "${variants[@]}" | grep -E "^(stock|$1) ")
	[ ${#variants[@]} -eq 2 ] || ktap_skip_all "there is no '$1' on $KFI_DEVICE"
	shift
	[ $# -eq 0 ] || WORKLOADS=$(grep -E "^($(IFS='|'; echo "$*")) " <<< "$WORKLOADS")
fi

# clock: microseconds that have passed, those that the processor was idle, operations of the target's disk
clock() { awk 'FILENAME ~ /uptime/ { t = $1; i = $2; next } { printf "%d %d %d\n", t * 1e6, i * 1e6, $1 + $5 }' /proc/uptime /sys/block/nullb0/stat; }
# sample WHO NAME RW BLOCKSIZE DEPTH: IOPS, and processor time for each operation, in the midst of the run
sample()
{
	local who=$1 name=$2 served start rc=0
	shift 2

	served=$(io_served)
	fio_iops "$disk" "$@" $SECONDS_EACH > /tmp/sample &
	wait_until io_more_served $((served + 100)) && start=$(clock) && sleep 0.6 || rc=1
	echo "$start $(clock)" | awk '{ n = $6 - $3; if (n) printf "%.2f\n", ($4 - $1 - $5 + $2) / n }' >> "/tmp/$name.$who.cpu"
	wait $! && cat /tmp/sample >> "/tmp/$name.$who" && return $rc
}

# measure NAME ULP HOST TARGET POLICY: one sample of each workload
measure()
{
	local who=$1 ulp=$2 disk name rw bs depth

	echo "${5#-}" > /sys/module/kfi/parameters/policy || return
	nvme_load "$ulp" "$3" "$4" && disk=$(NVME_TRTYPE=${ulp#nvme-} nvme_connect -i 1) || return
	while read -r name rw bs depth; do
		sample "$who" "$name" "$rw" "$bs" "$depth" || return
	done <<< "$WORKLOADS"
	nvme_unload
}

ktap_print_header
ktap_set_plan $((TURNS + 1))
# Samples of another device may be there.
rm -f /tmp/*_qd*
setup() { ports_up && null_disk 0 && modprobe kfi; }
ktap_here "ports of $KFI_DEVICE and a disk" setup
for n in $(seq "$TURNS"); do
	ktap_here "turn $n of $TURNS" bench_turn "$n" "${variants[@]/#/measure }"
done
for variant in "${variants[@]:1}"; do
	who=${variant%% *}
	while read -r name _; do
		ktap_diag "$name: $who $(xargs < "/tmp/$name.$who"), stock $(xargs < "/tmp/$name.stock")"
		bench_line "${title[$who]}" "$name" IOPS "$who" stock
		bench_line "cpu.${title[$who]}" "$name" us/IO "$who.cpu" stock.cpu
	done <<< "$WORKLOADS"
done
ktap_finished
