#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Many connections over TCP at once, 5,000 with KFI_LONG=1 (KFI_MEM=4G): all of them connect, exchange verified data and
# end; what an operation costs beside one connection's; what an idle connection costs in memory.
# kfi-test: kernels=uml,uml-debug devices=none limit=120 long=300 order=9
. "$(dirname "$0")/lib.sh"

need_module kfi_perf kfi_idle
many=$((KFI_SCALE > 1 ? 200 : 500)) idle=$((KFI_SCALE > 1 ? 100 : 1000))
[ -z "$KFI_LONG" ] || many=$((KFI_SCALE > 1 ? 1000 : 5000))
server=$PERF/server-kfi/result

load() { modprobe kfi tcp=1 && modprobe kfi_perf && perf_serve kfi provider=tcp && perf_serve sock; }
setup() { veth_up && load; }
unload()
{
	local base

	unloaded kfi_idle
	# While all of them are under way.
	base=$(perf_value ops $server)
	perf_new client kfi provider=tcp loop=pingpong size=64 depth=1 conns="$many" iterations=1000000000 || return
	perf_set client run=1 > /dev/null 2>&1 &
	KFI_WAIT=60 wait_until under_way $((base + many)) || return
	perf_end && wait && unloaded kfi_perf && unloaded kfi
}

# checked CONNECTIONS KEY=VALUE...: all of them come about, all data are right, each operation completes once.
checked()
{
	local conns=$1
	shift

	perf_run kfi provider=tcp conns="$conns" "$@" || return
	[ "$(perf_value error)" = 0 ] && [ "$(perf_value connected)" = "$conns" ] && [ "$(perf_value errors)" = 0 ] &&
		[ "$(perf_value crc_ok)" != 0 ] && [ "$(perf_value posted)" = "$(perf_value completed)" ] &&
		[ "$(perf_value mismatches $server)" = 0 ] || { cat /tmp/perf.result >&2; return 1; }
}
ended() { [ "$(perf_value disconnected $server)" = "$(perf_value connected $server)" ]; }
# exchange LOOP SIZE: on all of them at once
exchange() { checked "$many" loop="$1" size="$2" depth=2 iterations=20 verify=1 && KFI_WAIT=30 wait_until ended; }
# A client that goes with all its connections in the middle of it.
under_way() { [ "$(perf_value ops $server)" -gt "$1" ]; }
aborted()
{
	local base

	base=$(perf_value ops $server)
	perf_new client kfi provider=tcp loop=pingpong size=256 depth=2 conns="$many" iterations=1000000000 || return
	perf_set client run=1 > /dev/null 2>&1 &
	KFI_WAIT=60 wait_until under_way $((base + many)) || return
	echo 1 > $PERF/client/abort
	wait
	cat $PERF/client/result > /tmp/perf.result
	rmdir $PERF/client && [ "$(perf_value connected)" = "$many" ] &&
		[ "$(perf_value posted)" = "$(perf_value completed)" ] || { cat /tmp/perf.result >&2; return 1; }
	KFI_WAIT=30 wait_until ended
}
# One that answers at once and never ends must not keep several hundred others waiting, nor they it.
fair()
{
	local others=300 base rc=0

	base=$(perf_value ops $server)
	perf_new busy kfi provider=tcp loop=pingpong size=64 depth=1 conns=1 iterations=1000000000 || return
	perf_set busy run=1 > /dev/null 2>&1 &
	wait_until under_way $((base + 1000)) || rc=1
	checked $others loop=pingpong size=64 depth=1 iterations=50 verify=1 || rc=1
	[ "$(cat $PERF/busy/run)" = running ] || { echo "it has ended" >&2; rc=1; }
	# It goes on behind them, too.
	base=$(perf_value ops $server)
	wait_until under_way $((base + 1000)) || rc=1
	echo 1 > $PERF/busy/abort
	wait
	[ "$(perf_value posted $PERF/busy/result)" = "$(perf_value completed $PERF/busy/result)" ] || rc=1
	[ $rc -eq 0 ] || cat $PERF/busy/result >&2
	rmdir $PERF/busy && [ $rc -eq 0 ] && KFI_WAIT=30 wait_until ended
}
# Nanoseconds of the wall clock for each operation.
cost_of() # FILE CONNECTIONS LOOP SIZE
{
	checked "$2" loop="$3" size="$4" depth=1 iterations=$((many * 40 / $2)) || return
	echo $(($(perf_value wall_ns) / $(perf_value ops))) >> "/tmp/$3_$4.$1"
}
COSTS="pingpong 64
read 4096
write 4096"
# The same over raw sockets, whose loop with many connections is ping-pong.
raw_cost() # FILE CONNECTIONS
{
	perf_run sock conns="$2" loop=pingpong size=64 depth=1 iterations=$((many * 40 / $2)) || return
	[ "$(perf_value ops)" = $((many * 40 / $2 * $2)) ] || { cat /tmp/perf.result >&2; return 1; }
	echo $(($(perf_value wall_ns) / $(perf_value ops))) >> "/tmp/sock_pingpong_64.$1"
}
costs()
{
	local loop size

	rm -f /tmp/*.one /tmp/*.many
	for _ in 1 2 3; do
		raw_cost one 1 && raw_cost many "$many" || return
	done
	while read -r loop size; do
		for _ in 1 2 3; do
			cost_of one 1 "$loop" "$size" && cost_of many "$many" "$loop" "$size" || return
		done
	done <<< "$COSTS"
}
cost_lines()
{
	local loop size

	bench_line "perf.tcp_many_$many" sock_pingpong_64 ns many one
	while read -r loop size; do
		bench_line "perf.tcp_many_$many" "${loop}_$size" ns many one
	done <<< "$COSTS"
}

# held: bytes of memory that are not free, and neither user's nor cache.
held()
{
	local cache

	sync
	echo 3 > /proc/sys/vm/drop_caches
	# What is free within them is no cost of what is made next.
	for cache in /sys/kernel/slab/*/shrink; do echo 1 > "$cache"; done
	awk '/^MemTotal/ { total = $2 } /^MemFree/ { free = $2 } /^(Cached|Buffers|AnonPages)/ { user += $2 }
		END { print (total - free - user) * 1024 }' /proc/meminfo
}
# cost_idle PARAMETER...: bytes of one end of an idle connection
cost_idle()
{
	local before after

	before=$(held)
	modprobe kfi_idle addr=$IP0 conns=$idle "$@" || return
	after=$(held)
	modprobe -r kfi_idle
	echo $(((after - before) / idle / 2))
}
memory()
{
	local raw what

	: > /tmp/memory
	# The first time fills the allocator's caches.
	cost_idle raw=1 && cost_idle || return
	raw=$(cost_idle raw=1) || return
	for what in "depth=1 reads=1" "depth=16 reads=1" "depth=16 reads=16" "depth=128 reads=16"; do
		# shellcheck disable=SC2086 # words
		echo "$what $raw $(cost_idle $what)" >> /tmp/memory
	done
	cat /tmp/memory
	# Debugging makes everything larger.
	[ "$KFI_SCALE" -gt 1 ] || [ "$(awk 'NR == 1 { print $4 - $3 }' /tmp/memory)" -lt 4096 ]
}
memory_lines()
{
	awk '{ sub("depth=", "", $1); sub("reads=", "", $2)
		printf "#| perf.tcp_idle.depth_%d_reads_%d %d %d %.3f bytes\n", $1, $2, $4, $3, $4 / $3 }' /tmp/memory
}

ktap_print_header
ktap_set_plan 9
ktap_here "a server" setup || ktap_finished
for what in "pingpong 256" "read 4096" "write 4096"; do
	# shellcheck disable=SC2086 # two words
	ktap_test "$many connections: $what" exchange $what
done
ktap_test "$many connections whose client goes" aborted
ktap_test "one that never pauses and 300 others" fair
ktap_here "cost beside one connection" costs && cost_lines
ktap_test "an idle connection: less than 4 KiB beside its socket" memory
memory_lines
ktap_test "servers end, modules unload" unload
ktap_finished
