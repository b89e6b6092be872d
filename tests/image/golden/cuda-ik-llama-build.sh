#!/bin/sh
# Builds the server of ik_llama.cpp and its tools that measure, at one commit; by gpubox. Needs git, cmake, a C++ compiler and CUDA; uses ccache if it is there.
#
#   ik-llama-build.sh SOURCE WORK PREFIX
#
# SOURCE is any clone of ik_llama.cpp, or a folder with the files of the commit and no .git, which are taken on trust. WORK is an
# empty folder, or that of a build to go on with; PREFIX is where bin/llama-server and the tools go. JOBS limits the compilers at once.
set -eu

commit=29a54f4b04cc0281850574247db075e20d68e7f1
source=$1 work=$2 prefix=$3
mkdir -p "$work" "$prefix/bin"
work=$(cd "$work" && pwd) prefix=$(cd "$prefix" && pwd)
[ ! -d "$source" ] || source=$(cd "$source" && pwd)

fail() {
    echo "ik-llama-build: $*" >&2
    exit 1
}

fetch() {
    git -c init.defaultBranch=main init --quiet
    if ! git fetch --quiet --depth 1 "$source" "$commit"; then
        git ls-remote --quiet "$source" >/dev/null || fail "no git repository answers at $source"
        fail "no commit $commit in $source"
    fi
    git -c advice.detachedHead=false checkout --quiet FETCH_HEAD
    found=$(git rev-parse HEAD)
    [ "$found" = "$commit" ] || fail "$source gave commit $found instead of $commit"
}

cd "$work"
if [ -e "$source/CMakeLists.txt" ] && [ ! -e "$source/.git" ]; then
    tree=$source
else
    fetch
    tree=$work
fi

launcher=$(command -v ccache || true)
cmake -S "$tree" -B build \
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
programs=llama-server
for tool in perplexity sweep-bench; do # not every commit has them
    [ ! -d "$tree/examples/$tool" ] || programs="$programs llama-$tool"
done
cmake --build build --target $programs --parallel "${JOBS:-$(nproc)}"

for program in $programs; do
    install --strip "build/bin/$program" "$prefix/bin/$program"
done
