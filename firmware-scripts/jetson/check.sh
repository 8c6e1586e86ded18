#!/usr/bin/env bash
# Tells whether an ONNX Runtime with its Node binding, built for a Jetson's GPU, is complete: what is wrong, and what to do about it.
set -euo pipefail

readonly INSIDE=node_modules/onnxruntime-node/bin/napi-v6/linux/arm64
# As models/runtime/ort-place.ts looks for it, and what the package brought.
readonly OWN=/opt/bramble-onnxruntime
readonly PACKAGED=/usr/lib/bramble-agent
readonly BINDING=onnxruntime_binding.node
readonly LIBRARY=libonnxruntime.so.1
readonly PROVIDERS=(libonnxruntime_providers_shared.so libonnxruntime_providers_cuda.so libonnxruntime_providers_tensorrt.so)

usage() {
  cat <<END
check.sh [FOLDER] [--version X.Y.Z]

Tells whether the five files of an ONNX Runtime for a Jetson's GPU fit each other: binding, library, and what both need for CUDA
and TensorRT. Changes nothing. On an arm64 machine it also asks the loader and Node; on another it looks at the files only.

  FOLDER     where they lie (of $OWN and $PACKAGED the first that is there, below it
             $INSIDE)
  --version  the version of onnxruntime-node that they are for (what package.json four folders above says)
  -h, --help this page

Exit code: 0 complete; 1 not complete, each trouble with what to do; 2 could not look.
END
}

no_look() {
  printf 'could not look: %s\n' "$*" >&2
  exit 2
}
ok() { printf 'ok       %s\n' "$*"; }
skip() { printf 'not seen %s\n' "$*"; }
TROUBLES=0
trouble() {
  TROUBLES=$((TROUBLES + 1))
  printf 'TROUBLE  %s\n         %s\n' "$1" "$2"
}

readonly BUILD_IT='build library and binding from one tree, with --build_nodejs --use_cuda --use_tensorrt (README.md beside this script)'

# The machine that a file is for, in the words of readelf; empty: no ELF file.
machine_of() { LC_ALL=C readelf -hW "$1" 2>/dev/null | sed -n 's/^ *Machine: *//p' || true; }

# True when it is there and for arm64. A dangling link is not there.
is_there() {
  local machine
  if [ ! -f "$FOLDER/$1" ]; then
    trouble "$1 is missing" "$2"
    return 1
  fi
  machine=$(machine_of "$FOLDER/$1")
  if [ "$machine" != AArch64 ]; then
    trouble "$1 is for ${machine:-no machine at all}, not for arm64" "$BUILD_IT, on the Jetson"
    return 1
  fi
}

# Which release of ONNX Runtime a file names in its symbol versions.
version_of() { LC_ALL=C readelf -VW "$FOLDER/$1" 2>/dev/null | grep -o 'VERS_[0-9][0-9.]*' | sort -u | sed 's/^VERS_//' | paste -sd, || true; }

check_version() {
  local found
  found=$(version_of "$1")
  if [ "$found" = "$VERSION" ]; then
    ok "$1 is of $VERSION"
  else
    trouble "$1 is of ${found:-no version that it names}, onnxruntime-node is $VERSION" "build the tag v$VERSION: the loader refuses any other pair"
  fi
}

check_path() {
  local path
  path=$(LC_ALL=C readelf -dW "$FOLDER/$BINDING" | sed -n 's/.*(RUNPATH).*\[\(.*\)\]$/\1/p')
  # shellcheck disable=SC2016 # $ORIGIN is a word of the loader.
  case :$path: in
    *':$ORIGIN:'* | *':$ORIGIN/:'*) ok "$BINDING looks for its libraries beside itself" ;;
    *) trouble "$BINDING looks for its libraries in '${path}', not beside itself" "patchelf --set-rpath '\$ORIGIN' $FOLDER/$BINDING" ;;
  esac
}

# As the service has it: without a search path of the one who asks.
check_loader() {
  local missing
  missing=$(env -u LD_LIBRARY_PATH ldd "$FOLDER/$1" 2>&1 | grep 'not found' | sed 's/^[[:space:]]*//' | sort -u | paste -sd';' || true)
  if [ -z "$missing" ]; then
    ok "everything that $1 needs is found"
  else
    trouble "$1 needs what the loader does not find: $missing" \
      'install the JetPack packages of CUDA, cuDNN and TensorRT; where they lie in a folder of their own, name it in /etc/ld.so.conf.d and run ldconfig'
  fi
}

# Names that the binding was compiled with, each in a line; fails where it cannot be loaded.
backends() {
  local node=$PACKAGED/node
  [ -x "$node" ] || node=node
  ORT_DISABLE_TELEMETRY=1 "$node" -e 'for (const { name } of require(process.argv[1]).listSupportedBackends()) console.log(name)' "$FOLDER/$BINDING"
}

check_binding() {
  local names
  if ! names=$(backends 2>&1); then
    trouble "Node does not load $BINDING: $(printf '%s' "$names" | grep -m 1 Error || printf '%s' "$names" | head -n 1)" "mend what stands above; else $BUILD_IT"
  elif grep -qx cuda <<<"$names" && grep -qx tensorrt <<<"$names"; then
    ok "$BINDING offers $(paste -sd, <<<"$names")"
  else
    trouble "$BINDING offers $(paste -sd, <<<"$names") only" "$BUILD_IT"
  fi
}

# Without Node there are only its words to go by.
check_words() {
  if grep -aq cuda "$FOLDER/$BINDING" && grep -aq tensorrt "$FOLDER/$BINDING"; then
    ok "$BINDING knows the words cuda and tensorrt"
  else
    trouble "$BINDING does not know the words cuda and tensorrt" \
      "$BUILD_IT. GCC 14 and newer may hide short words in the code: then look on the Jetson, where Node is asked"
  fi
}

FOLDER='' VERSION=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    --version)
      [ $# -ge 2 ] || no_look '--version needs a value'
      VERSION=$2
      shift
      ;;
    -*) no_look "there is no option $1; --help names them" ;;
    *)
      [ -z "$FOLDER" ] || no_look 'one folder at a time'
      FOLDER=$1
      ;;
  esac
  shift
done
if [ -z "$FOLDER" ]; then
  FOLDER=$OWN/$INSIDE
  [ -d "$FOLDER" ] || FOLDER=$PACKAGED/$INSIDE
fi
[ -d "$FOLDER" ] || no_look "there is no folder $FOLDER: name the one that holds $BINDING"
FOLDER=$(cd "$FOLDER" && pwd -P)
command -v readelf >/dev/null || no_look 'readelf is missing: apt-get install binutils'
if [ -z "$VERSION" ]; then
  package=$FOLDER/../../../../package.json
  [ -r "$package" ] || no_look "there is no package.json four folders above $FOLDER: name the version with --version"
  VERSION=$(sed -n 's/^ *"version": *"\([^"]*\)".*/\1/p' "$package" | head -n 1)
  [ -n "$VERSION" ] || no_look "$package names no version: name it with --version"
fi

printf 'looking at %s\n' "$FOLDER"
has_binding='' has_library='' missing=0
if is_there "$BINDING" "$BUILD_IT"; then has_binding=yes; fi
if is_there "$LIBRARY" "$BUILD_IT; cp -L where only links arrived"; then has_library=yes; fi
found=()
for name in "${PROVIDERS[@]}"; do
  if is_there "$name" 'copy it from build/Linux/Release of the tree; where it is not there either, the tree was built without --use_cuda or --use_tensorrt'; then
    found+=("$name")
  elif [ ! -e "$FOLDER/$name" ]; then
    missing=$((missing + 1))
  fi
done
if [ -n "$has_binding" ]; then
  check_version "$BINDING"
  check_path
fi
if [ -n "$has_library" ]; then check_version "$LIBRARY"; fi
if [ "$(uname -m)" = aarch64 ]; then
  for name in ${has_library:+"$LIBRARY"} "${found[@]}"; do check_loader "$name"; done
  if [ -n "$has_binding" ]; then check_binding; fi
else
  if [ -n "$has_binding" ]; then check_words; fi
  skip "loader and Node are asked on an arm64 machine only: look again on the Jetson"
fi

if [ "$TROUBLES" -eq 0 ]; then
  printf 'complete. Only a run proves that its kernels are for this GPU: sudo bramble-agent doctor\n'
elif [ -n "$has_binding$has_library" ] && [ "$missing" -eq "${#PROVIDERS[@]}" ]; then
  printf 'not complete: this is the CPU build, as it comes from npm.\n'
  exit 1
else
  printf 'not complete.\n'
  exit 1
fi
