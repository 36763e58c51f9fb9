#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# fi_pingpong, the distribution's libfabric program, as client and as server of kfi_perf in the kernel, with its data
# checked on both sides: over TCP, and over verbs.
# kfi-test: kernels=uml,uml-debug limit=60 long=300 order=25 devices=none
. "$(dirname "$0")/lib.sh"

need_module kfi_perf
command -v fi_pingpong > /dev/null || ktap_skip_all "no fi_pingpong"
PORT=9228
# Where the server is, and what fi_pingpong has to be told.
host=$IP0 at=$IP0:$PORT family=
few=$((KFI_SCALE > 1 ? 50 : 1000))
SIZES="1 64 1000 4096 65536 1048576"

# The data of one run: posted once, completed once, right.
sound()
{
	[ "$(perf_value error "$1")" = "${2-0}" ] && [ "$(perf_value mismatches "$1")" = 0 ] &&
		[ "$(perf_value errors "$1")" = 0 ] || { cat "$1" >&2; return 1; }
}
times() { [ "$1" -ge 65536 ] && echo $((few / 10)) || echo $few; }
report() { awk -v who="$1" 'NF == 8 && $1 ~ /^[0-9]/ { print who, $1 "B", $7, "usec/xfer", $6, "MB/s" }' "$2" >> /tmp/report; }

# client PROVIDER SIZE: fi_pingpong connects to a server in the kernel
client()
{
	local provider=$1 size=$2 n rc=0 helper
	n=$(times "$size")

	mkdir $PERF/pingpong && perf_set pingpong role=server addr="$at" provider="$provider" libfabric=1 verify=1 size="$size" \
		iterations="$n" run=1 || return
	rm -f /tmp/helper.out
	"$KFI_SELFTESTS/interop.py" serve "$host" $PORT > /tmp/helper.out 2>&1 &
	helper=$!
	wait_until grep -q listening /tmp/helper.out &&
		timeout $((20 * KFI_SCALE)) fi_pingpong $family -p "$provider" -e msg -c -I "$n" -S "$size" "$host" > /tmp/fi.out 2>&1 || { echo "fi_pingpong: $?"; rc=1; }
	wait $helper || rc=1
	cat $PERF/pingpong/result > /tmp/perf.result
	[ $rc -eq 0 ] && sound /tmp/perf.result "" && [ "$(perf_value ops)" = "$n" ] &&
		[ "$(perf_value connected)" = 1 ] || rc=1
	perf_stop pingpong || rc=1
	[ $rc -eq 0 ] || cat /tmp/helper.out /tmp/fi.out /tmp/perf.result
	report "$provider${family:+ $family}: fi_pingpong -> kernel" /tmp/fi.out
	return $rc
}
# server PROVIDER SIZE: a client in the kernel connects to fi_pingpong
server()
{
	local provider=$1 size=$2 n rc=0 peer
	n=$(times "$size")

	mkdir $PERF/pingpong && perf_set pingpong role=client src=$IP1 provider="$provider" libfabric=1 verify=1 size="$size" \
		iterations="$n" || return
	timeout $((20 * KFI_SCALE)) fi_pingpong -p "$provider" -e msg -c -I "$n" -S "$size" -s $IP0 > /tmp/fi.out 2>&1 &
	peer=$!
	timeout $((20 * KFI_SCALE)) "$KFI_SELFTESTS/interop.py" connect $IP0 $PERF/pingpong > /tmp/helper.out 2>&1 || rc=1
	wait $peer || rc=1
	cat $PERF/pingpong/result > /tmp/perf.result
	[ $rc -eq 0 ] && sound /tmp/perf.result && [ "$(perf_value ops)" = "$n" ] &&
		[ "$(perf_value posted)" = "$(perf_value completed)" ] || rc=1
	rmdir $PERF/pingpong || rc=1
	[ $rc -eq 0 ] || cat /tmp/helper.out /tmp/fi.out /tmp/perf.result
	report "$provider: kernel -> fi_pingpong" /tmp/fi.out
	return $rc
}
all() { local size; for size in $SIZES; do "$1" "$2" "$size" || { echo "size $size"; return 1; }; done; }
# Only as client: libfabric 2.1's fi_pingpong finds nothing to listen with (fi_getinfo: no data) when it is told -6.
over_ipv6() { local host=::1 at="[::1]:$PORT" family=-6; "$@"; }
# itself PROVIDER: fi_pingpong with itself, for comparison
itself()
{
	local size peer

	for size in 64 65536; do
		timeout $((20 * KFI_SCALE)) fi_pingpong -p "$1" -e msg -I "$((few / 10))" -S $size -s $IP0 > /tmp/fi.server 2>&1 &
		peer=$!
		wait_until grep -q ":$(printf %04X 47592) 00000000:0000 0A" /proc/net/tcp
		timeout $((20 * KFI_SCALE)) fi_pingpong -p "$1" -e msg -I "$((few / 10))" -S $size $IP0 > /tmp/fi.out 2>&1
		wait $peer
		report "$1: fi_pingpong -> itself" /tmp/fi.out
	done
}
# A kfi peer on a port of its own, and one that comes to the wrong port.
own_port()
{
	mkdir $PERF/own && perf_set own role=server addr=$IP0:$PORT provider=tcp own_port=1 run=1 || return
	perf_run kfi provider=tcp addr=$IP0:$PORT own_port=1 loop=read size=70000 iterations=30 verify=1 &&
		[ "$(perf_value crc_ok)" = 1 ] || return
	! perf_run kfi provider=tcp addr=$IP0:$PORT iterations=1 2> /dev/null || { echo "it listens as a service, too"; return 1; }
	! { mkdir $PERF/other && perf_set other role=server addr=$IP0:$PORT provider=tcp own_port=1 run=1; } 2> /dev/null ||
		{ echo "two listen on one port"; return 1; }
	rmdir $PERF/other
	perf_stop own
}
# killed_client, killed_server: fi_pingpong goes without a word; the kernel's side ends, and takes the next one.
sends() { [ "$(perf_value ops $PERF/pingpong/result)" -gt 100 ]; }
ended() { [ "$(perf_value disconnected $PERF/pingpong/result)" = 1 ]; }
killed_client()
{
	mkdir $PERF/pingpong && perf_set pingpong role=server addr=$IP0:$PORT provider=tcp libfabric=1 size=4096 iterations=100000000 run=1 ||
		return
	rm -f /tmp/helper.out
	"$KFI_SELFTESTS/interop.py" serve $IP0 $PORT > /tmp/helper.out 2>&1 &
	wait_until grep -q listening /tmp/helper.out || return
	fi_pingpong -p tcp -e msg -I 100000000 -S 4096 $IP0 > /dev/null 2>&1 &
	wait_until sends && kill -9 $! && wait_until ended || return
	wait
	perf_stop pingpong && client tcp 64
}
killed_server()
{
	local peer helper

	mkdir $PERF/pingpong && perf_set pingpong role=client src=$IP1 provider=tcp libfabric=1 size=4096 iterations=100000000 || return
	fi_pingpong -p tcp -e msg -I 100000000 -S 4096 -s $IP0 > /dev/null 2>&1 &
	peer=$!
	"$KFI_SELFTESTS/interop.py" connect $IP0 $PERF/pingpong > /tmp/helper.out 2>&1 &
	helper=$!
	wait_until grep -q running $PERF/pingpong/run && wait_until grep -q endpoint /tmp/helper.out && sleep 0.2 || return
	kill -9 $peer
	! wait $helper || { echo "the run has not failed"; return 1; }
	cat $PERF/pingpong/result > /tmp/perf.result
	rmdir $PERF/pingpong
	[ "$(perf_value error)" -lt 0 ] && [ "$(perf_value posted)" = "$(perf_value completed)" ] ||
		{ cat /tmp/perf.result; return 1; }
	server tcp 64
}
# A client that was sent to the port that consumers share, where it names none of them, or to one at which nobody listens: it ends
# with an error, and the kernel's side takes the next one.
astray()
{
	local port helper

	perf_serve kfi provider=tcp || return
	for port in 20077 9300; do
		rm -f /tmp/helper.out
		"$KFI_SELFTESTS/interop.py" serve $IP0 $port > /tmp/helper.out 2>&1 &
		helper=$!
		wait_until grep -q listening /tmp/helper.out || return
		timeout $((20 * KFI_SCALE)) fi_pingpong -p tcp -e msg -I 10 -S 64 $IP0 > /tmp/fi.out 2>&1
		[ $? -lt 124 ] && ! wait $helper || { cat /tmp/fi.out /tmp/helper.out; return 1; }
	done
	[ "$(perf_value connected $PERF/server-kfi/result)" = 0 ] && perf_end && client tcp 64
}
setup_tcp() { veth_up && modprobe kfi tcp=1 && modprobe kfi_perf; }
# Built in, where there is no module.
user_verbs() { modprobe -qa rdma_ucm ib_uverbs; wait_until test -e /dev/infiniband/rdma_cm; }
setup_verbs() { KFI_DEVICE=rxe ports_up && modprobe kfi tcp=1 && modprobe kfi_verbs && modprobe kfi_perf && user_verbs; }

: > /tmp/report
ktap_print_header
ktap_set_plan 12
ktap_here "a veth pair" setup_tcp || ktap_finished
ktap_test "tcp: fi_pingpong as client" all client tcp
ktap_test "tcp: fi_pingpong as server" all server tcp
ktap_test "tcp: fi_pingpong as client, over IPv6" over_ipv6 all client tcp
ktap_test "tcp: a port of its own between kfi peers" own_port
ktap_test "tcp: clients at the wrong port" astray
ktap_test "tcp: a client that is killed" killed_client
ktap_test "tcp: a server that is killed" killed_server
[ -n "$KFI_LONG$KFI_SHOW" ] && itself tcp
ktap_test "modules unload" eval 'perf_end && unloaded kfi_perf kfi && veth_down'
if have_module rdma_rxe && setup_verbs > /tmp/setup.out 2>&1; then
	ktap_test "verbs: fi_pingpong as client" all client verbs
	ktap_test "verbs: fi_pingpong as server" all server verbs
	[ -n "$KFI_LONG$KFI_SHOW" ] && itself verbs
else
	ktap_diag "$(cat /tmp/setup.out)"
	ktap_test_skip "verbs: fi_pingpong as client" "no verbs in user space"
	ktap_test_skip "verbs: fi_pingpong as server" "no verbs in user space"
fi
ktap_diag "$(cat /tmp/report)"
ktap_test "servers end, modules unload" eval 'perf_end && unloaded kfi_perf kfi_verbs kfi'
ktap_finished
