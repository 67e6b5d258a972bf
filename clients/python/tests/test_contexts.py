"""Every method of contexts: where it goes, what it sends, what it makes of the answer."""

import io
import json

import mcp_client

from .test_client import WithServer, body

PATH = "/api/v1/contexts/a%2Fb"
#: Method, arguments, then what the server must see: method, path, body.
CALLS = [
    ("append", ([{"role": "user", "content": "x"}],), {}, "POST", "/messages",
     {"messages": [{"role": "user", "content": "x"}]}),
    ("retry", (), {"model": "m"}, "POST", "/turns/retry", {"model": "m"}),
    ("cancel", (), {}, "POST", "/turns/cancel", {}),
    ("turn", (), {}, "GET", "/turns/last", None),
    ("turn", (7,), {}, "GET", "/turns/7", None),
    ("state", (), {}, "GET", "/state", None),
    ("state", (), {"at": 0}, "GET", "/state?at=0", None),
    ("state", (), {"change": 4}, "GET", "/state?change=4", None),
    ("patch_state", ({"a": None},), {}, "PATCH", "/state", {"a": None}),
    ("replace_state", ({"a": 1},), {}, "PUT", "/state", {"a": 1}),
    ("state_history", (), {"limit": 2, "before": 9}, "GET", "/state/history?limit=2&before=9",
     None),
    ("restore_state", (), {"at": 0}, "POST", "/state/restore", {"at": 0}),
    ("fork", (), {"at": 3, "title": "t"}, "POST", "/fork", {"at": 3, "title": "t"}),
    ("checkpoint", ("one",), {"note": "n"}, "POST", "/checkpoints", {"name": "one", "note": "n"}),
    ("checkpoints", (), {}, "GET", "/checkpoints", None),
    ("forget_checkpoint", ("x/y",), {}, "DELETE", "/checkpoints/x%2Fy", None),
    ("rollback", (), {"to": 0, "state": True}, "POST", "/rollback", {"to": 0, "state": True}),
    ("undo", (), {}, "POST", "/rollback", {"undo": True}),
    ("branches", (), {}, "GET", "/branches", None),
    ("compare", ("c d",), {}, "GET", "/compare?with=c+d", None),
    ("merge", ("other",), {"on_conflict": "ours"}, "POST", "/merge",
     {"from": "other", "on_conflict": "ours"}),
    ("share", (), {"name": "s"}, "POST", "/share", {"name": "s"}),
    ("shares", (), {}, "GET", "/share", None),
    ("unshare", (2,), {}, "DELETE", "/share/2", None),
    ("window", (), {"message": "hi", "tokens": 5}, "GET", "/window?message=hi&tokens=5", None),
    ("epochs", (), {}, "GET", "/epochs", None),
    ("summaries", (), {}, "GET", "/summaries", None),
    ("recall", ("who?",), {"limit": 3, "by": "words"}, "GET", "/recall?q=who%3F&limit=3&by=words",
     None),
    ("pins", (), {}, "GET", "/pins", None),
    ("pin", (4,), {}, "PUT", "/pins/4", None),
    ("unpin", (4,), {}, "DELETE", "/pins/4", None),
    ("notes", (), {}, "GET", "/notes", None),
    ("note", ("tea",), {"kind": "fact"}, "POST", "/notes", {"value": "tea", "kind": "fact"}),
    ("forget_note", (1,), {}, "DELETE", "/notes/1", None),
    ("redact", (), {"all": True}, "POST", "/redact", {"all": True}),
]
LISTS = {
    name: [{"it": name}]
    for name in ("checkpoints", "shares", "epochs", "summaries", "recalled", "pins", "notes")
}
ANSWER = {
    "id": "a/b",
    "revision": 5,
    "messages": [{"seq": 1, "role": "user"}],
    "changes": [{"change": 1}],
    "next": "1",
    "text": "hello",
    **LISTS,
}


class Verbs(WithServer):
    def test_every_method_goes_where_the_api_has_it(self):
        server, client = self.serve(lambda request: body(ANSWER))
        for name, words, options, method, rest, sent in CALLS:
            with self.subTest(name):
                getattr(client.contexts, name)("a/b", *words, **options)
                seen = server.requests[-1]
                self.assertEqual((seen.method, seen.path), (method, PATH + rest))
                self.assertEqual(json.loads(seen.body) if seen.body else None, sent)

    def test_what_comes_back_has_its_shape(self):
        _, client = self.serve(lambda request: body(ANSWER))
        contexts = client.contexts
        self.assertEqual(contexts.append("c", [])[0].role, "user")
        self.assertEqual(contexts.fork("c").id, "a/b")
        self.assertEqual(contexts.rollback("c", to=1).revision, 5)
        history = contexts.state_history("c")
        self.assertEqual((history.items, history.next_cursor), ([{"change": 1}], "1"))
        for method, key in (("checkpoints", "checkpoints"), ("pins", "pins"), ("notes", "notes")):
            self.assertEqual(getattr(contexts, method)("c"), LISTS[key])
        self.assertEqual(contexts.recall("c", "q"), LISTS["recalled"])

    def test_a_change_may_expect_a_revision(self):
        server, client = self.serve(lambda request: body(ANSWER))
        contexts = client.contexts
        for call in (
            lambda: contexts.patch_state("c", {}, revision=3),
            lambda: contexts.replace_state("c", {}, revision=3),
            lambda: contexts.restore_state("c", change=1, revision=3),
            lambda: contexts.rollback("c", 3, to=1),
            lambda: contexts.merge("c", "d", revision=3),
            lambda: contexts.append("c", [], revision=3),
        ):
            call()
            self.assertEqual(server.requests[-1].headers["if-match"], '"3"')
        contexts.patch_state("c", {})
        self.assertNotIn("if-match", server.requests[-1].headers)


class Streams(WithServer):
    def stream(self, text):
        head = {"content-type": "text/event-stream"}
        return self.serve(lambda request: (200, head, text.encode()))

    def test_events_come_until_the_end(self):
        server, client = self.stream('event: message\ndata: {"seq": 4}\n\nevent: end\ndata: {}\n\n')
        with client.contexts.events("c", after=3) as events:
            seen = [(event.type, event.data.get("seq")) for event in events]
        self.assertEqual(seen, [("message", 4), ("end", None)])
        self.assertEqual(server.requests[0].path, "/api/v1/contexts/c/events?after=3")

    def test_events_that_are_cut_are_no_end(self):
        _, client = self.stream('event: message\ndata: {"seq": 4}\n\n')
        with self.assertRaises(mcp_client.LostError):
            list(client.contexts.events("c"))
        _, client = self.stream("event: message\ndata: {\n\n")
        with self.assertRaises(mcp_client.InvalidJSONError):
            list(client.contexts.events("c"))

    def test_a_turn_is_gone_on_with(self):
        server, client = self.stream('event: done\ndata: {"turn": 2, "text": "whole"}\n\n')
        stream = client.contexts.resume("c", 2, after=5)
        self.assertEqual([event.type for event in stream], ["done"])
        self.assertEqual(stream.turn.text, "whole")
        self.assertEqual(server.requests[0].path, "/api/v1/contexts/c/turns/2/stream?after=5")


class Documents(WithServer):
    def test_a_document_comes_whole_or_into_a_file(self):
        server, client = self.serve(lambda request: (200, {"content-type": "x"}, b"\x00\xff" * 9))
        self.assertEqual(client.contexts.export("c", format="jsonl"), b"\x00\xff" * 9)
        self.assertEqual(server.requests[0].path, "/api/v1/contexts/c/export?format=jsonl")
        to = io.BytesIO()
        self.assertEqual(client.contexts.export("c", to=to), 18)
        self.assertEqual(to.getvalue(), b"\x00\xff" * 9)

    def test_a_document_goes_in_as_it_is(self):
        server, client = self.serve(lambda request: body({"contexts": []}))
        lines = "application/x-ndjson"
        for document, media, sent in (
            (b'{"a": "\xc3\xbc"}', lines, b'{"a": "\xc3\xbc"}'),
            ('{"a": "ü"}', lines, '{"a": "ü"}'.encode()),
            ({"a": 1}, "application/json", b'{"a": 1}'),
        ):
            client.contexts.import_document(document, new_ids=True)
            seen = server.requests[-1]
            self.assertEqual(seen.path, "/api/v1/import?new_ids=true")
            self.assertEqual((seen.headers["content-type"], seen.body), (media, sent))


class Beside(WithServer):
    def test_kept_prompts_are_listed_and_filled_in(self):
        server, client = self.serve(lambda request: body({"prompts": [{"name": "trip"}]}))
        self.assertEqual(client.prompts(), [{"name": "trip"}])
        client.fill_prompt("a/b", {"city": "Rome"})
        client.fill_prompt("free")
        seen = server.requests
        self.assertEqual(
            [(r.method, r.path) for r in seen],
            [
                ("GET", "/api/v1/prompts"),
                ("POST", "/api/v1/prompts/a%2Fb"),
                ("POST", "/api/v1/prompts/free"),
            ],
        )
        self.assertEqual(json.loads(seen[1].body), {"arguments": {"city": "Rome"}})
        self.assertEqual(json.loads(seen[2].body), {"arguments": {}})

    def test_search_and_profiles(self):
        server, client = self.serve(lambda request: body({"hits": [{"seq": 3}], "revision": 1}))
        self.assertEqual(client.search("the ferry", limit=2), [{"seq": 3}])
        client.profiles.get("a/b")
        client.profiles.update("a/b", {"likes": None}, revision=1)
        client.profiles.delete("a/b")
        self.assertEqual(
            [(r.method, r.path) for r in server.requests],
            [
                ("GET", "/api/v1/search?q=the+ferry&limit=2"),
                ("GET", "/api/v1/profiles/a%2Fb"),
                ("PATCH", "/api/v1/profiles/a%2Fb"),
                ("DELETE", "/api/v1/profiles/a%2Fb"),
            ],
        )
        self.assertEqual(server.requests[2].headers["if-match"], '"1"')
