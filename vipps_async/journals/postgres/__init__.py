"""A journal in PostgreSQL, for work that several machines share. Needs the extra ``postgres``."""
