# SPDX-License-Identifier: GPL-2.0
# For tests of TLS; sourced behind lib.sh: tlshd, the agent in user space that makes the handshakes, and runs of kfi_perf.
# shellcheck shell=bash

D=/tmp/tls
agent_pid=
# agent_start: tlshd as $D/conf says
agent_start()
{
	no_agent
	tlshd -s -c $D/conf > $D/log 2>&1 &
	agent_pid=$!
	wait_until listening
}
# It has joined the multicast group of handshakes: nobody else here joins one of generic netlink.
listening() { awk '$2 == 16 && $4 != "00000000" { found = 1 } END { exit !found }' /proc/net/netlink; }
no_agent()
{
	[ -n "$agent_pid" ] || return 0
	kill $agent_pid
	wait $agent_pid 2> /dev/null
	agent_pid=
}

client() { perf_run kfi provider=tcp "$@"; }
checked()
{
	"$@" verify=1 || { cat $D/log; return 1; }
	perf_sound && [ "$(perf_value crc_ok)" = 1 ] || { cat /tmp/perf.result >&2; return 1; }
}
# refused [ERRNO] COMMAND...: no connection is made, with this error, and everything that was posted comes back.
refused()
{
	local errno=
	[[ $1 != -* ]] || { errno=$1; shift; }

	! "$@" 2> /dev/null || return
	cat /tmp/perf.result
	[ "$(perf_value error)" -lt 0 ] && [ "$(perf_value error)" = "${errno:-$(perf_value error)}" ] && [ "$(perf_value connected)" = 0 ] &&
		[ "$(perf_value posted)" = "$(perf_value completed)" ]
}
