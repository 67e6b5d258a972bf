"""The native API over HTTP: models, status, search; contexts and profiles stand beside it."""

from . import address, ports
from .contexts import Contexts
from .paths import UNSET, path, query
from .profiles import Profiles
from .timeouts import Timeout
from .transport import Transport


class Client:
    """A server, over HTTP.

    `timeout` is in seconds or a `Timeout`; every method takes its own. `ca_file` trusts a
    certificate of your own. No proxy is used, whatever the environment says, unless `proxy` names
    one. A client may be shared by threads.
    """

    def __init__(
        self,
        base_url=f"http://localhost:{ports.HOME}",
        api_key=None,
        timeout=30,
        **options,
    ):
        strict = options.pop("strict_ports", False)
        self._timeout = Timeout.of(timeout)
        self._transport = Transport(address.parse(base_url, strict=strict), api_key, **options)
        self.contexts = Contexts(self)
        self.profiles = Profiles(self)

    def models(self, timeout=UNSET):
        """The models that can be asked, and the default."""
        return self._json("GET", "/api/v1/models", timeout)

    def status(self, timeout=UNSET):
        """What is listening where, which models work, how full the store is."""
        return self._json("GET", "/api/v1/status", timeout)

    def health(self, timeout=UNSET):
        """Whether the server is alive; raises `HTTPError` with status 503 when it is not well."""
        return self._json("GET", "/health", timeout)

    def search(self, text, limit=None, timeout=UNSET):
        """Messages of all contexts that hold every word, the best first: a list of hits."""
        found = self._json("GET", path("search") + query({"q": text, "limit": limit}), timeout)
        return found["hits"]

    def prompts(self, timeout=UNSET):
        """The prompts that the server keeps: a list of name, title, description, arguments."""
        return self._json("GET", "/api/v1/prompts", timeout)["prompts"]

    def fill_prompt(self, name, arguments=None, timeout=UNSET):
        """A kept prompt with its arguments in their places: `messages`, `system` and `model`."""
        return self._json("POST", path("prompts", name), timeout, {"arguments": arguments or {}})

    def summarize(self, text, length="short", timeout=UNSET):
        """Summarises a text; the answer has `summary`."""
        body = {"text": text, "length": length}
        return self._json("POST", "/api/v1/summarize", timeout, body)

    def generate_prompt(self, theme, difficulty="medium", timeout=UNSET):
        """Makes a writing prompt about a theme; the answer has `prompt`."""
        body = {"theme": theme, "difficulty": difficulty}
        return self._json("POST", "/api/v1/generate_prompt", timeout, body)

    def close(self):
        """Closes the kept connections. Closing twice is fine."""
        self._transport.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _json(self, method, path, timeout=UNSET, body=None, headers=None):
        clock = self._limits(timeout).begin(self._transport.target)
        return self._transport.json(method, path, clock, body, headers)[0]

    def _limits(self, timeout):
        return self._timeout if timeout is UNSET else Timeout.of(timeout)
