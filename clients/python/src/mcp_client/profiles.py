"""What is known of users in all their contexts."""

from .paths import UNSET, expects, path


class Profiles:
    """The profiles of a server, by user."""

    def __init__(self, client):
        self._client = client

    def get(self, user, timeout=UNSET):
        """What is known of a user; status 404 when nothing is."""
        return self._client._json("GET", path("profiles", user), timeout)

    def update(self, user, patch, revision=None, timeout=UNSET):
        """Changes it by a merge patch, or makes it; `None` as a value removes a key."""
        place, headers = path("profiles", user), expects(revision)
        return self._client._json("PATCH", place, timeout, patch, headers)

    def delete(self, user, timeout=UNSET):
        """Forgets it; the contexts of the user stay."""
        return self._client._json("DELETE", path("profiles", user), timeout)
