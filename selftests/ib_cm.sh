#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The tests of kfi_test.sh between addresses of AF_IB: GIDs, a partition and a service ID that is not rdma_cm's.
# kfi-test: kernels=uml,uml-debug,stock limit=90 devices=none order=4
export KFI_DEVICE=rxe KFI_FAMILY=ib
. "$(dirname "$0")/kfi_test.sh"
