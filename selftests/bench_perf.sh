#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kfi against raw verbs on one device: the same loops of kfi_perf in turn, medians over the pairs; and what an endpoint costs.
# kfi-test: kernels=none limit=600
. "$(dirname "$0")/lib.sh"

need_module kfi_perf "$(driver_module)"
setup() { ports_up && modprobe kfi_perf && modprobe kfi_verbs && perf_serve kfi && perf_serve verbs; }

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
bench_all "perf.$KFI_DEVICE" kfi verbs
memory()
{
	memory_of kfi > /dev/null && memory_of verbs > /dev/null &&
		memory_of kfi > /tmp/memory_per_endpoint.ours && memory_of verbs > /tmp/memory_per_endpoint.theirs
}
ktap_here "memory of an endpoint" memory && bench_line "perf.$KFI_DEVICE" memory_per_endpoint bytes
ktap_finished
