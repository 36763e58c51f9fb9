#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A peer that breaks every rule of the TCP wire, beside one that keeps to them: only its own connection ends.
# kfi-test: kernels=uml,uml-debug devices=none limit=150 order=7
. "$(dirname "$0")/lib.sh"

need_module kfi_perf
command -v python3 > /dev/null || ktap_skip_all "no python3"
cases=$(grep -A1 '^@case' "$(dirname "$0")/tcp_peer.py" | sed -n 's/^def \(.*\)():/\1/p')

setup() { veth_up && modprobe kfi tcp=1 && modprobe kfi_perf && perf_serve kfi provider=tcp; }
# Runs all the while, and must not notice.
established() { [ "$(perf_value connected "$PERF/server-kfi/result")" -ge 2 ]; }
neighbour()
{
	perf_new client kfi provider=tcp loop=pingpong size=512 depth=1 conns=2 verify=1 iterations=1000000000 || return
	perf_set client run=1 > /dev/null 2>&1 &
	wait_until established
}
undisturbed()
{
	echo 1 > $PERF/client/abort
	wait
	cat $PERF/client/result > /tmp/perf.result
	rmdir $PERF/client || return
	[ "$(perf_value ops)" -gt 100 ] && [ "$(perf_value mismatches)" = 0 ] && [ "$(perf_value errors)" = 0 ] &&
		[ "$(perf_value error)" = -125 ] || # -ECANCELED: ended by us
		{ cat /tmp/perf.result; return 1; }
}

ktap_print_header
ktap_set_plan $(($(wc -w <<< "$cases") + 4))
ktap_here "a server" setup || ktap_finished
ktap_here "a neighbour" neighbour
python3 "$(dirname "$0")/tcp_peer.py" $IP0 7001 $IP1 > /tmp/hostile.out 2>&1
for c in $cases; do
	ktap_test "$c" eval 'grep "^not ok $c:" /tmp/hostile.out; grep -qx "ok $c" /tmp/hostile.out'
done
ktap_here "the neighbour has not noticed" undisturbed
ktap_test "servers end, modules unload" eval 'perf_end && unloaded kfi_perf && unloaded kfi'
ktap_finished
