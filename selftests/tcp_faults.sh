#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The TCP provider over a bad network: loss, reordering, duplicates, corruption, delay, low rate, a link that goes down,
# connections that are killed. Nothing is lost, doubled or changed; every operation completes once.
# kfi-test: kernels=uml,uml-debug devices=none limit=150 long=600 order=8
. "$(dirname "$0")/lib.sh"

need_module kfi_perf sch_netem
few=$((KFI_SCALE > 1 ? 20 : 100)) kills=$((KFI_SCALE > 1 ? 5 : 20))
[ -z "$KFI_LONG" ] || few=$((few * 10)) kills=$((kills * 10))
# What is tested: where the server says what it sees, how a client gets there, over which links.
server=$PERF/server-kfi/result there=() links="v0 v1"

load() { modprobe kfi tcp=1 "$@" && modprobe kfi_perf && perf_serve kfi provider=tcp; }
setup() { veth_up && load; }
unload() { perf_end && unloaded kfi_perf && unloaded kfi; }

# bad WORD...: both directions of the link from now on; nothing: a good one.
bad()
{
	local dev

	for dev in $links; do
		tc qdisc del dev $dev root 2> /dev/null
		[ $# -eq 0 ] || tc qdisc add dev $dev root netem "$@" || return
	done
}
dropped() { tc -s qdisc show dev "${links%% *}" | sed -n 's/.*dropped \([0-9]*\).*/\1/p' | head -n 1; }
arrived() { [ "$(perf_value ops $server)" = "$1" ]; }
# checked LOOP KEY=VALUE...: all data are right, each operation completes once, and the server has seen as many messages.
checked()
{
	local loop=$1 before
	shift

	before=$(perf_value ops $server)
	perf_run kfi provider=tcp "${there[@]}" loop="$loop" verify=1 "$@" || return
	perf_sound && [ "$(perf_value crc_ok)" = 1 ] && [ "$(perf_value mismatches $server)" = 0 ] || { cat /tmp/perf.result >&2; return 1; }
	# Not for the other loops: what was sent last may be lost when the client closes behind it; see sockets.rst.
	[ "$loop" != pingpong ] || wait_until arrived $((before + $(perf_value ops)))
}
loops()
{
	checked pingpong size=512 depth=4 iterations=$few && checked rate size=4096 depth=16 iterations=$((few * 5)) &&
		checked read size=65536 depth=8 iterations=$few && checked write size=65536 depth=8 iterations=$few
}
over() # NETEM...
{
	local rc=0

	bad "$@" && loops || rc=1
	tc -s qdisc show dev v0
	bad
	return $rc
}
losing() { bad loss 3% && loops && [ "$(dropped)" -gt 0 ]; local rc=$?; bad; return $rc; }
over_ipv6()
{
	local server=$PERF/server-tcp/result there=(addr="[::1]:7001" src=::1) links=lo

	perf_serve tcp addr="[::1]:7001" && losing
}

# busy LOOP: a client that does not end by itself, in the background
established() { [ "$(perf_value connected $server)" -ge "$1" ]; }
busy()
{
	local base

	base=$(perf_value connected $server)
	perf_new client kfi provider=tcp loop="$1" size=16384 depth=8 conns=4 verify=1 iterations=1000000000 || return
	perf_set client run=1 > /dev/null 2>&1 &
	wait_until established $((${base:-0} + 4))
}
ended() # leaves the result in /tmp/perf.result
{
	wait
	cat $PERF/client/result > /tmp/perf.result
	rmdir $PERF/client && [ "$(perf_value posted)" = "$(perf_value completed)" ] && [ "$(perf_value mismatches)" = 0 ] ||
		{ cat /tmp/perf.result >&2; return 1; }
}
seen() { perf_value ops $server; }
moves() { [ "$(seen)" -gt "$1" ]; }
# The link is away for some seconds under load. Then everything goes on.
link_flaps()
{
	local n

	busy rate || return
	for n in 1 2 3; do
		wait_until moves "$(seen)" && link_down || return
		# This is no waiting for something: TCP is to lose what it sends meanwhile, some times.
		sleep 1.$n
		link_up || return
		KFI_WAIT=20 wait_until moves "$(seen)" || return
	done
	echo 1 > $PERF/client/abort
	ended && [ "$(perf_value errors)" = 0 ] && [ "$(perf_value disconnected)" = 0 ]
}
# It stays away: both sides notice within tcp_timeout, for which 15 seconds are the least.
gone() { [ "$(perf_value disconnected $server)" -ge "$1" ]; }
no_client() { [ "$(cat $PERF/client/run)" = "done" ]; }
link_stays_down()
{
	local base

	unload && load tcp_timeout=15 || return
	base=$(perf_value disconnected $server)
	busy pingpong && bad loss 100% || return
	KFI_WAIT=45 wait_until no_client && KFI_WAIT=45 wait_until gone $((${base:-0} + 4)) || return
	bad
	ended && [ "$(perf_value error)" -lt 0 ] && loops
}
# Connections on which nothing happens, whose peers are gone: keepalive notices.
idle_peers_die()
{
	local base rc=0

	base=$(perf_value disconnected $server)
	peers_hold && bad loss 100% && KFI_WAIT=45 wait_until gone $((${base:-0} + 20)) || rc=1
	bad
	peers_let_go
	[ $rc -eq 0 ] && loops
}
# Each loop, each side, many moments.
killed()
{
	local loop side n

	for loop in pingpong rate read write; do
		for side in sport dport; do
			for n in $(seq $((kills / 5))); do
				busy $loop && wait_until ss -Ktn state established "( $side = 20077 )" || return
				KFI_WAIT=20 wait_until no_client || return
				ended && [ "$(perf_value error)" -lt 0 ] || return
			done
		done
	done
	loops
}
# All moments from connecting to the end.
killed_anywhere()
{
	local pid rc=0

	while :; do ss -Ktn state all exclude listening "( sport = 20077 or dport = 20077 )"; done > /dev/null 2>&1 &
	pid=$!
	! perf_run kfi provider=tcp loop=pingpong size=512 depth=2 verify=1 conns=4 cycles=$((kills * 5)) iterations=20 2> /dev/null
	kill $pid
	wait $pid 2> /dev/null
	cat /tmp/perf.result
	[ "$(perf_value posted)" = "$(perf_value completed)" ] && [ "$(perf_value mismatches)" = 0 ] || rc=1
	[ "$(perf_value connect_errors)" -gt 0 ] || [ "$(perf_value disconnected)" -gt 0 ] || rc=1
	[ $rc -eq 0 ] && loops
}
digests() { unload && load tcp_crc32c=1 && over loss 2% duplicate 5% corrupt 2% delay 2ms 2ms; }

ktap_print_header
ktap_set_plan 17
ktap_here "a server" setup || ktap_finished
ktap_test "a good link" loops
ktap_test "loss" losing
ktap_test "loss, over IPv6" over_ipv6
ktap_test "delay, and jitter that reorders" over delay 5ms 4ms 25%
ktap_test "reordering" over delay 4ms reorder 25% 50%
ktap_test "duplicates" over duplicate 20%
ktap_test "corruption" over corrupt 3%
ktap_test "a low rate with a short queue" over rate 100mbit limit 20
ktap_test "all at once" over loss 1% duplicate 2% corrupt 1% delay 2ms 2ms rate 200mbit limit 100
ktap_here "a link that goes down, three times" link_flaps
ktap_here "connections killed under load" killed
ktap_here "connections killed at all moments" killed_anywhere
ktap_here "a link that stays down" link_stays_down
ktap_here "idle connections whose peers are gone" idle_peers_die
ktap_here "CRC32C over a bad link" digests
ktap_test "servers end, modules unload" unload
ktap_finished
