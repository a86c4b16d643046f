# What backends/*/backend.cmake says of each backend, for shell scripts: source it in the root of the tree.
# cmake/backends.cmake describes the lines. The priority is that of the descriptor, backend.cpp.

# backend_line NAME KEY: the values of that line, with blanks between. Fails if the file has no such line.
backend_line() {
  local line text="" words
  while IFS= read -r line || [ -n "$line" ]; do
    [[ $line =~ ^[[:space:]]*# ]] || text+=" $line"
  done <"backends/$1/backend.cmake"
  [[ $text =~ [[:space:]]set\($2(|[[:space:]][^\)]*)\) ]] || return 1
  read -ra words <<<"${BASH_REMATCH[1]//\"/}"
  echo "${words[*]}"
}

# needs NAME: the CPU flags that a backend needs. Every backend must say that, even if it needs none.
needs() {
  backend_line "$1" cpu_flags || { echo "backends/$1/backend.cmake has no line set(cpu_flags ...)" >&2; return 1; }
}

# priority_of NAME: the number by which the library prefers the backend to others.
priority_of() {
  local line
  while IFS= read -r line; do
    if [[ $line =~ ^[[:space:]]*\.priority\ =\ (-?[0-9]+), ]]; then
      echo "${BASH_REMATCH[1]}"
      return
    fi
  done <"backends/$1/backend.cpp"
  echo "backends/$1/backend.cpp has no line .priority = NUMBER," >&2
  return 1
}

# backends_of PROCESSOR: the names of the backends that are built for it, best first: that with the highest priority.
backends_of() {
  local file name priority lines=""
  for file in backends/*/backend.cmake; do
    name=${file%/*}
    name=${name##*/}
    [[ " $(backend_line "$name" processors) " == *" $1 "* ]] || continue
    needs "$name" >/dev/null && priority=$(priority_of "$name") || return 1
    lines+="$priority $name"$'\n'
  done
  sort -k 1,1nr -k 2 <<<"${lines%$'\n'}" | cut -d ' ' -f 2
}

# supported_with PROCESSOR "FLAGS": the backends of a CPU with these flags, best first, with blanks between.
supported_with() {
  local name names supported=()
  names=$(backends_of "$1") || return 1
  for name in $names; do
    if has "$2" "$(needs "$name")"; then supported+=("$name"); fi
  done
  echo "${supported[*]}"
}

# has "FLAGS" "NEEDED": whether all that is needed is among the flags.
has() {
  local flag
  for flag in $2; do [[ " $1 " == *" $flag "* ]] || return 1; done
}

# stand_in_with NAME "FLAGS": the backend that runs the kernels of NAME in tests on a CPU with these flags. Fails if the
# CPU needs none or lacks what that takes.
stand_in_with() {
  local stand_in
  ! has "$2" "$(needs "$1")" && stand_in=$(backend_line "$1" stand_in) &&
    has "$2" "$(backend_line "$1" stand_in_flags)" && echo "$stand_in"
}
