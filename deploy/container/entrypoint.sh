#!/bin/sh
# One argument that names a role runs that process; anything else is a command of `mastery`: `topics create`, `bridge status`.
set -eu
if [ "$#" -eq 1 ]; then
  case "$1" in
    api | worker | beat | bridge | flower) exec mastery run "$1" ;;
  esac
fi
exec mastery "$@"
