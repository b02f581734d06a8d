"""Alembic's entry: runs the migrations on the connection that `shared.sql.migrate` opened."""

from alembic import context
from sqlalchemy import text

LOCK_KEY = 0xFA_0001
"""Any number of ours: two processes that migrate at once do it one after the other."""

connection = context.config.attributes["connection"]
context.configure(connection=connection, transaction_per_migration=False)
with context.begin_transaction():
    connection.execute(text(f"SELECT pg_advisory_xact_lock({LOCK_KEY})"))
    context.run_migrations()
