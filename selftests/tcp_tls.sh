#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# TLS between kfi peers: handshakes by a real tlshd, with certificates made here; data by kTLS.
# kfi-test: kernels=uml,uml-debug devices=none limit=120 order=9
. "$(dirname "$0")/lib.sh"
. "$(dirname "$0")/tlshd.sh"

need_module kfi_perf tls
for program in tlshd openssl python3 keyctl; do
	command -v $program > /dev/null || ktap_skip_all "no $program"
done
few=$((KFI_SCALE > 1 ? 20 : 100))
EACCES=-13 ESRCH=-3 ETIMEDOUT=-110 ECONNREFUSED=-111
NAME=kfi-server.test

authority() # NAME
{
	openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj "/CN=$1" \
		-addext basicConstraints=critical,CA:TRUE -keyout $D/"$1".key -out $D/"$1".pem
}
certificate() # NAME AUTHORITY
{
	openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$1" -keyout $D/"$1".key -out $D/"$1".csr &&
		printf 'subjectAltName=DNS:%s\nbasicConstraints=CA:FALSE\n' "$1" > $D/ext &&
		openssl x509 -req -days 2 -in $D/"$1".csr -CA $D/"$2".pem -CAkey $D/"$2".key -CAcreateserial \
			-extfile $D/ext -out $D/"$1".pem
}
certificates()
{
	mkdir -p $D && authority ca && authority stranger && certificate $NAME ca && certificate client.test ca &&
		certificate other.test stranger && chmod 600 $D/*.key
}
# agent CLIENT AUTHORITY [SERVER]: tlshd, which as client shows that certificate and trusts that authority, and shows this one as
# server.
agent()
{
	cat > $D/conf <<-C
	[debug]
	loglevel=1
	tls=0
	nl=0
	[authenticate]
	[authenticate.client]
	x509.truststore=$D/$2.pem
	x509.certificate=$D/$1.pem
	x509.private_key=$D/$1.key
	[authenticate.server]
	x509.truststore=$D/ca.pem
	x509.certificate=$D/${3:-$NAME}.pem
	x509.private_key=$D/${3:-$NAME}.key
	C
	agent_start
}

# tlshd names the peer's certificate by a key of the kernel's.
load() { modprobe x509_key_parser && modprobe kfi tcp=1 && modprobe kfi_perf && perf_serve kfi provider=tcp tls=x509; }
setup() { veth_up && certificates && agent client.test ca && load; }
secure() { client tls=x509 tls_name=$NAME "$@"; }
sizes()
{
	local size

	for size in 16 1000 4096 16384 16385 65536 1048576; do
		checked secure loop="$1" size=$size depth=4 iterations=$((few / 5)) || { echo "size $size"; return 1; }
	done
}
established() { [ "$(perf_value connected "$PERF/server-kfi/result")" -ge "$1" ]; }
busy()
{
	local base

	base=$(perf_value connected "$PERF/server-kfi/result")
	perf_new client kfi provider=tcp tls=x509 tls_name=$NAME loop="$1" size=16384 depth=8 conns=2 verify=1 \
		iterations=1000000000 || return
	perf_set client run=1 > /dev/null 2>&1 &
	busy_pid=$!
	wait_until established $((${base:-0} + 2))
}
ended()
{
	wait $busy_pid
	cat $PERF/client/result > /tmp/perf.result
	rmdir $PERF/client && [ "$(perf_value posted)" = "$(perf_value completed)" ] && [ "$(perf_value mismatches)" = 0 ] ||
		{ cat /tmp/perf.result >&2; return 1; }
}
# Both ends of both connections.
encrypted()
{
	busy pingpong || return
	ss -tien "( sport = 20077 or dport = 20077 )" | tee $D/ss
	echo 1 > $PERF/client/abort
	ended && [ "$(grep -c 'tcp-ulp-tls version: 1.3' $D/ss)" = 4 ]
}
server_goes()
{
	local loop

	for loop in rate read write; do
		busy $loop && perf_set server-kfi run=0 && ended && perf_set server-kfi run=1 || return
	done
}
client_goes()
{
	local loop

	for loop in rate read write; do
		busy $loop && echo 1 > $PERF/client/abort && ended || return
	done
}
killed()
{
	local loop

	for loop in pingpong read write; do
		busy $loop && wait_until ss -Ktn state established "( sport = 20077 )" && ended &&
			[ "$(perf_value error)" -lt 0 ] || return
	done
}
other_keys()
{
	mkdir $PERF/other && perf_set other role=server provider=tcp addr=$IP0:7005 tls=psk:4711 || return
	! perf_set other run=1 2> /dev/null
	local rc=$?
	rmdir $PERF/other && return $rc
}
beside()
{
	mkdir $PERF/plain && perf_set plain role=server provider=tcp addr=$IP0:7006 run=1 || return
	checked client addr=$IP0:7006 loop=pingpong iterations=$few && checked secure addr=$IP0:7006 loop=pingpong iterations=$few
}
no_tls_there()
{
	# That is what tlshd says of a peer that closes within the handshake.
	perf_set server-kfi run=0 && refused $ETIMEDOUT secure addr=$IP0:7006
	local rc=$?
	perf_set server-kfi run=1 && rmdir $PERF/plain && return $rc
}
# Some that begin like TLS: with garbage, and with nothing more.
garbage()
{
	python3 - $IP0 $IP1 <<-P
	import os, socket, sys
	peers = []
	for n in range(60):
	    s = socket.create_connection((sys.argv[1], 20077), source_address=(sys.argv[2], 0))
	    s.sendall(b"\x16" + os.urandom(n * 10) if n % 2 else b"\x16\x03\x01\x02\x00\x01")
	    peers.append(s)
	for s in peers:
	    s.settimeout(60)
	    try:
	        while s.recv(1000):
	            pass
	    except ConnectionResetError:
	        pass
	P
}
# answered [CERTIFICATE]: a peer that shows this certificate, or none, is asked what it wants, and answered.
answered()
{
	python3 - $IP0 7001 $IP1 "$@" <<-P
	import os, ssl, sys
	sys.path.insert(0, os.environ["KFI_SELFTESTS"])
	import tcp_peer
	context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
	context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
	if len(sys.argv) > 4:
	    context.load_cert_chain(f"$D/{sys.argv[4]}.pem", f"$D/{sys.argv[4]}.key")
	peer = tcp_peer.Peer()
	peer.sock = context.wrap_socket(peer.sock, server_hostname="$NAME")
	peer.send(peer.hello())
	try:
	    got = peer.sock.recv(1)
	except OSError as e:
	    print(e)
	    got = b""
	sys.exit(not got)
	P
}
over_ipv6()
{
	local six=(addr="[::1]:7001" src=::1) loop

	perf_serve tcp addr="[::1]:7001" tls=x509 || return
	for loop in pingpong read write; do
		checked secure "${six[@]}" loop=$loop size=16385 depth=4 iterations=$few || return
	done
	refused $ECONNREFUSED client "${six[@]}" && refused $EACCES secure "${six[@]}" tls_name=somebody.test && perf_stop server-tcp
}
# in_keyring NAME: prints what tls= wants of a new keyring with that certificate and its key.
in_keyring()
{
	local ring cert key

	openssl x509 -in $D/"$1".pem -outform DER -out $D/"$1".cert.der && openssl pkey -in $D/"$1".key -outform DER -out $D/"$1".key.der &&
		ring=$(keyctl newring "kfi-$1" @u) && cert=$(keyctl padd user "$1.cert" "$ring" < $D/"$1".cert.der) &&
		key=$(keyctl padd user "$1.key" "$ring" < $D/"$1".key.der) || return
	# Not the processes of this session alone.
	for serial in $ring $cert $key; do keyctl setperm "$serial" 0x3f3f0000 || return; done
	echo "keys:$ring:$cert:$key"
}
keyrings_end() { for ring in $(keyctl rlist @u); do keyctl unlink "$ring" @u; done; }
serve_with() { perf_set server-kfi run=0 && perf_set server-kfi tls="$1" run=1; }
# The certificates of the agent's configuration are not trusted by the other side.
of_the_keyring()
{
	local server client other

	server=$(in_keyring $NAME) && client=$(in_keyring client.test) && other=$(in_keyring other.test) && agent other.test ca other.test &&
		serve_with "$server" || return
	for loop in pingpong write; do
		checked client tls="$client" tls_name=$NAME loop=$loop size=16385 depth=4 iterations=$few || return
	done
	refused client tls="$other" tls_name=$NAME && refused secure
	local rc=$?
	serve_with x509 && agent client.test ca && again && keyrings_end && return $rc
}
again() { checked secure loop=pingpong iterations=$few; }
authorities()
{
	# The server refuses behind the handshake, and closes; what that ends the client with is not always the same.
	agent other.test ca && refused secure && agent client.test stranger && refused $EACCES secure && agent client.test ca &&
		again
}
no_tlshd() { no_agent && refused $ESRCH secure && agent client.test ca && again; }
unload() { perf_end && unloaded kfi_perf && unloaded kfi; }

ktap_print_header
ktap_set_plan 22
ktap_here "certificates, tlshd, a server that requires TLS" setup || { cat $D/log /tmp/ktap.out; ktap_finished; }
for what in pingpong rate read write; do
	ktap_test "$what, all sizes" sizes $what
done
ktap_test "nothing is sent without copying it" lends 0 checked secure loop=write size=65536 depth=4 iterations=$few
ktap_here "the sockets have TLS 1.3 on both sides" encrypted
ktap_test "without TLS: refused" refused $ECONNREFUSED client
ktap_test "a name that the certificate does not have: refused" refused $EACCES secure tls_name=somebody.test
ktap_here "servers that go away under load" server_goes
ktap_here "clients that go away under load" client_goes
ktap_here "connections killed under load" killed
ktap_test "another listener on the port with other keys: refused" other_keys
ktap_test "a listener that takes both" beside
ktap_test "nobody on the port has keys: refused" no_tls_there
ktap_test "a peer that shows no certificate: refused" eval 'answered client.test && ! answered && again'
ktap_test "IPv6: taken with the right certificate, refused without" over_ipv6
ktap_test "garbage and silence instead of a handshake" garbage
ktap_here "an authority that the server does not trust, and the other way round" authorities
ktap_here "certificates and keys of a keyring" of_the_keyring
ktap_here "no tlshd: refused" no_tlshd
ktap_test "servers end, modules unload" unload
no_agent
ktap_finished
