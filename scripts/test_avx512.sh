#!/usr/bin/env bash
# The kernels of AVX-512 on a CPU that this machine is not: Bochs emulates one, on which a Linux boots whose only
# program runs the tests of a build. qemu's emulation knows no AVX-512. The backends are those with a line `bochs_cpu`
# in their backend.cmake, and the stand-ins that the emulated CPU can run, whose missing instructions a signal handler
# carries out there.
#   scripts/test_avx512.sh [--always] [BUILD]      default: build/release
# Where this CPU can run these backends itself there is nothing to emulate, unless --always asks for it.
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/backend_table.sh
exec </dev/null
always=false
if [ "${1:-}" = --always ]; then always=true; shift; fi
build=$PWD/${1:-build/release}
# Those with a test for each backend.
tests=(gemm_test quantize_test activations_test bits_test rows_test odd_values_test bounds_test)
# And those of the signal handler.
handler_tests=(tile_trap_test tile_faults_test)
if [ "$(uname -m)" != x86_64 ]; then
  echo "this is no x86-64: nothing to emulate"
  exit 0
fi
backends=() # that the emulated CPU has and this one has not, best first; then stand-ins
model=
flags= # of the emulated CPU
runnable=$(scripts/backends_of_this_cpu.sh --with-stand-ins)
runs_here() { grep -qx "$1" <<<"$runnable"; }
for name in $(backends_of x86_64); do
  cpu=$(backend_line "$name" bochs_cpu) || continue
  flags+=" $(needs "$name")"
  if ! $always && runs_here "$name"; then continue; fi
  if [ -n "$model" ] && [ "$model" != "$cpu" ]; then
    echo "test_avx512.sh: one emulated CPU for all, not $model and $cpu" >&2
    exit 1
  fi
  model=$cpu
  backends+=("$name")
done
if [ ${#backends[@]} -eq 0 ]; then
  echo "this CPU runs every backend that Bochs could: nothing to emulate"
  exit 0
fi
best=${backends[0]}
for name in $(backends_of x86_64); do
  stand_in=$(stand_in_with "$name" "$flags") || continue
  if $always || ! { runs_here "$name" || runs_here "$stand_in"; }; then backends+=("$stand_in"); fi
done

folder=$PWD/build/bochs
packages=$folder/packages
scripts/extract_packages.sh amd64 "$packages" '?reverse-depends(?exact-name(linux-image-cloud-amd64))' busybox-static \
  isolinux syslinux-common

# The file system: programs with their libraries and data, all at their own paths.
root=$folder/root
rm -rf "$root" "$folder/cd"
mkdir -p "$root"/{bin,proc,sys,dev,tmp} "$folder/cd/isolinux"
cp "$packages/bin/busybox" "$root/bin/"
for applet in sh mount grep tail diff sleep reboot; do ln -s busybox "$root/bin/$applet"; done
mkdir -p "$root$build/tests" "$root$PWD/tests" "$root$PWD/examples"
for test in smoke digest "${tests[@]}" "${handler_tests[@]}"; do
  strip -o "$root$build/tests/$test" "$build/tests/$test"
  ldd "$build/tests/$test" | grep -o '/[^ ]*' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -Lu "$library" "$root$library"
  done
done
cp -r tests/data tests/digest.txt "$root$PWD/tests/"
cp -r examples/data "$root$PWD/examples/"
cat >"$root/init" <<INIT
#!/bin/sh
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs dev /dev
exec >/dev/ttyS0 2>&1
export BYTEGATE_TEST_SIZE=small BYTEGATE_REQUIRED_BACKENDS=$(IFS=,; echo "${backends[*]}")
cd $build/tests
failed=0
check() {
  if "\$@"; then echo "ok   \$what"; else echo "FAIL \$what"; failed=1; fi
}
chosen() { [ "\$(./smoke)" = $best ]; }
same_digest() { ./digest >/tmp/digest && diff /tmp/digest $PWD/tests/digest.txt; }
passes() {  # of the tests that the pattern selects none is skipped, and there must be some
  ./\$1 --gtest_brief=1 --gtest_filter="\$2" >/tmp/out 2>&1 &&
    grep -q 'PASSED.* [1-9][0-9]* test' /tmp/out || { tail -n 40 /tmp/out; false; }
}
what="chosen by itself" check chosen
for name in ${tests[*]}; do
  for backend in ${backends[*]}; do what="\$name \$backend" check passes \$name "*/\$backend"; done
done
for name in ${handler_tests[*]}; do what=\$name check passes \$name "*"; done
what=digest check same_digest
echo "end \$failed"
sleep 5
reboot -f
INIT
chmod +x "$root/init"
(cd "$root" && find . | cpio -o -H newc --quiet | gzip -1 >"$folder/cd/initrd.gz")

# The kernel and Bochs 2.7 agree on neither the layout of compacted XSAVE areas nor some other things a test has no
# use for.
cp "$(find "$packages/boot" -name 'vmlinuz-*' | sort -V | tail -n 1)" "$folder/cd/vmlinuz"
cp "$packages/usr/lib/ISOLINUX/isolinux.bin" "$folder/cd/isolinux/"
cp "$packages/usr/lib/syslinux/modules/bios/ldlinux.c32" "$folder/cd/isolinux/"
hidden=umip,smap,smep,la57,pku,xsaves,xsavec,vmx,mce,erms,fsrm,invpcid,pcid
cat >"$folder/cd/isolinux/isolinux.cfg" <<CONFIG
default linux
label linux
 kernel /vmlinuz
 initrd /initrd.gz
 append rdinit=/init quiet nokaslr mitigations=off tsc=reliable lpj=4000000 clearcpuid=$hidden lsm=
CONFIG
xorriso -as mkisofs -quiet -o "$folder/boot.iso" -b isolinux/isolinux.bin -c isolinux/boot.cat -no-emul-boot \
  -boot-load-size 4 -boot-info-table "$folder/cd" 2>"$folder/xorriso.log"

cat >"$folder/bochsrc" <<CONFIG
display_library: term
romimage: file=/usr/share/bochs/BIOS-bochs-latest
vgaromimage: file=/usr/share/bochs/VGABIOS-lgpl-latest
cpu: model=$model, ips=100000000, reset_on_triple_fault=0
memory: guest=1024, host=1024
ata0-master: type=cdrom, path=$folder/boot.iso, status=inserted
boot: cdrom
com1: enabled=1, mode=file, dev=$folder/serial.txt
log: $folder/bochs.log
CONFIG
echo c >"$folder/commands"  # Debian's Bochs begins in its debugger
rm -f "$folder/serial.txt" "$folder/input"
mkfifo "$folder/input"
exec 3<>"$folder/input"
export TERM=linux
script -qec "exec bochs-bin -q -f $folder/bochsrc -rc $folder/commands" /dev/null <&3 >"$folder/bochs.out" 2>&1 3>&- &
emulator=$!
reader=
trap 'kill $emulator $reader 2>/dev/null || true' EXIT
for ((second = 0; second < 1500; ++second)); do
  sleep 1
  # Bochs draws its screen on a terminal of its own, and stops for ever once that is full of what nobody has read.
  if [ -z "$reader" ]; then
    screen=$(sed -nE 's/^Bochs connected to screen "(.*)".*/\1/p' "$folder/bochs.out")
    if [ -n "$screen" ]; then
      stty -F "$screen" raw -echo
      cat "$screen" >/dev/null &
      reader=$!
    fi
  fi
  if grep -q '^end [01]' "$folder/serial.txt" 2>/dev/null || ! kill -0 $emulator 2>/dev/null; then break; fi
done
grep -E -v '^\[|^$' "$folder/serial.txt" | tr -d '\r' || true
if ! grep -q '^end 0' "$folder/serial.txt" 2>/dev/null; then
  echo "FAIL: the tests did not pass within $second s; $folder has serial.txt and bochs.log" >&2
  exit 1
fi
