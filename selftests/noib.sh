#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# A kernel without CONFIG_INFINIBAND: kfi loads, and kfi_perf runs over TCP. What it and the other
# consumers do in detail is tested there by their own tests.
# kfi-test: kernels=uml-noib devices=none limit=60 order=1
. "$(dirname "$0")/lib.sh"

need_module kfi kfi_perf

depends() { modinfo -F depends "$1"; }
cycles()
{
	local n

	for n in $(seq 5); do
		modprobe kfi_perf && unloaded kfi_perf kfi || { echo "cycle $n"; return 1; }
	done
}
serve() { veth_up && modprobe kfi tcp=1 && modprobe kfi_perf && perf_serve kfi; }
checked()
{
	perf_run kfi "$@" verify=1 iterations=300 || return
	perf_sound && [ "$(perf_value crc_ok)" = 1 ] || { cat /tmp/perf.result >&2; return 1; }
}
no_verbs() { mkdir $PERF/x && ! echo verbs > $PERF/x/transport 2> /dev/null; rmdir $PERF/x; }

ktap_print_header
ktap_set_plan 11
ktap_test "the kernel has no RDMA" eval '! have_module ib_core && [ ! -e /sys/class/infiniband ]'
ktap_test "kfi needs nothing of RDMA" eval '! depends kfi | grep -E "ib_|rdma"'
ktap_test "kfi_verbs is not built" eval '! have_module kfi_verbs'
ktap_test "kfi and kfi_perf load and unload" cycles
ktap_here "a server, nobody says over what" serve || ktap_finished
for what in pingpong rate read write; do
	ktap_test "$what" checked loop=$what size=10000 depth=8
done
ktap_test "kfi_perf has no raw verbs" no_verbs
ktap_test "servers end, modules unload" eval 'perf_end && unloaded kfi_perf && unloaded kfi'
ktap_finished
