#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kfi over TCP against kfi over a soft RDMA device, between the same ends of a veth pair.
# kfi-test: kernels=none limit=600
. "$(dirname "$0")/lib.sh"

need_module kfi_perf "$(driver_module)"
setup()
{
	ports_up && modprobe kfi tcp=1 && modprobe kfi_perf && modprobe kfi_verbs && perf_serve tcp && perf_serve kfi
}

ktap_print_header
ktap_set_plan 7
ktap_here "servers on $KFI_DEVICE" setup || ktap_finished
bench_all "perf.tcp_vs_$KFI_DEVICE" tcp kfi
ktap_finished
