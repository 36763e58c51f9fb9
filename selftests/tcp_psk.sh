#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# TLS between kfi peers by pre-shared keys. tlshd takes keys of the type "psk" alone, which are those of NVMe's keyring.
# kfi-test: kernels=stock devices=none limit=60 order=9
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tlshd.sh"

need_module kfi_perf tls nvme_keyring
for program in tlshd keyctl; do
	command -v $program > /dev/null || ktap_skip_all "no $program"
done

EIO=-5 ECONNRESET=-104 ECONNREFUSED=-111
# new_key NAME: prints its serial number
new_key() { head -c 32 /dev/urandom | keyctl padd psk "$1" %:.nvme; }
setup()
{
	mkdir -p $D && modprobe nvme_keyring && key=$(new_key kfi.test) && other=$(new_key other.test) || return
	printf '[debug]\nloglevel=1\ntls=0\nnl=0\n[authenticate]\nkeyrings=.nvme\n' > $D/conf
	agent_start && veth_up && modprobe kfi tcp=1 && modprobe kfi_perf && perf_serve kfi provider=tcp tls="psk:$key"
}
each_loop()
{
	local loop

	for loop in pingpong rate read write; do
		checked client tls="psk:$key" loop=$loop size=16385 depth=4 iterations=20 || return
	done
}
# The agent knows that one, too, and lets it pass.
other_key() { refused $ECONNRESET client tls="psk:$other" && checked client tls="psk:$key" loop=pingpong iterations=20; }
no_such_key() { keyctl unlink "$other" %:.nvme && refused $EIO client tls="psk:$other"; }
unload() { perf_end && unloaded kfi_perf && unloaded kfi; }

ktap_print_header
ktap_set_plan 6
ktap_here "two keys, tlshd, a server that requires one of them" setup || { cat $D/log /tmp/ktap.out; ktap_finished; }
ktap_test "every loop" each_loop
ktap_test "without TLS: refused" refused $ECONNREFUSED client
ktap_test "the other key: refused" other_key
ktap_test "a key that is not there: refused" no_such_key
ktap_test "servers end, modules unload" unload
no_agent
keyctl unlink "$key" %:.nvme
ktap_finished
