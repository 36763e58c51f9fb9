#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Every memory allocation of a connect, a transfer and a close fails in turn: an error comes back, nothing leaks, and the next
# attempt works.
# kfi-test: kernels=uml-debug limit=100 long=300 order=46 devices=all
. "$(dirname "$0")/lib.sh"

need_module kfi_perf "$(driver_module)"
[ -e /proc/self/fail-nth ] || ktap_skip_all "this kernel has no fault injection"
ROUNDS=10
[ -z "$KFI_LONG" ] || ROUNDS=60

# Allocations that may sleep as well, of slab objects and of pages of any order.
injection()
{
	local f

	for f in /sys/kernel/debug/fail*/ignore-gfp-wait; do echo N > "$f"; done
	echo 0 > /sys/kernel/debug/fail_page_alloc/min-order
	for f in /sys/kernel/debug/fail*/verbose; do echo 0 > "$f"; done
}
setup() { injection && ports_up && modprobe kfi_perf && provider_up && perf_serve kfi && perf_run kfi iterations=3; }

# What a client may say. No memory; for the sockets of TCP, siw and rxe the kernel also says -ENFILE, -EADDRINUSE or -ENOBUFS, which
# kfi passes on. What it waited for is over, as the other side has no memory; no answer.
ERRNOS=" -12 -23 -98 -105 -32 -104 -110 -111 -113 -125 "
# errno_of RESULT SAID: with what a run has ended. One that has not begun has no result; then SAID, what the shell said, has it.
errno_of()
{
	local errno

	errno=$(perf_value error "$1" 2>/dev/null)
	if [ -n "$errno" ]; then
		echo "$errno"
	elif grep -q "Cannot allocate memory" "$2"; then
		echo -12
	else
		cat "$2"
	fi
}
# note WHAT ERRNO: one more that came back, in /tmp/WHAT.errnos.
note() { echo "$2" >> "/tmp/$1.errnos"; }
# noted WHAT: how often each; fails when there is one that nobody may say, or none.
noted()
{
	local errno rc=1

	[ -e "/tmp/$1.errnos" ] || { echo "nothing has failed"; return 1; }
	sort -n "/tmp/$1.errnos" | uniq -c | awk '{ printf "%s%s times %s", n++ ? ", " : "errors: ", $1, $2 } END { print "" }' >> "/tmp/$1"
	while read -r errno; do
		case $ERRNOS in
		*" $errno "*) rc=0 ;;
		*) echo "error '$errno' is not of those that the API has"; return 1 ;;
		esac
	done < <(sort -u "/tmp/$1.errnos")
	return $rc
}

# nth N: the Nth allocation of the task that runs the client fails. Succeeds until there is no Nth one.
nth()
{
	perf_new client kfi loop="$2" iterations=2 size=4096 depth=2 || return 2
	(
		echo "$1" > /proc/self/fail-nth
		rc=0
		echo 1 > $PERF/client/run || rc=1
		read -r left < /proc/self/fail-nth
		echo 0 > /proc/self/fail-nth
		echo "$rc $left" > /tmp/nth
	) 2> /tmp/nth.said
	errno=$(errno_of $PERF/client/result /tmp/nth.said)
	rmdir $PERF/client || return 2
	read -r rc left < /tmp/nth
	[ "$left" = 0 ]
}
each()
{
	local n failed=0

	for n in $(seq 2000); do
		nth "$n" "$1" || break
		[ "$rc" = 0 ] || { failed=$((failed + 1)); note "each.$1" "$errno"; }
		# What has failed must not stand in the way of what follows.
		[ $((n % 25)) -ne 0 ] || perf_run kfi iterations=3 || { echo "after number $n"; return 1; }
	done
	echo "$failed of $((n - 1)) failures came back as errors" > "/tmp/each.$1"
	noted "each.$1" && [ "$left" != 0 ] && [ "$rc" = 0 ] && [ "$n" -gt 20 ] && perf_run kfi iterations=3
}

# From worker threads and interrupts as well: any allocation below one of the modules, by chance.
chance()
{
	local d=/sys/kernel/debug/failslab n failed=0 injected=0 size start

	read -r size start < <(awk -v m="$1" '$1 == m { print $2, $6 }' /proc/modules)
	[ $((start)) -ne 0 ] || { echo "no address of $1"; return 1; }
	echo "$start" > $d/require-start
	printf '0x%x\n' $((start + size)) > $d/require-end
	echo 32 > $d/stacktrace-depth
	echo 25 > $d/probability
	for n in $(seq $ROUNDS); do
		echo 2 > $d/times
		perf_run kfi loop=pingpong iterations=2 cycles=2 conns=2 > /tmp/chance.said 2>&1 ||
			{ failed=$((failed + 1)); note "chance.$1" "$(errno_of /tmp/perf.result /tmp/chance.said)"; }
		injected=$((injected + 2 - $(cat $d/times)))
	done
	echo 0 > $d/probability
	echo 0 > $d/require-start
	echo -1 > $d/times
	echo "$failed of $ROUNDS rounds had an error, $injected allocations failed" > "/tmp/chance.$1"
	[ "$injected" -gt 0 ] || { echo "no allocation failed"; return 1; }
	noted "chance.$1" || return
	perf_run kfi iterations=3
}

PROVIDER=kfi_verbs
[ "$KFI_DEVICE" != tcp ] || PROVIDER=kfi
ktap_print_header
ktap_set_plan 6
ktap_here "server on $KFI_DEVICE" setup || ktap_finished
for what in pingpong read; do
	ktap_here "$what: each allocation of the client in turn" each $what
	ktap_diag "$(cat /tmp/each.$what 2>/dev/null)"
done
for module in "$PROVIDER" kfi_perf; do
	ktap_here "allocations below $module by chance, $ROUNDS rounds" chance $module
	ktap_diag "$(cat /tmp/chance.$module 2>/dev/null)"
done
ktap_test "servers end, modules unload" eval 'perf_end && unloaded kfi_perf kfi_verbs kfi'
ktap_finished
