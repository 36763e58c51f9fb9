#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The TCP provider: every loop of kfi_perf between the ends of a veth pair, with its data verified; how connections end.
# kfi-test: kernels=stock,uml,uml-debug,uml-noib devices=none limit=90 order=6
. "$(dirname "$0")/lib.sh"

need_module kfi_perf kfi_test
few=$((KFI_SCALE > 1 ? 30 : 300))

load() { modprobe kfi tcp=1 "$@" && modprobe kfi_perf && perf_serve kfi provider=tcp; }
setup() { veth_up && load; }
unload() { perf_end && unloaded kfi_perf && unloaded kfi; }
# checked KEY=VALUE...: a run whose data are right, whose operations all completed, once.
checked() { perf_run kfi provider=tcp "$@" && perf_sound; }
sizes()
{
	local what=$1 size

	for size in 16 64 1000 1024 4095 4096 4097 65536 1048576; do
		checked loop="$what" size=$size depth=2 iterations=$((few / 10)) verify=1 || { echo "size $size"; return 1; }
	done
}
small_sizes()
{
	local size

	for size in 1 7 15; do checked loop=pingpong size=$size iterations=$few || return; done
}
crossed()
{
	local before
	before=$(rx_bytes)
	checked loop=read size=65536 depth=4 iterations=32 || return
	[ $(($(rx_bytes) - before)) -gt 2000000 ]
}

cycles()
{
	perf_run kfi provider=tcp cycles="$1" conns="$2" iterations=1 loop=pingpong || return
	[ "$(perf_value connected)" = $(($1 * $2)) ] && [ "$(perf_value connect_errors)" = 0 ] ||
		{ cat /tmp/perf.result >&2; return 1; }
}
# busy LOOP SIZE: a client that does not end by itself, in the background
established() { [ "$(perf_value connected "$PERF/server-kfi/result")" -ge "$1" ]; }
busy()
{
	local base
	base=$(perf_value connected "$PERF/server-kfi/result")
	perf_new client kfi provider=tcp loop="$1" size="$2" depth=16 conns=4 iterations=1000000000 || return
	perf_set client run=1 > /dev/null 2>&1 &
	wait_until established $((${base:-0} + 4))
}
# Signaled writes of 16 KiB and more, and nothing else.
by_reference()
{
	local size what n=$((few / 10))

	for size in 16384 70001 1048576; do
		lends $((n * size)) checked loop=write size=$size depth=4 iterations=$n || return
	done
	lends 0 checked loop=write size=16383 depth=4 iterations=$n || return
	for what in pingpong rate read; do
		lends 0 checked loop=$what size=65536 depth=4 iterations=$n || return
	done
	lends 0 modprobe kfi_test addr=$IP0 src=$IP1 provider=tcp only=heap && unloaded kfi_test
}
client_aborts()
{
	local loop

	for loop in rate read write; do
		busy $loop 65536 || return
		echo 1 > $PERF/client/abort
		wait
		rmdir $PERF/client || return
	done
	checked loop=rate size=4096 depth=16 iterations=$few verify=1
}
server_goes()
{
	local loop

	for loop in rate read write; do
		busy $loop 65536 || return
		perf_set server-kfi run=0 || return
		wait
		rmdir $PERF/client || return
		perf_set server-kfi run=1 || return
	done
	checked loop=rate size=4096 depth=16 iterations=$few verify=1
}
digests()
{
	local loop

	unload && load tcp_crc32c=1 || return
	for loop in pingpong rate read write; do
		checked loop=$loop size=70001 depth=4 iterations=$few verify=1 || return
	done
	python3 "$(dirname "$0")/tcp_peer.py" $IP0 7001 $IP1 digests && perf_end
}
over_ipv6()
{
	perf_serve kfi provider=tcp addr="[::1]:7001" || return
	for loop in pingpong read write; do
		checked loop=$loop addr="[::1]:7001" src=::1 size=5000 depth=4 iterations=$few verify=1 || return
	done
}

open_port() { (: < "/dev/tcp/$IP0/$1") 2> /dev/null; }
other_port()
{
	unload && load tcp_port=4711 && checked loop=pingpong iterations=$few verify=1 && open_port 4711 && ! open_port 20077
}
# carries VALUE PORT COMMAND...: that type of service is on each packet with data to and from the port while COMMAND runs.
carries()
{
	python3 - "$@" <<-P
	import socket, struct, subprocess, sys
	value, PORT, *command = sys.argv[1:]
	value, PORT = int(value), int(PORT)
	tap = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(3))
	subprocess.run(command, check=True)
	tap.setblocking(False)
	seen = {"there": set(), "back": set()}
	try:
	    while True:
	        packet = tap.recv(65536)
	        if packet[0] >> 4 == 4:
	            tos, proto, head = packet[1], packet[9], (packet[0] & 15) * 4
	            (end,) = struct.unpack_from(">H", packet, 2)
	        elif packet[0] >> 4 == 6:
	            tos, proto, head = (packet[0] & 15) << 4 | packet[1] >> 4, packet[6], 40
	            end = 40 + struct.unpack_from(">H", packet, 4)[0]
	        else:
	            continue
	        if proto == 6 and end > head + (packet[head + 12] >> 4) * 4:
	            src, dst = struct.unpack_from(">HH", packet, head)
	            if PORT in (src, dst):
	                seen["there" if dst == PORT else "back"].add(tos)
	except BlockingIOError:
	    pass
	print(seen)
	sys.exit(seen != {"there": {value}, "back": {value}})
	P
}
# The two bits of ECN are TCP's.
types_of_service()
{
	local ends tos

	for ends in "addr=$IP0 src=$IP1" "addr=::1 src=::1" "addr=::ffff:$IP0 src=::ffff:$IP1"; do
		# shellcheck disable=SC2086 # words
		carries 40 20077 modprobe kfi_test provider=tcp only=nop $ends tos=0x2b && unloaded kfi_test &&
			carries 0 20077 modprobe kfi_test provider=tcp only=nop $ends && unloaded kfi_test || { echo "$ends"; return 1; }
	done
	# The other API.
	perf_stop server-kfi && perf_serve kfi provider=tcp || return
	for tos in 40 0; do
		perf_new client kfi provider=tcp iterations=$few tos=$((tos ? 43 : -1)) &&
			carries $tos 20077 sh -c "echo 1 > $PERF/client/run" && rmdir $PERF/client || return
	done
}

ktap_print_header
ktap_set_plan 25
ktap_here "a server" setup || ktap_finished
for what in pingpong rate read write; do
	ktap_test "$what, all sizes" sizes $what
done
ktap_test "rate at depth 64" checked loop=rate size=64 depth=64 iterations=$((few * 10)) verify=1
ktap_test "messages of a few bytes" small_sizes
for poll in softirq workqueue unbound direct; do
	ktap_test "polling: $poll" checked poll=$poll loop=rate size=4096 depth=16 iterations=$few verify=1
done
ktap_test "the data cross the veth pair" crossed
ktap_test "what is sent without copying it" by_reference
ktap_test "8 connections" checked conns=8 loop=pingpong size=256 iterations=$few verify=1
ktap_test "latency is measured" eval 'perf_run kfi provider=tcp latency=1 loop=pingpong iterations=$few && [ "$(perf_value lat_ns_p500)" -gt 0 ]'
ktap_test "nobody there: a clear error" eval '! perf_run kfi provider=tcp addr=$IP0:7999 && [ "$(perf_value error)" -lt 0 ]'
ktap_test "connect, one message, close: 50 times" cycles 50 1
ktap_test "8 at once: 10 times" cycles 10 8
ktap_test "clients that go away under load" client_aborts
ktap_test "servers that go away under load" server_goes
ktap_test "with CRC32C" digests
ktap_test "IPv6" over_ipv6
ktap_test "type of service" types_of_service
ktap_test "another port" other_port
ktap_test "servers end, modules unload" unload
