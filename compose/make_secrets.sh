#!/bin/sh
# Writes the secrets of compose.yaml into the folder "secrets" beside this file, or into the folder that is given.
# Files that exist are kept, so it can be repeated; delete a file to replace its secret.
set -eu
folder=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$folder"
keep_or_write() {
  [ -s "$folder/$1" ] || printf '%s\n' "$2" >"$folder/$1"
  # Compose mounts them with these rights, and the containers have other users. On the host, the folder keeps others out.
  chmod 0444 "$folder/$1"
}
for name in jwt_secret audit_key flower_password redis_password grafana_password; do
  keep_or_write "$name" "$(openssl rand -hex 32)"
done
password=$(cat "$folder/redis_password")
# These two contain the password of Redis: they follow it.
rm -f "$folder/redis_url" "$folder/redis_users"
keep_or_write redis_url "redis://:$password@redis:6379/0"
keep_or_write redis_users "user default on >$password ~* &* +@all"
