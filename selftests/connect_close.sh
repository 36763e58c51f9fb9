#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Connections come and go: in a row, many at once, with raw verbs beside them. Nothing is left behind.
# kfi-test: limit=60 long=300 order=40 devices=all
. "$(dirname "$0")/lib.sh"

need_module kfi_perf "$(driver_module)"
CYCLES=$((KFI_SCALE > 1 ? 50 : 200))
[ -z "$KFI_LONG" ] || CYCLES=500	# of each device: 1,000 together

setup()
{
	local kind

	ports_up && modprobe kfi_perf && provider_up || return
	for kind in $(kinds); do perf_serve "$kind" || return; done
}
# objects: RDMA objects of all kinds that exist now, and kfi's
objects()
{
	{ rdma res show; sed 's/^/kfi: x /' /sys/kernel/debug/kfi/objects; } |
		awk '{ for (i = 3; i < NF; i += 2) n += $(i + 1) } END { print n + 0 }'
}
as_before() { [ "$(objects)" -le "$1" ]; }
cycles()
{
	perf_run "$1" cycles="$2" conns="$3" iterations=1 loop=pingpong || return
	[ "$(perf_value connected)" = $(($2 * $3)) ] && [ "$(perf_value connect_errors)" = 0 ] ||
		{ cat /tmp/perf.result >&2; return 1; }
}

ktap_print_header
ktap_set_plan $((6 + $(kinds | wc -w)))
ktap_here "servers on $KFI_DEVICE" setup || ktap_finished
ktap_test "connect, one message, close" cycles kfi 3 1
before=$(objects)
ktap_test "$CYCLES times" cycles kfi $CYCLES 1
ktap_test "$((CYCLES / 10)) times 8 at once" cycles kfi $((CYCLES / 10)) 8
# More than a listener lets wait.
ktap_test "150 at once" cycles kfi 1 150
[ "$KFI_DEVICE" = tcp ] || ktap_test "with raw verbs" cycles verbs 5 1
ktap_test "no object is left of $before" wait_until as_before "$before"
ktap_test "servers end, modules unload" eval 'perf_end && unloaded kfi_perf kfi_verbs kfi'
ktap_finished
