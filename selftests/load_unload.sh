#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kfi beside ib_core, the soft driver and rdma_cm: loads in either order, holds no device, unloads, leaves no trace.
# kfi-test: limit=40 order=1
. "$(dirname "$0")/lib.sh"

need_module kfi kfi_verbs "$(driver_module)"

no_users() { [ "$(refcount kfi_verbs)" = 0 ] && [ "$(refcount kfi)" = 1 ]; }
both_loaded() { loaded kfi && loaded kfi_verbs; }
kfi_gone() { ! loaded kfi && ! loaded kfi_verbs; }
independent() { modprobe kfi && ! grep "^kfi .*\(ib_core\|rdma_cm\)" /proc/modules && ! modinfo -F depends kfi | grep -E 'ib_|rdma_'; }

ports_gone() { ports_down && [ -z "$(ls /sys/class/infiniband)" ]; }
cycles()
{
	local n

	for n in $(seq "${1:-3}"); do
		modprobe kfi_verbs && unloaded kfi_verbs kfi || { echo "cycle $n"; return 1; }
	done
}

ktap_print_header
ktap_set_plan 11
ktap_test "kfi needs neither ib_core nor rdma_cm" independent
ktap_test "kfi_verbs loads without a device" modprobe kfi_verbs
ktap_test "both are there" both_loaded
ktap_test "devices come while it is loaded" ports_up
ktap_test "nobody uses the modules" no_users
ktap_test "devices go while it is loaded" ports_gone
ktap_test "both unload" unloaded kfi_verbs kfi
ktap_test "devices are there first" ports_up
ktap_test "kfi_verbs loads beside them" modprobe kfi_verbs
ktap_test "unload with the devices in place" unloaded kfi_verbs kfi
ktap_test "load and unload again" cycles 3
ktap_finished
