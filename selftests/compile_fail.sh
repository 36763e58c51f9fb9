#!/bin/bash
# SPDX-License-Identifier: GPL-2.0
# Misuses of the consumers' interface in Rust do not build, each with the error that it is to have, in the line that is
# marked with ERROR; the right use of everything builds. Each file of compile-fail/ is a crate with consumers/kfi in it.
# kfi-test: kernels=host limit=120 order=3
cd "$(dirname "$0")/.." || exit 1
# shellcheck source=selftests/lib.sh
. selftests/lib.sh
# shellcheck source=scripts/lib.sh
. scripts/lib.sh
set +e +u

# The compiler and its arguments are those of the module that uses the interface.
out=/cache/$(kfi_out stock)
cmd=$(sed -n 's/^savedcmd_[^ ]* := //p' "$out/consumers/kfi_perf/.main.o.cmd" 2>/dev/null)
[ -n "$cmd" ] || ktap_skip_all "kfi_perf is not built for the stock kernel"
compile() # FILE
{
	(
		cd "$out" || exit 1
		export KFI_OBJ=$out/consumers/kfi_perf RUSTC_BOOTSTRAP=1
		eval "$(sed -E 's! --emit=[^ ]+!!g; s! --out-dir [^ ]+!!; s! [^ ]*/main\.rs *$!!' <<< "$cmd")" \
			--crate-name compile_fail --emit=metadata=/tmp/compile_fail.rmeta -Adead_code -Amissing_docs \
			-Aunreachable_pub "$1"
	) > /tmp/compile_fail.out 2>&1
}

builds() { compile "$1" || { cat /tmp/compile_fail.out; return 1; }; }
# One error, of this kind, where it is to be.
fails()
{
	local file=$1 code=$2 line errors

	line=$(grep -n '// ERROR' "$file" | cut -d: -f1)
	! compile "$file" || { echo "it builds"; return 1; }
	errors=$(grep -c '^error\(\[\|: [^a]\)' /tmp/compile_fail.out)
	if [ "$errors" != 1 ] || ! grep -q "^error\[$code\]" /tmp/compile_fail.out ||
		! grep -q -- "--> $file:$line:" /tmp/compile_fail.out; then
		cat /tmp/compile_fail.out
		return 1
	fi
}

dir=$PWD/selftests/compile-fail
mapfile -t files < <(grep -l '^//! error:' "$dir"/*.rs)
ktap_print_header
ktap_set_plan ${#files[@]}
for file in "${files[@]}"; do
	code=$(sed -n 's!^//. error: !!p' "$file")
	what=$(sed -n '2s!^//. !!p' "$file")
	case $code in
	none) ktap_test "$(basename "$file" .rs): $what" builds "$file" ;;
	*) ktap_test "$(basename "$file" .rs): $what" fails "$file" "$code" ;;
	esac
done
ktap_finished
