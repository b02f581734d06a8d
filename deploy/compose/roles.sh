#!/bin/bash
# Run once by the postgres image on an empty ledger. Two roles: the owner migrates, and grants the application, by
# DATABASE_APPLICATION_ROLE, that it may read and write rows.
set -euo pipefail
secret() { cat "/run/secrets/$1"; }
psql --set=ON_ERROR_STOP=1 --username "${POSTGRES_USER:-postgres}" --dbname "$POSTGRES_DB" \
    --set=owner="$(secret owner_password)" --set=application="$(secret application_password)" <<'SQL'
CREATE ROLE faxhook_owner LOGIN PASSWORD :'owner';
CREATE ROLE faxhook LOGIN PASSWORD :'application';
REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE, CREATE ON SCHEMA public TO faxhook_owner;
GRANT USAGE ON SCHEMA public TO faxhook;
SQL
