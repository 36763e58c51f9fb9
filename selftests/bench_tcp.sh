#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kfi over TCP against a raw kernel socket between the same ends of a veth pair: the same loops in turn, medians over the pairs.
# kfi-test: kernels=none devices=none limit=600
. "$(dirname "$0")/lib.sh"

need_module kfi_perf
setup() { veth_up && modprobe kfi tcp=1 && modprobe kfi_perf && perf_serve tcp && perf_serve sock; }

ktap_print_header
ktap_set_plan 7
ktap_here "servers" setup || ktap_finished
bench_all perf.tcp tcp sock
ktap_finished
