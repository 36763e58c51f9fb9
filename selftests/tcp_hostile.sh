#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A peer that breaks every rule of the TCP wire, beside one that keeps to them: only its own connection ends. It connects
# (tcp_peer.py), and is connected to (tcp_listener.py).
# kfi-test: kernels=uml,uml-debug devices=none limit=300 order=7
. "$(dirname "$0")/lib.sh"

need_module kfi_perf
command -v python3 > /dev/null || ktap_skip_all "no python3"
here=$(dirname "$0")
cases() { grep -A1 '^@case' "$here/$1" | sed -n 's/^def \(.*\)():/\1/p'; }

FAR=10.0.1.2 NEAR=10.0.1.1 FAR6=fd00:1::2 NEAR6=fd00:1::1
netns_up()
{
	ip netns add far && ip link add v2 type veth peer name p0 netns far &&
		ip addr add $NEAR/24 dev v2 && ip link set v2 up &&
		ip -n far addr add $FAR/24 dev p0 && ip -n far link set p0 up &&
		ip addr add $NEAR6/64 dev v2 nodad && ip -n far addr add $FAR6/64 dev p0 nodad
}
setup() { veth_up && netns_up && modprobe kfi tcp=1 tcp_backlog=128 tcp_credits=1 && modprobe kfi_perf && perf_serve kfi provider=tcp; }
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
		[[ $(perf_value error) = -4 || $(perf_value error) = -125 ]] || # -EINTR, -ECANCELED: ended by us
		{ cat /tmp/perf.result; return 1; }
}
judge() # NAME CASE...
{
	local name=$1 c
	shift

	for c in "$@"; do
		ktap_test "$name: $c" eval 'grep "^not ok $c:" /tmp/hostile.out; grep -qx "ok $c" /tmp/hostile.out'
	done
}
# A socket may connect to itself: then its own request is the answer to it.
self_connected()
{
	local range
	range=$(cat /proc/sys/net/ipv4/ip_local_port_range)
	echo 20077 20077 > /proc/sys/net/ipv4/ip_local_port_range
	! perf_run kfi provider=tcp addr=$IP0:7009 src=$IP0 2> /dev/null
	echo "$range" > /proc/sys/net/ipv4/ip_local_port_range
	cat /tmp/perf.result
	[ "$(perf_value connect_errors)" = 1 ] && [ "$(perf_value posted)" = "$(perf_value completed)" ]
}
# Some of each kind: requests, any cuts, ends at any point, headers, garbage.
six="connection_messages any_segmentation vanishes headers random_bytes"
six_listener="wrong_answers accept_in_pieces other_byte_order wrong_responses"
# The server is at IP0.
other_address() { nsenter --net=/run/netns/far -- python3 "$here/tcp_peer.py" $NEAR 7001 $FAR other_address; }
# A client that has agreed on CRC32C
wrong_digests()
{
	unloaded kfi_perf && unloaded kfi && modprobe kfi tcp_crc32c=1 && modprobe kfi_perf &&
		python3 "$here/tcp_listener.py" far $FAR $NEAR digests
}
unload_with_peers()
{
	perf_serve kfi provider=tcp && peers_hold || return
	! rmmod kfi 2> /dev/null && perf_end && unloaded kfi_perf && unloaded kfi || return
	peers_let_go
}

ktap_print_header
ktap_set_plan $(($(cases tcp_peer.py | wc -l) + $(cases tcp_listener.py | wc -l) + $(wc -w <<< "$six $six_listener") + 9))
ktap_here "a server" setup || ktap_finished
ktap_here "a neighbour" neighbour
python3 "$here/tcp_peer.py" $IP0 7001 $IP1 > /tmp/hostile.out 2>&1
mapfile -t names < <(cases tcp_peer.py)
judge tcp_peer "${names[@]}"
python3 "$here/tcp_listener.py" far $FAR $NEAR > /tmp/hostile.out 2>&1
mapfile -t names < <(cases tcp_listener.py)
judge tcp_listener "${names[@]}"
ktap_here "a server at an IPv6 address" perf_serve tcp addr="[::1]:7001"
python3 "$here/tcp_peer.py" ::1 7001 ::1 $six > /tmp/hostile.out 2>&1
judge "tcp_peer over IPv6" $six
python3 "$here/tcp_listener.py" far $FAR6 $NEAR6 $six_listener > /tmp/hostile.out 2>&1
judge "tcp_listener over IPv6" $six_listener
ktap_test "an address at which nobody listens" other_address
ktap_here "the neighbour has not noticed" undisturbed
ktap_test "the server ends" perf_end
ktap_test "a connection to itself" self_connected
ktap_test "read responses with wrong digests" wrong_digests
ktap_here "modules unload beneath connected peers" unload_with_peers
ip netns del far
ktap_finished
