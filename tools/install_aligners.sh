#!/usr/bin/env bash
# Install BLAST and VSEARCH where they are missing, if apt-get is there and the user may. Otherwise say how, and go on:
# tests that need one of them are skipped.
set -euo pipefail

packages=()
command -v blastn >/dev/null && command -v makeblastdb >/dev/null || packages+=(ncbi-blast+)
command -v vsearch >/dev/null || packages+=(vsearch)
if ((${#packages[@]} == 0)); then
    echo "BLAST and VSEARCH are installed"
    exit 0
fi

as_root() {
    if ((UID == 0)); then "$@"; else sudo -n "$@"; fi
}

may_install() {
    command -v apt-get && as_root true
} &>/dev/null

install() {
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --quiet --no-install-recommends "${packages[@]}"
}

# Where the lists of packages are there already, the first try saves the time to fetch them.
if may_install && { install || { as_root apt-get update --quiet && install; }; }; then
    exit 0
fi
cat >&2 <<EOF
not installed: ${packages[*]}. Tests that need them are skipped. To have them, one of
    sudo apt-get install ncbi-blast+ vsearch
    conda install --channel conda-forge --channel bioconda blast vsearch
    brew install blast vsearch
EOF
