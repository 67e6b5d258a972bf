"""Contexts as documents, out and in, of any size."""

from .paths import UNSET, path, query


class Documents:
    """What contexts can do with documents."""

    def export(self, context_id, to=None, format=None, timeout=UNSET, **options):
        """Writes a context as a document, and returns it; with a file in `to` its length.

        `format` is `rapport` (which loses nothing), `jsonl`, `anthropic`, `openai_chat` or
        `openai_responses`.
        """
        place = path("contexts", context_id, "export") + query({"format": format, **options})
        client = self._client
        clock = client._limits(timeout).for_stream().begin(client._transport.target)
        answer = client._transport.open("GET", place, clock, None, {"Accept": "*/*"})
        try:
            if to is None:
                return answer.read_all()
            length = 0
            for piece in answer.pieces():
                to.write(piece)
                length += len(piece)
            return length
        finally:
            answer.done()

    def import_document(self, document, timeout=UNSET, **options):
        """Makes contexts of a document: bytes, text, a dictionary, or a file opened as binary.

        `options` are those of the API: `format`, `id`, `new_ids`, `on_error`, `dry_run`.
        """
        if isinstance(document, str):
            document = document.encode("utf-8")
        client = self._client
        clock = client._limits(timeout).for_stream().begin(client._transport.target)
        place = path("import") + query(options)
        # Lines or one object: the server finds out which.
        headers = {} if isinstance(document, dict) else {"Content-Type": "application/x-ndjson"}
        return client._transport.json("POST", place, clock, document, headers)[0]
