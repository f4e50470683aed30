"""Doing something only to see what would come of it."""

from contextlib import contextmanager


@contextmanager
def undone(env):
    """Whatever is written inside is taken back: from the database, and from what is remembered of it."""
    savepoint = env.cr.savepoint()
    try:
        yield
    finally:
        savepoint.close(rollback=True)
        env.invalidate_all(flush=False)
