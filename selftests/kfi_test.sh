#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# What kfi promises to a consumer, tested by the module kfi_test: arguments, errors, data, endings. Its log is the result.
# kfi-test: kernels=stock,uml,uml-debug,uml-noib limit=90 order=4 devices=all
. "$(dirname "$0")/lib.sh"

need_module kfi_test "$(driver_module)"
# Network devices without an RDMA device.
no_rdma_up() { ip link add w0 type veth peer name w1 && ip addr add 10.0.9.1/24 dev w0 && ip link set w0 up && ip link set w1 up; }
# For the test of a message without a receive.
modprobe kfi tcp_credits=1 && ports_up && no_rdma_up && provider_up || { ktap_print_header; ktap_set_plan 1; ktap_test_fail "devices and provider"; ktap_finished; }
more=()
# ib_cm.sh
[ "${KFI_FAMILY:-4}" != ib ] || { IP0=::ffff:$IP0 IP1=::ffff:$IP1; more=(service=0x6b66690000000001); }
# kfi_test_ipv6.sh
if [ "${KFI_FAMILY:-4}" = 6 ]; then
	IP0=fd00::1 IP1=fd00::2
	ip addr add $IP0/64 dev v0 nodad && ip addr add $IP1/64 dev v1 nodad
fi
# Where the kernel can do that, posts and polls get no memory. As many refusals are left as there were, but for one that is
# asked for.
F=/sys/kernel/debug/failslab many=1000000
starving() # on|off
{
	[ -e $F ] || return 0
	if [ "$1" = on ]; then
		echo N > $F/ignore-gfp-wait && echo Y > $F/task-filter && echo $many > $F/times && echo 100 > $F/probability
	else
		echo 0 > $F/probability
		refused=$((many - $(cat $F/times)))
		echo N > $F/task-filter && echo -1 > $F/times
	fi
}
starving on
said_by kfi_test "addr=$IP0" "src=$IP1" "${more[@]}"
rc=$?
refused=1
starving off
[ $refused = 1 ] || { echo "# posts and polls have asked for memory $((refused - 1)) times"; rc=1; }
ip link del w0
unloaded kfi_test || echo "# kfi_test does not unload"
# ib_cm.sh
[ "${KFI_FAMILY:-4}" != ib ] || also || { echo "# a request for datagrams is not refused"; rc=1; }
exit $((rc ? KSFT_FAIL : KSFT_PASS))
