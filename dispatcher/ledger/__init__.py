"""The PostgreSQL tables: connections, health, and one module for each kind of statement."""
