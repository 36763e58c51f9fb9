# SPDX-License-Identifier: GPL-2.0
# What the benchmarks of block drivers have in common, sourced behind lib.sh: drivers in turn on one disk that keeps nothing,
# medians over the turns. A benchmark sets
# - variants: a NAME each, and words for attach; the first one is what the others are compared with,
# - title: by NAME, what the lines of its comparison begin with,
# - attach WORD...: load drivers and set disk; detach: undo that; setup: what is done once.
# Its arguments: the NAME of a variant to measure only that one, and names of workloads.
# shellcheck shell=bash

TURNS=${KFI_PAIRS:-5}
SECONDS_EACH=1
# name, fio's rw, block size, depth
WORKLOADS="randread_4k_qd32 randread 4k 32
randwrite_4k_qd32 randwrite 4k 32
latency_randread_4k_qd1 randread 4k 1
latency_randwrite_4k_qd1 randwrite 4k 1
read_128k_qd8 read 128k 8
write_128k_qd8 write 128k 8"

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

# measure NAME WORD...: one sample of each workload
measure()
{
	local who=$1 disk name rw bs depth
	shift

	attach "$@" || return
	while read -r name rw bs depth; do
		sample "$who" "$name" "$rw" "$bs" "$depth" || return
	done <<< "$WORKLOADS"
	detach
}

# bench_disk ARGUMENT...: the whole test
bench_disk()
{
	local base=${variants[0]%% *} variant who name n

	if [ $# -gt 0 ]; then
		mapfile -t variants < <(printf '%s\n' "${variants[@]}" | grep -E "^($base|$1) ")
		[ ${#variants[@]} -eq 2 ] || ktap_skip_all "there is no '$1' on $KFI_DEVICE"
		shift
		[ $# -eq 0 ] || WORKLOADS=$(grep -E "^($(IFS='|'; echo "$*")) " <<< "$WORKLOADS")
	fi
	ktap_print_header
	ktap_set_plan $((TURNS + 1))
	# Samples of another device may be there.
	rm -f /tmp/*_qd*
	ktap_here "ports of $KFI_DEVICE and a disk" setup
	for n in $(seq "$TURNS"); do
		ktap_here "turn $n of $TURNS" bench_turn "$n" "${variants[@]/#/measure }"
	done
	for variant in "${variants[@]:1}"; do
		who=${variant%% *}
		while read -r name _; do
			ktap_diag "$name: $who $(xargs < "/tmp/$name.$who"), $base $(xargs < "/tmp/$name.$base")"
			bench_line "${title[$who]}" "$name" IOPS "$who" "$base"
			bench_line "cpu.${title[$who]}" "$name" us/IO "$who.cpu" "$base.cpu"
		done <<< "$WORKLOADS"
	done
	ktap_finished
}
