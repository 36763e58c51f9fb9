#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The tests of kfi_test.sh between addresses of AF_IB: GIDs, a partition and a service ID that is not rdma_cm's.
# kfi-test: kernels=uml,uml-debug,stock limit=90 devices=none order=4
export KFI_DEVICE=rxe KFI_FAMILY=ib
# ib_cm has one table of services for connections and for datagrams. What somebody who asks for the latter leaves behind shows
# when the device goes. The status is IB_SIDR_REJECT; where nobody listens it is another one.
also()
{
	local asking rc

	while :; do udaddy -b 10.0.0.2 -s 10.0.0.1; done > /tmp/udaddy.out 2>&1 &
	asking=$!
	said_by kfi_test "addr=$IP0" "src=$IP1" service=0x1111c06 only=message > /tmp/also.out
	rc=$?
	kill $asking
	wait $asking
	unloaded kfi_test && [ $rc -eq 0 ] && grep -q 'UNREACHABLE, error: 2' /tmp/udaddy.out || { cat /tmp/also.out; tail -n 5 /tmp/udaddy.out; return 1; }
}
. "$(dirname "$0")/kfi_test.sh"
