#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The RDMA layer alone: connections made and refused, operations, regions, transfers; devices and module removed under load.
# kfi-test: limit=60 order=4
. "$(dirname "$0")/lib.sh"

need_module rdma_verbs_test "$(driver_module)"

no_device() { [ -z "$(ls /sys/class/infiniband)" ]; }
devices_gone() { rdma link del "$DEV0" && rdma link del "$DEV1" && no_device; }
devices_back() { port_up 0 && port_up 1; }
quiet() { ! dmesg | grep 'rdma_verbs_test: not ok'; }

ktap_print_header
ktap_set_plan 8
ktap_test "devices" ports_up
ktap_test "tests in the kernel, softirq" said_by rdma_verbs_test poll=0
ktap_test "devices go under load" devices_gone
ktap_test "the module unloads" unloaded rdma_verbs_test
ktap_test "devices come back" devices_back
ktap_test "tests in the kernel, workqueue" said_by rdma_verbs_test poll=1
ktap_test "the module unloads under load" unloaded rdma_verbs_test
ktap_test "no complaint" quiet
ktap_finished
