"""Paths of the native API, and what was left out of a call."""

from urllib.parse import quote, urlencode

#: Stands for an argument that nobody gave, where `None` means something.
UNSET = object()


def path(*parts):
    """A path of the native API; every part is one segment, whatever it holds."""
    return "/api/v1/" + "/".join(quote(str(part), safe="") for part in parts)


def query(filters):
    """A query of what was given."""
    given = {name: _word(value) for name, value in filters.items() if value is not None}
    return "?" + urlencode(given) if given else ""


def given(**fields):
    """A body of what was given."""
    return {name: value for name, value in fields.items() if value is not None}


def expects(revision):
    """Headers that refuse a change of anything but this revision."""
    return {} if revision is None else {"If-Match": f'"{revision}"'}


def _word(value):
    return str(value).lower() if isinstance(value, bool) else value
