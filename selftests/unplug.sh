#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The device goes away: idle, while connections come and go, under load; the client's device, the server's, both at once.
# `rdma link del` returns, everybody hears of it, each operation completes once, and the modules unload.
# kfi-test: limit=60 long=600 order=45
. "$(dirname "$0")/lib.sh"

need_module kfi_perf kfi_idle "$(driver_module)"
TIMES=$((KFI_SCALE > 1 ? 4 : 8))
[ -z "$KFI_LONG" ] || TIMES=25		# of 4 kinds on each device: 200 together

# The RDMA core's list of devices can leave one out while another goes: ask again.
del()
{
	local rc

	for _ in 1 2 3; do
		timeout $((10 * KFI_SCALE)) rdma link del "$1" && return
		rc=$?
		[ $rc -ne 124 ] && [ -e "/sys/class/infiniband/$1" ] || break
	done
	if [ $rc -eq 124 ]; then echo "rdma link del $1 does not return" >&2; fi
	return 1
}
ended() { ! kill -0 "$client" 2>/dev/null; }
serving() { [ "$(perf_value connected $PERF/server-kfi/result)" -ge "$1" ]; }
moving() { [ "$(rx_bytes)" -gt "$1" ]; }

# client_start CONNECTIONS KEY=VALUE...: in the background; returns when the server has as many and data move.
client_start()
{
	local before
	before=$(perf_value connected $PERF/server-kfi/result)
	perf_new client kfi "${@:2}" || return
	perf_set client run=1 > /tmp/client.out 2>&1 &
	client=$!
	wait_until serving $((before + $1)) && wait_until moving $(($(rx_bytes) + 20000))
}
# client_end: it ends by itself, or by being told to when it was its peer that went.
client_end()
{
	[ "$1" = alone ] || echo 1 > $PERF/client/abort
	wait_until ended || { cat "/proc/$client/stack"; echo w > /proc/sysrq-trigger; return 1; }
	cat $PERF/client/result > /tmp/perf.result
	rmdir $PERF/client
}
counted()
{
	[ "$(perf_value posted)" = "$(perf_value completed)" ] || { echo "posted and completed differ:"; cat /tmp/perf.result; return 1; }
}
server_back() { echo 0 > $PERF/server-kfi/run; perf_set server-kfi run=1; }

setup() { ports_up && modprobe kfi_perf && modprobe kfi_verbs && perf_serve kfi; }

idle()
{
	del "$DEV0" && port_up 0 && server_back && del "$DEV1" && port_up 1 && perf_run kfi iterations=3
}
# idle_is PARAMETER ACTIVE,PASSIVE: ended is how many of kfi_idle's ends have heard of their end, nodev of the device that is gone.
idle_is() { [ "$(cat "/sys/module/kfi_idle/parameters/$1")" = "$2" ] || { grep . /sys/module/kfi_idle/parameters/{ended,nodev} >&2; return 1; }; }
# Whose device goes has heard so when it is gone; the peer sees an ordinary end, some time.
idle_connected() # DEVICE NODEV
{
	modprobe kfi_idle provider=verbs addr=$IP0 src=$IP1 && idle_is ended 0,0 && idle_is nodev 0,0 || return
	del "$1" && idle_is nodev "$2" && wait_until idle_is ended 1,1 && idle_is nodev "$2" || return
	unloaded kfi_idle && port_up "${1#"$KFI_DEVICE"}"
}
idle_pairs() { idle_connected "$DEV1" 1,0 && idle_connected "$DEV0" 0,1 && server_back; }
# nodev: connections of the server that have heard that their device is gone.
nodev() { perf_value nodev $PERF/server-kfi/result; }
load()
{
	client_start 4 conns=4 loop=rate size=4096 depth=32 iterations=1000000000 || return
	del "$DEV1" && client_end alone && counted || return
	# It closes its connections at the first completion with -ECANCELED, mostly before it can hear of the device.
	case $(perf_value error) in
	-19 | -125) port_up 1 ;;
	*) echo "neither -ENODEV nor -ECANCELED:"; cat /tmp/perf.result; return 1 ;;
	esac
}
load_server()
{
	local before

	client_start 4 conns=4 loop=read size=16384 depth=8 iterations=1000000000 || return
	before=$(nodev)
	del "$DEV0" || return
	# It closes none of them before it hears of the end.
	[ "$(($(nodev) - before))" = 4 ] || { echo "$before connections have heard of the device, then $(nodev)"; return 1; }
	client_end told && counted && port_up 0 && server_back
}
cycling()
{
	client_start 9 conns=4 loop=pingpong iterations=1 cycles=1000000 || return
	del "$KFI_DEVICE$(($1 % 2))" || return
	client_end told && counted && port_up $(($1 % 2)) && server_back
}
both()
{
	local first

	client_start 2 conns=2 loop=write size=65536 depth=8 iterations=1000000000 || return
	del "$DEV0" &
	first=$!
	del "$DEV1" && wait $first && client_end told && counted && port_up 0 && port_up 1 && server_back
}
# again: what a failed part leaves must not fail the next one.
again()
{
	local i

	[ ! -d $PERF/client ] || client_end told
	for i in 0 1; do port_active "$KFI_DEVICE$i" 2>/dev/null || port_up $i; done
	server_back
}
times()
{
	local n

	for n in $(seq "$TIMES"); do
		"$1" "$n" && continue
		echo "at number $n"
		cat /tmp/client.out
		again
		return 1
	done
}

ktap_print_header
ktap_set_plan 9
ktap_here "server on $KFI_DEVICE" setup || ktap_finished
ktap_here "idle" idle
ktap_here "an idle connection, the device of either end" idle_pairs
ktap_here "the client's device under load, $TIMES times" times load
ktap_here "the server's device under load, $TIMES times" times load_server
ktap_here "either device while connections come and go, $TIMES times" times cycling
ktap_here "both at once under load, $TIMES times" times both
ktap_test "it still works" perf_run kfi loop=rate iterations=100
ktap_test "servers end, modules unload" eval 'perf_end && unloaded kfi_perf kfi_verbs kfi'
ktap_finished
