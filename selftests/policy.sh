#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Which provider carries a connection: RDMA where a device reaches the address, TCP where none does, never after a
# rejection, and what the administrator says before everything else.
# kfi-test: devices=none limit=60 order=7
. "$(dirname "$0")/lib.sh"
# For ports_up and port_up.
export KFI_DEVICE=rxe

need_module kfi_perf rdma_rxe
debug=/sys/kernel/debug/kfi
trace=/sys/kernel/tracing
policy=/sys/module/kfi/parameters/policy

# resolutions PROVIDER, listeners PROVIDER: how often kfi has chosen it
chosen() { sed -n "s/^$1 .*$2=\([0-9]*\).*/\1/p" $debug/providers; }
# carried PROVIDER COMMAND...: COMMAND succeeds, and that provider carries one connection more
carried()
{
	local name=$1 before
	before=$(chosen "$name" resolutions)
	shift
	"$@" && [ "$(chosen "$name" resolutions)" = $((${before:-0} + 1)) ] || { cat $debug/providers; return 1; }
}
# over PROVIDER: a run that leaves the choice to kfi
over() { carried "$1" perf_run kfi iterations=5 "${@:2}"; }
# fails ERRNO KEY=VALUE...: a run that does not get a connection, for that reason
fails()
{
	! perf_run kfi iterations=1 "${@:2}" 2> /dev/null || { echo "connects"; return 1; }
	[ "$(perf_value error)" = "$1" ] || { cat /tmp/perf.result; return 1; }
}
nobody() { ! perf_run kfi iterations=1 "$@" 2> /dev/null; }
serve_again() { echo 0 > $PERF/server-kfi/run; perf_set server-kfi run=1; }
rule() { echo "$*" > $policy && [ "$(cat $policy)" = "${*// /,}" ]; }

without_devices() { veth_up && modprobe rdma_rxe && modprobe kfi_perf && perf_serve kfi && over tcp; }
listens_tcp() { [ "$(chosen tcp listeners)" = 1 ] && ! ls /sys/class/infiniband/* 2> /dev/null; }
asked_both()
{
	echo > $trace/trace
	echo 1 > $trace/events/kfi/enable
	over tcp || return
	echo 0 > $trace/events/kfi/enable
	grep -q "kfi_provider_asked: provider=tcp consumer=kfi_perf addr=$IP0:7001 status=0" $trace/trace &&
		grep -q "kfi_provider_asked: provider=verbs consumer=kfi_perf addr=$IP0:7001" $trace/trace ||
		{ grep kfi_ $trace/trace; return 1; }
}
# traced NAME COMMAND...: a test that needs the kernel's trace events
traced()
{
	if [ -d $trace/events/kfi ]; then ktap_test "$@"; else ktap_test_skip "$1" "the kernel has no trace events of kfi"; fi
}
with_devices() { port_up 0 && port_up 1 && serve_again && over verbs; }
# A listener on RDMA refuses; one on TCP would accept.
no_second_try()
{
	mkdir -p $PERF/tcp && perf_set tcp role=server addr=$IP0:7005 provider=tcp run=1 || return
	fails -111 addr=$IP0:7005 || return
	perf_run kfi addr=$IP0:7005 provider=tcp iterations=3 || return
	perf_stop tcp
}
forced()
{
	rule "*=tcp" && serve_again && over tcp && fails -19 provider=verbs
}
excluded() { rule "*=any $IP0/32=!tcp" && serve_again && over verbs && fails -19 provider=tcp; }
forbidden() { rule "10.0.0.0/8=none" && fails -19; }
# Of IPv6, whose addresses no RDMA device has; the longest prefix counts, and those of IPv4 are not meant.
of_ipv6()
{
	local six="[fd00::1]:7004" other="[fd00::2]:7004"

	ip addr add fd00::1/64 dev lo nodad && ip addr add fd00::2/64 dev lo nodad || return
	rule "" && perf_serve tcp provider= addr="[::]:7004" && over tcp addr="$six" src= && over tcp addr="$other" src= || return
	rule "fd00::/64=none" && fails -19 addr="$six" src= && fails -19 addr="$other" src= && over tcp || return
	rule "fd00::/16=!tcp fd00::1/128=tcp" && over tcp addr="$six" src= && fails -19 addr="$other" src= || return
	rule "::/0=tcp 0.0.0.0/0=!tcp" && over tcp addr="$six" src= && fails -19 || return
	rule ""
	perf_stop server-tcp
}
not_a_policy()
{
	local text

	for text in "*" "*=" "10.0.0.1/8=tcp" "*=tcp,*=verbs" "nonsense"; do
		! echo "$text" > $policy 2> /dev/null || { echo "takes $text"; return 1; }
	done
	[ "$(cat $policy)" = 10.0.0.0/8=none ]
}
lifted() { rule "" && serve_again && over verbs; }
policy_traced()
{
	echo > $trace/trace
	echo 1 > $trace/events/kfi/kfi_policy/enable
	rule "*=!verbs" && perf_run kfi provider=tcp iterations=1 > /dev/null 2>&1
	echo 0 > $trace/events/kfi/kfi_policy/enable
	rule "" && grep -q "kfi_policy: consumer=kfi_perf addr=$IP0:7001 verdict=!verbs" $trace/trace
}
# The wildcard address is one of every provider's.
everywhere()
{
	local addr

	for addr in 0.0.0.0 "[::]"; do
		mkdir -p $PERF/any && perf_set any role=server addr="$addr:7006" run=1 || return
		carried verbs perf_run kfi addr=$IP0:7006 provider=verbs iterations=3 &&
			carried tcp perf_run kfi addr=$IP0:7006 provider=tcp iterations=3 || return
		! perf_serve other addr="$addr:7006" transport=kfi provider=tcp 2> /dev/null || return
		rmdir $PERF/server-other
		echo 0 > $PERF/any/run
		nobody addr=$IP0:7006 provider=tcp && rmdir $PERF/any || return
	done
}
parameter() { perf_end && unloaded kfi_perf kfi_verbs kfi && modprobe kfi policy="*=tcp" && modprobe kfi_perf && perf_serve kfi && over tcp; }
off()
{
	perf_end && unloaded kfi_perf kfi_verbs kfi && ports_down && veth_up && modprobe kfi tcp=0 && modprobe kfi_perf || return
	! perf_serve kfi 2> /dev/null && fails -19
}

ktap_print_header
ktap_set_plan 16
ktap_here "no RDMA device: TCP" without_devices || ktap_finished
ktap_test "who listens can be seen" listens_tcp
traced "the trace tells who was asked" asked_both
ktap_test "addresses of IPv6" of_ipv6
ktap_test "an RDMA device on both ends: verbs" with_devices
ktap_test "a rejection is final" no_second_try
ktap_test "a provider is forced" forced
ktap_test "a provider is excluded" excluded
ktap_test "an address is forbidden" forbidden
ktap_test "what is no policy is refused" not_a_policy
ktap_test "the policy is lifted" lifted
traced "the trace tells of the policy" policy_traced
ktap_test "the wildcard address is of every provider" everywhere
ktap_test "the policy as a parameter of modprobe" parameter
ktap_test "TCP is off" off
ktap_test "servers end, modules unload" eval 'perf_end && unloaded kfi_perf kfi_verbs kfi'
ktap_finished
