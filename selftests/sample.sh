#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# The sample consumer in C: hears of devices, listens, connects to itself, sends a question with a key, and gets the answer
# by a message and in its memory.
# kfi-test: kernels=stock,uml,uml-debug,uml-noib limit=40 order=3 devices=all
. "$(dirname "$0")/lib.sh"

need_module kfi kfi_sample "$(driver_module)"

sample() { local rc=0; said_by kfi_sample "$@" || rc=$?; modprobe -r kfi_sample; return $rc; }
# What it says must be there in this order.
talk='devices server got "question" client got "answer" client'"'"'s region has "answer" '
conversation()
{
	local got

	got=$(sample "$@" | tr '\n' ' ')
	[[ $got =~ ^[1-9][0-9]*\ (.*)$ && ${BASH_REMATCH[1]} = "$talk" ]] || { echo "it says: $got"; return 1; }
}
nothing_open() { ! grep -v ' 0$' /sys/kernel/debug/kfi/objects; }
no_port() { ! sample addr=192.0.2.1 2> /dev/null; }

PROVIDER=verbs
[ "$KFI_DEVICE" != tcp ] || PROVIDER=tcp
ktap_print_header
ktap_set_plan 6
ktap_test "devices" ports_up
ktap_test "provider" provider_up
ktap_test "a question and its answer" conversation addr=$IP0
ktap_test "the provider asked for by name" conversation addr=$IP1 provider="$PROVIDER"
ktap_test "an address that no device has" no_port
ktap_test "nothing stays open" nothing_open
ktap_finished
