#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kfi against raw verbs on one device: the same loops of kfi_perf in turn, medians over the pairs; and what an endpoint costs.
# kfi-test: kernels=none limit=600
. "$(dirname "$0")/lib.sh"

need_module kfi_perf "$(driver_module)"
PAIRS=${KFI_PAIRS:-5}
# name, loop, size, depth; a run takes about this long:
MS=700
LOOPS="pingpong_64 pingpong 64 1
rate_64 rate 64 64
read_4k read 4096 16
write_4k write 4096 16
write_1m write 1048576 4
read_64k read 65536 8"

median() { sort -n "$1" | awk '{ v[NR] = $1 } END { print NR ? v[int((NR + 1) / 2)] : 0 }'; }
setup() { ports_up && modprobe kfi_perf && modprobe kfi_verbs && perf_serve kfi && perf_serve verbs; }
rate() # KIND ITERATIONS
{
	perf_run "$1" loop="$what" size="$size" depth="$depth" iterations="$2" && perf_value ops_per_s
}
# measure NAME: pairs, each of the two first in every other pair, so that a drift of the machine hits both alike.
measure()
{
	local n count first

	first=$(rate verbs 200) || return
	count=$((first * MS / 1000 + 10))
	for n in $(seq "$PAIRS"); do
		if [ $((n % 2)) -eq 0 ]; then
			rate kfi $count >> "/tmp/$1.ours" && rate verbs $count >> "/tmp/$1.theirs" || return
		else
			rate verbs $count >> "/tmp/$1.theirs" && rate kfi $count >> "/tmp/$1.ours" || return
		fi
	done
}

# memory_of KIND: bytes of the whole system that one connection takes, both of its ends, with 16 receives at each.
available() { awk '/^MemAvailable/ { print $2 }' /proc/meminfo; }
established() { [ "$(perf_value connected "$PERF/server-$1/result")" -ge "$2" ]; }
CONNS=128
memory_of()
{
	local base before after

	base=$(perf_value connected "$PERF/server-$1/result")
	perf_new client "$1" loop=pingpong size=64 depth=1 conns=$CONNS iterations=1000000000 || return
	echo 3 > /proc/sys/vm/drop_caches
	before=$(available)
	echo 1 > $PERF/client/run 2> /dev/null &
	wait_until established "$1" $((base + CONNS)) || return
	after=$(available)
	echo 1 > $PERF/client/abort
	wait
	rmdir $PERF/client
	echo $(((before - after) * 1024 / CONNS / 2))
}

ktap_print_header
ktap_set_plan 8
ktap_here "servers on $KFI_DEVICE" setup || ktap_finished
while read -r name what size depth; do
	ktap_here "$name" measure "$name"
	# A latency is the time of one round trip: less is better.
	awk -v n="perf.$KFI_DEVICE.$name" -v o="$(median "/tmp/$name.ours")" -v t="$(median "/tmp/$name.theirs")" \
		'BEGIN {
			if (n ~ /pingpong/ && o && t)
				printf "#| %s %.3f %.3f %.3f us\n", n, 1e6 / o, 1e6 / t, t / o
			else
				printf "#| %s %s %s %.3f ops/s\n", n, o, t, t ? o / t : 0
		}'
done <<< "$LOOPS"
memory()
{
	memory_of kfi > /dev/null && memory_of verbs > /dev/null && ours=$(memory_of kfi) && theirs=$(memory_of verbs)
}
ktap_here "memory of an endpoint" memory &&
	awk -v n="perf.$KFI_DEVICE.memory_per_endpoint" -v o="$ours" -v t="$theirs" \
		'BEGIN { printf "#| %s %s %s %.3f bytes\n", n, o, t, t ? o / t : 0 }'
ktap_finished
