#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The tests of kfi_test.sh over TCP, between addresses of IPv6.
# kfi-test: kernels=uml,uml-debug limit=90 devices=none order=4
export KFI_DEVICE=tcp KFI_FAMILY=6
. "$(dirname "$0")/kfi_test.sh"
