"""Talking to somebody outside the database: what is about to happen is committed before, what came of it after."""

from contextlib import contextmanager

from odoo import modules


def commit(env):
    """Keep what was done so far, whatever happens next. Tests roll everything back, so they don't."""
    if not modules.module.current_test:
        env.flush_all()
        env.cr.commit()  # pylint: disable=invalid-commit


@contextmanager
def nothing_kept_on_error(env):
    """On an error, the database is as it was at the last commit, and can be used again."""
    if modules.module.current_test:
        with env.cr.savepoint():
            yield
            env.flush_all()
        return
    try:
        yield
        env.flush_all()
    except BaseException:
        env.cr.rollback()
        env.invalidate_all()
        raise
