#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every loop of kfi_perf, over kfi and over raw verbs, with its data verified: messages, RMA reads and writes, all ways of
# polling, sizes around the borders of pages and packets.
# kfi-test: kernels=uml,uml-debug,uml-noib limit=90 order=5 devices=all
. "$(dirname "$0")/lib.sh"

need_module kfi_perf "$(driver_module)"
few=$((KFI_SCALE > 1 ? 30 : 300))

setup()
{
	local kind

	ports_up && modprobe kfi_perf && provider_up || return
	for kind in $(kinds); do perf_serve "$kind" || return; done
}
# checked KEY=VALUE...: a run whose data are right, whose operations all completed, once.
checked() { perf_run "$@" && perf_sound; }
sizes()
{
	local what=$1 kind=$2 size

	for size in 16 64 1000 1024 4095 4096 4097 65536 1048576; do
		checked "$kind" loop="$what" size=$size depth=2 iterations=$((few / 10)) verify=1 || { echo "size $size"; return 1; }
	done
}
small_sizes()
{
	local size

	for size in 1 7 15; do checked kfi loop=pingpong size=$size iterations=$few || return; done
}
crossed()
{
	local before
	before=$(rx_bytes)
	checked kfi loop=read size=65536 depth=4 iterations=32 || return
	[ $(($(rx_bytes) - before)) -gt 2000000 ]
}

# The script for users: six loops, each with a ratio.
command_line()
{
	"$(dirname "$0")/../consumers/kfi_perf.sh" compare "$IP0" --src "$IP1" --pairs 1 > /tmp/compare || return
	awk '$1 ~ /^perf\./ && $2 > 0 && $3 > 0 && $4 > 0 { n++ } END { exit n != 6 }' /tmp/compare || { cat /tmp/compare; return 1; }
}

ktap_print_header
ktap_set_plan $(($(kinds | wc -w) * 5 + 13))
ktap_here "servers on $KFI_DEVICE" setup || ktap_finished
for kind in $(kinds); do
	for what in pingpong rate read write; do
		ktap_test "$kind $what, all sizes" sizes $what $kind
	done
	ktap_test "$kind rate at depth 64" checked $kind loop=rate size=64 depth=64 iterations=$((few * 10)) verify=1
done
ktap_test "kfi messages of a few bytes" small_sizes
for poll in softirq workqueue unbound direct; do
	ktap_test "kfi polling: $poll" checked kfi poll=$poll loop=rate size=4096 depth=16 iterations=$few verify=1
done
ktap_test "the data cross the veth pair" crossed
ktap_test "8 connections" checked kfi conns=8 loop=pingpong size=256 iterations=$few verify=1
ktap_test "latency is measured" eval 'perf_run kfi latency=1 loop=pingpong iterations=$few && [ "$(perf_value lat_ns_p500)" -gt 0 ]'
ktap_test "nobody there: a clear error" eval '! perf_run kfi addr=$IP0:7999 && [ "$(perf_value error)" -lt 0 ]'
ktap_test "servers end" perf_end
if [ "$KFI_DEVICE" = tcp ]; then
	ktap_test_skip "kfi_perf.sh compare" "it compares with raw verbs"
elif [ "$KFI_SCALE" -gt 1 ]; then
	# Loops of half a second, whose largest writes are beyond rxe's patience here.
	ktap_test_skip "kfi_perf.sh compare" "it measures, which this kernel is too slow for"
else
	ktap_test "kfi_perf.sh compare" command_line
fi
ktap_test "the module unloads" unloaded kfi_perf
ktap_finished
