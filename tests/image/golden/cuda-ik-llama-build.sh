#!/bin/sh
# Builds the server of ik_llama.cpp at one commit; by gpubox. Needs git, cmake, a C++ compiler and CUDA; uses ccache if it is there.
#
#   ik-llama-build.sh URL WORK PREFIX
#
# URL is any clone of ik_llama.cpp, WORK an empty folder, PREFIX where bin/llama-server goes. JOBS limits the compilers at once.
set -eu

commit=29a54f4b04cc0281850574247db075e20d68e7f1
url=$1 work=$2 prefix=$3

fail() {
    echo "ik-llama-build: $*" >&2
    exit 1
}

git -c init.defaultBranch=main init --quiet "$work"
cd "$work"
if ! git fetch --quiet --depth 1 "$url" "$commit"; then
    git ls-remote --quiet "$url" >/dev/null || fail "no git repository answers at $url"
    fail "no commit $commit in $url"
fi
git -c advice.detachedHead=false checkout --quiet FETCH_HEAD
found=$(git rev-parse HEAD)
[ "$found" = "$commit" ] || fail "$url gave commit $found instead of $commit"

launcher=$(command -v ccache || true)
cmake -S . -B build \
    ${launcher:+-DCMAKE_C_COMPILER_LAUNCHER="$launcher" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher"} \
    ${launcher:+-DCMAKE_CUDA_COMPILER_LAUNCHER="$launcher"} \
    '-DCMAKE_BUILD_TYPE=Release' \
    '-DBUILD_SHARED_LIBS=OFF' \
    '-DGGML_CCACHE=OFF' \
    '-DGGML_NATIVE=OFF' \
    '-DGGML_IQK_FA_ALL_QUANTS=OFF' \
    '-DLLAMA_BUILD_TESTS=OFF' \
    '-DLLAMA_CURL=OFF' \
    '-DGGML_CUDA=ON' \
    '-DGGML_CUDA_FA_ALL_QUANTS=OFF' \
    '-DCMAKE_CUDA_ARCHITECTURES=120a-real'
cmake --build build --target llama-server --parallel "${JOBS:-$(nproc)}"

mkdir -p "$prefix/bin"
install --strip build/bin/llama-server "$prefix/bin/llama-server"
