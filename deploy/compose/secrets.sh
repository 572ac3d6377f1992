#!/bin/sh
# Makes the files that compose.yaml names below secrets/, once, each with a random value.
set -eu
cd "$(dirname "$0")"
umask 077
mkdir -p secrets
random() {
    python3 -c 'import base64, os; print(base64.b64encode(os.urandom(32)).decode())'
}
[ -s secrets/postgres_password ] || random | tr -d '/+=\n' >secrets/postgres_password
[ -s secrets/database_url ] ||
    printf 'postgresql://fairlead:%s@postgres/fairlead\n' "$(cat secrets/postgres_password)" >secrets/database_url
[ -s secrets/valkey_url ] || printf 'valkey://:%s@valkey:6379/0\n' "$(random | tr -d '/+=\n')" >secrets/valkey_url
# Its configuration has the password of the URL. It keeps nothing, and what it would forget to make room is the oldest.
password=$(sed 's|^[^:]*://:||; s|@.*||' secrets/valkey_url)
[ -s secrets/valkey.conf ] ||
    printf 'requirepass %s\nsave ""\nappendonly no\nmaxmemory 192mb\nmaxmemory-policy volatile-ttl\n' "$password" >secrets/valkey.conf
[ -s secrets/seal_key ] || random >secrets/seal_key
# The containers run as other users; the directory keeps everybody else on this machine out.
chmod 0644 secrets/*
ls secrets
