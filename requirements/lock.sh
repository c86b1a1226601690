#!/usr/bin/env bash
# Locks requirements/*.in into exact versions for every supported Python. Needs uv.
# Usage: requirements/lock.sh [arguments for uv pip compile, such as --upgrade]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

for distro in jazzy kilted; do
  uv pip compile --universal --python-version 3.10 --no-annotate --quiet \
    --custom-compile-command requirements/lock.sh --override overrides.in "$@" \
    --output-file "$distro.txt" tools.in "$distro.in"
done
