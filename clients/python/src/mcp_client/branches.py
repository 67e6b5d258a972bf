"""Forks, checkpoints, rollbacks, merges and shares of contexts."""

from .paths import UNSET, given
from .shapes import Context


class Branches:
    """What contexts can do with their branches."""

    def fork(self, context_id, at=None, checkpoint=None, timeout=UNSET, **fields):
        """A context that goes on from message `at`, a checkpoint, or the newest message."""
        body = {**given(at=at, checkpoint=checkpoint), **fields}
        return Context.of(self._call("POST", context_id, "fork", body=body, timeout=timeout))

    def checkpoint(self, context_id, name, note=None, timeout=UNSET):
        """Names the newest message and keeps the state."""
        body = given(name=name, note=note)
        return self._call("POST", context_id, "checkpoints", body=body, timeout=timeout)

    def checkpoints(self, context_id, timeout=UNSET):
        """The names that were given."""
        return self._call("GET", context_id, "checkpoints", timeout=timeout)["checkpoints"]

    def forget_checkpoint(self, context_id, name, timeout=UNSET):
        """Forgets a name; the messages stay."""
        return self._call("DELETE", context_id, "checkpoints", name, timeout=timeout)

    def rollback(self, context_id, revision=None, timeout=UNSET, **goal):
        """Back to one of `to` (with `state=True` its state too), `checkpoint` and `branch`."""
        options = {"revision": revision, "timeout": timeout}
        return Context.of(self._call("POST", context_id, "rollback", body=goal, **options))

    def undo(self, context_id, revision=None, timeout=UNSET):
        """Takes the last rollback back."""
        return self.rollback(context_id, revision, timeout, undo=True)

    def branches(self, context_id, timeout=UNSET):
        """The branches that were left, and forks: `current`, `left`, `forks`."""
        return self._call("GET", context_id, "branches", timeout=timeout)

    def compare(self, context_id, other_id, timeout=UNSET):
        """How far two contexts share their log, and where their states differ."""
        filters = {"with": other_id}
        return self._call("GET", context_id, "compare", filters=filters, timeout=timeout)

    def merge(self, context_id, from_id, on_conflict=None, revision=None, timeout=UNSET):
        """Brings another context in; `on_conflict` is `ours`, `theirs` or `refuse`."""
        body = {"from": from_id, **given(on_conflict=on_conflict)}
        options = {"revision": revision, "timeout": timeout}
        return self._call("POST", context_id, "merge", body=body, **options)

    def share(self, context_id, timeout=UNSET, **fields):
        """A token that opens the context for reading, shown this once (`token`)."""
        return self._call("POST", context_id, "share", body=fields, timeout=timeout)

    def shares(self, context_id, timeout=UNSET):
        """The tokens that were made, without themselves."""
        return self._call("GET", context_id, "share", timeout=timeout)["shares"]

    def unshare(self, context_id, number, timeout=UNSET):
        """Ends a token."""
        return self._call("DELETE", context_id, "share", number, timeout=timeout)
