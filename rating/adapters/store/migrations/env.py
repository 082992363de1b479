"""Runs migrations on the connection it is handed, inside that connection's transaction. Alembic loads it by path."""

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
context.run_migrations()
