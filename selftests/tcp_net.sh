#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The TCP provider and the network under it: other namespaces, both families, a link that goes down or away under load.
# kfi-test: kernels=uml,uml-debug devices=none limit=60 order=8
. "$(dirname "$0")/lib.sh"

need_module kfi_perf
few=$((KFI_SCALE > 1 ? 30 : 300))

# in_ns NAME COMMAND...: in that network namespace; sysfs stays what it is.
in_ns() { nsenter --net="/run/netns/$1" -- "${@:2}"; }
# starts DIR NAMESPACE: runs a test there
starts() { in_ns "$2" sh -c "echo 1 > $PERF/$1/run"; }

namespaces()
{
	modprobe kfi && modprobe kfi_perf && mkdir -p /run/netns || return
	ip netns add left && ip netns add right || return
	ip link add n0 netns left type veth peer name n1 netns right
	for n in left/n0/1 right/n1/2; do
		IFS=/ read -r ns dev host <<< "$n"
		in_ns "$ns" ip link set lo up
		in_ns "$ns" ip addr add "10.7.0.$host/24" dev "$dev"
		in_ns "$ns" ip addr add "fd07::$host/64" dev "$dev" nodad
		in_ns "$ns" ip link set "$dev" up
	done
	# A wildcard takes both families, whatever the host's default is.
	in_ns left sh -c 'echo 1 > /proc/sys/net/ipv6/bindv6only'
	mkdir $PERF/left $PERF/right || return
	perf_set left role=server addr=10.7.0.1:7001 && starts left left
}
right() # KEY=VALUE...: a client in the other namespace, with its data verified
{
	perf_set right role=client addr=10.7.0.1:7001 src= iterations=$few verify=1 depth=4 size=20000 "$@" || return
	starts right right || { cat $PERF/right/result; return 1; }
	cat $PERF/right/result > /tmp/perf.result
	perf_sound
}
each_loop() { local loop; for loop in pingpong rate read write; do right loop=$loop "$@" || { echo "$loop"; return 1; }; done; }
not_here() { perf_set right addr=10.7.0.1:7001; ! perf_set right run=1 2> /dev/null; }
# over_ipv6 OWN_PORT
over_ipv6()
{
	mkdir $PERF/six && perf_set six role=server addr="[::]:7002" own_port="$1" && starts six left || return
	each_loop own_port="$1" addr="[fd07::1]:7002" src="[fd07::2]:0" && each_loop own_port="$1" addr=10.7.0.1:7002 || return
	perf_set right own_port=0
	perf_stop six
}
# A wildcard that takes one family leaves the other one to somebody else.
one_family()
{
	local n

	mkdir $PERF/six $PERF/four && perf_set six role=server addr="[::]:7002" afonly=1 && starts six left &&
		! right addr=10.7.0.1:7002 2> /dev/null && right addr="[fd07::1]:7002" src="[fd07::2]:0" &&
		perf_set four role=server addr="0.0.0.0:7002" && starts four left &&
		right addr=10.7.0.1:7002 && right addr="[fd07::1]:7002" src="[fd07::2]:0" || return
	for n in six/2 four/1; do
		[ "$(perf_value connected "$PERF/${n%/*}/result")" = "${n#*/}" ] || { cat "$PERF/${n%/*}/result"; return 1; }
		perf_stop "${n%/*}"
	done
}
# The same address and number on two links.
index_of() { in_ns "$1" ip -o link show "$2" | sed 's/:.*//'; }
link_local()
{
	local ns dev host n

	ip link add n2 netns left type veth peer name n3 netns right || return
	for n in left/n0/1 right/n1/2 left/n2/1 right/n3/2; do
		IFS=/ read -r ns dev host <<< "$n"
		in_ns "$ns" ip addr add "fe80::$host/64" dev "$dev" nodad && in_ns "$ns" ip link set "$dev" up || return
	done
	for dev in n0 n2; do
		mkdir $PERF/$dev && perf_set $dev role=server addr="[fe80::1%$(index_of left $dev)]:7004" && starts $dev left || return
	done
	for dev in n1 n3; do
		n=$(index_of right $dev)
		right addr="[fe80::1%$n]:7004" src="[fe80::2%$n]:0" && right addr="[fe80::1%$n]:7004" || return
	done
	for dev in n0 n2; do
		[ "$(perf_value connected $PERF/$dev/result)" = 2 ] || { cat $PERF/$dev/result; return 1; }
		perf_stop $dev
	done
	in_ns left ip link del n2
}
# The same address and number twice: each namespace has its own.
apart()
{
	local ns

	for ns in left right; do
		mkdir $PERF/lo-$ns && perf_set lo-$ns role=server addr=127.0.0.1:7003 && starts lo-$ns $ns || return
	done
	right addr=127.0.0.1:7003 || return
	[ "$(perf_value connected $PERF/lo-right/result)" = 1 ] && [ "$(perf_value connected $PERF/lo-left/result)" = 0 ] || return
	for ns in left right; do
		perf_stop lo-$ns
	done
}

# Under load, in the background.
moves() { [ "$(in_ns right cat /proc/net/dev | sed -n 's/^ *n1: *\([0-9]*\).*/\1/p')" -gt "$1" ]; }
bytes() { in_ns right cat /proc/net/dev | sed -n 's/^ *n1: *\([0-9]*\).*/\1/p'; }
load()
{
	perf_set right role=client addr=10.7.0.1:7001 src= loop="$1" size=65536 depth=8 conns=4 iterations=1000000000 verify=0 || return
	starts right right > /dev/null 2>&1 &
	wait_until moves $(($(bytes) + 1000000))
}
stopped()
{
	echo 1 > $PERF/right/abort
	wait
	cat $PERF/right/result > /tmp/perf.result
	perf_set right conns=1
	[ "$(perf_value posted)" = "$(perf_value completed)" ] || { cat /tmp/perf.result; return 1; }
}
link_down()
{
	local loop

	for loop in rate read write; do
		load $loop && in_ns left ip link set n0 down && stopped && in_ns left ip link set n0 up || return
	done
	echo 0 > $PERF/left/run && starts left left && wait_until right loop=read
}
# It goes on where it stood, and no byte is lost or comes twice.
link_flaps()
{
	perf_set right role=client addr=10.7.0.1:7001 loop=rate size=5000 depth=8 conns=1 iterations=$((few * 100)) verify=1 || return
	starts right right > /tmp/flap.out 2>&1 &
	for _ in 1 2 3; do
		in_ns left ip link set n0 down
		in_ns left ip link set n0 up
	done
	wait $! || { cat /tmp/flap.out; return 1; }
	cat $PERF/right/result > /tmp/perf.result
	[ "$(perf_value error)" = 0 ] && [ "$(perf_value mismatches)" = 0 ] && [ "$(perf_value ops)" = $((few * 100)) ]
}
link_gone() { load read && in_ns left ip link del n0 && stopped; }
# The namespaces live as long as the connections in them, and not longer.
end()
{
	ip netns del left && ip netns del right && perf_end && unloaded kfi_perf kfi_verbs kfi
}

ktap_print_header
ktap_set_plan 12
ktap_here "a server in a namespace" namespaces || ktap_finished
ktap_test "a client in another one" each_loop
ktap_test "nobody is there in the first one" not_here
ktap_test "IPv6, and both families at once" over_ipv6 0
ktap_test "the same on a port of its own" over_ipv6 1
ktap_test "IPv6 alone" one_family
ktap_test "link-local addresses" link_local
ktap_test "namespaces do not meet" apart
ktap_here "the link goes down under load" link_down
ktap_here "the link comes and goes" link_flaps
ktap_here "the link goes away under load" link_gone
ktap_test "servers end, namespaces go, modules unload" end
ktap_finished
