#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# kfi.ko alone, with providers that carry nothing: every refusal, every order, fallback, what debugfs and the trace show.
# kfi-test: devices=none limit=60 order=2
. "$(dirname "$0")/lib.sh"

need_module kfi kfi_shim_test
debug=/sys/kernel/debug/kfi
trace=/sys/kernel/tracing

load() { modprobe kfi tcp=0; }
nothing_open() { ! grep -v ' 0$' $debug/objects; }
no_provider() { [ -z "$(cat $debug/providers)" ] && [ -z "$(ls $debug/devices)" ]; }
events()
{
	local event

	for event in "$@"; do
		grep -q " kfi_$event: " $trace/trace || { echo "no kfi_$event"; return 1; }
	done
}
held_open() { load && exec 9< $debug/objects && ! modprobe -r kfi; local rc=$?; exec 9<&-; return $rc; }

# kfi asks for a provider when there is none; here it shall find none.
mkdir -p /run/modprobe.d
trap 'rm -f /run/modprobe.d/kfi-test.conf' EXIT
echo "install kfi_verbs /bin/false" > /run/modprobe.d/kfi-test.conf

ktap_print_header
ktap_set_plan 7
ktap_test "kfi loads" load
[ -d $trace/events/kfi ] && echo 1 > $trace/events/kfi/enable
ktap_test "tests in the kernel" said_by kfi_shim_test
ktap_test "nothing stays open" nothing_open
ktap_test "no provider and no device stays" no_provider
if [ -d $trace/events/kfi ]; then
	ktap_test "each event is in the trace" events provider_added provider_removed device_added device_removed \
		client_added provider_asked info_resolved domain_opened domain_closed ep_opened ep_closed pep_closed
else
	ktap_test_skip "each event is in the trace" "no tracefs"
fi
ktap_test "both unload" unloaded kfi_shim_test kfi
ktap_test "a file of debugfs that is open keeps the module" held_open
ktap_finished
