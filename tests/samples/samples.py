"""The documented clients, what each is asked to do, and what it has to get.

The numbers are those of the catalogue of acceptance tests.
"""

import ast
import json
import re
import uuid

import expect
import matrix

HELLO = "Hello there! How can I help you today?"
TUESDAY = "Got it, a flight for next Tuesday. Any specific time or airline?"
WINDOW = "Noted, window seat preference for your flight."
MISSING = {"error": "Message content is required"}
UNKNOWN = {"error": "Context not found"}


def s05_probe(world):
    seen = world.run("probe.sh", host="localhost")
    pattern = rf"Connection to localhost .*{world.port} port \[tcp/.*\] succeeded!"
    expect.holds(re.search(pattern, seen.text), "nc finds the port", seen.text)
    expect.equal(seen.code, 0, "the exit code")
    down = world.run("probe.sh", host="localhost", port=world.closed_port)
    expect.holds("Connection refused" in down.text, "nc is refused", down.text)
    expect.equal(down.code, 1, "the exit code")


def s06_telnet(world):
    seen = world.run("telnet_connect.sh", host="localhost")
    expect.holds("Connected to localhost" in seen.out, "telnet connects", seen.out)
    after = seen.out.partition("Escape character is '^]'.")[2]
    expect.equal(after.strip(), "", "what the server says first")


def s07_telnet_http(world):
    seen = world.run("telnet_http.sh", host="localhost")
    answer = seen.out.partition("Escape character is '^]'.")[2].lstrip()
    head, _, body = answer.partition("\n\n")
    expect.holds(head.startswith("HTTP/1.1 200 "), "an HTTP/1.1 answer", answer)
    length = re.search(r"(?im)^content-length: *(\d+)$", head)
    expect.holds(length, "the answer has a length", head)
    expect.equal(len(body.encode()), int(length.group(1)), "the bytes of the body")
    expect.holds(isinstance(json.loads(body), dict), "an index of the endpoints", body)


def s13_health(world):
    health = expect.answer(world.run("health.sh").out, 200)
    expect.equal(health.get("status"), "ok", "`status`")
    expect.holds({"checks", "version"} <= set(health), "checks and version", health)


def s14_status(world):
    status = expect.answer(world.run("status.sh").out, 200)
    wanted = {"status", "version", "protocol_versions", "uptime_seconds", "sessions"}
    expect.holds(wanted <= set(status), f"the keys {sorted(wanted)}", status)
    expect.equal(status["status"], "running", "`status`")


def s15_interact(world):
    expect.includes(
        expect.answer(world.run("interact.sh").out, 200),
        {
            "sessionId": "123",
            "response": "Echo from MCP server (session 123): You said 'hello'. Context updated.",
            "updatedContext": {"user": "Alice", "last_message": "hello"},
        },
    )


def s17_requests(world):
    seen = world.python("interact_requests.py")
    title, _, printed = seen.out.partition("\n")
    expect.equal(title, "Response from MCP server:", "the first line")
    question = "What is the capital of France?"
    expect.includes(
        ast.literal_eval(printed.strip()),
        {
            "sessionId": "456",
            "response": f"Echo from MCP server (session 456): You said '{question}'. "
            "User user_alpha is active. Current topic: geography. Context updated.",
            "updatedContext": {
                "user_id": "user_alpha",
                "topic": "geography",
                "last_message": question,
            },
        },
    )
    down = world.python("interact_requests.py", port=world.closed_port)
    url = f"http://127.0.0.1:{world.closed_port}/api/mcp/interact"
    expect.equal(down.out, f"Error: Could not connect to {url}. Is the service running?\n")


def s18_hello(world):
    seen = world.python("hello_socket.py")
    prefix = "Received from MCP server: "
    expect.holds(seen.out.startswith(prefix), f"`{prefix}`", seen.out)
    said = seen.out[len(prefix) :].strip()
    expect.equal(said, "MCP_HELLO_RESPONSE: SESSION_ID=789 STATUS=OK VERSION=1.0", "the greeting")
    down = world.python("hello_socket.py", port=world.closed_port)
    target = f"127.0.0.1:{world.closed_port}"
    expect.equal(down.out, f"Error: Connection refused. Is a service running on {target}?\n")


def s19_axios(world):
    seen = world.node("interact_axios.mjs")
    title, _, printed = seen.out.partition("\n")
    expect.equal(title, "Response from MCP server:", "the first line")
    message = "Tell me a story about a dragon."
    expect.includes(
        json.loads(printed),
        {
            "sessionId": "789",
            "response": f"Echo from MCP server (session 789): You said '{message}'. "
            "Context updated.",
            "updatedContext": {"userId": "user_beta", "genre": "fantasy", "last_message": message},
        },
    )
    down = world.node("interact_axios.mjs", port=world.closed_port)
    url = f"http://127.0.0.1:{world.closed_port}/api/mcp/interact"
    expect.equal(down.out, f"Error: Connection refused. Is the service running on {url}?\n")


def s20_net(world):
    seen = world.node("init_net.mjs", host="localhost")
    lines = [line for line in seen.out.splitlines() if line]
    expect.equal(
        lines,
        [
            "Connected to MCP server!",
            "Received: MCP_INIT_ACK: SESSION_ID=101 STATUS=OK VERSION=1.0",
            "Disconnected from MCP server",
        ],
        "the lines",
    )
    down = world.node("init_net.mjs", host="localhost", port=world.closed_port)
    target = f"localhost:{world.closed_port}"
    expect.equal(down.out, f"Error: Connection refused. Is a service running on {target}?\n")


def s21_free_text(world):
    seen = world.run("free_text.sh", host="localhost")
    expect.equal(seen.out, "ERROR: Invalid JSON format\n", "what nc prints until it ends")


def s22_headers(world):
    seen = world.run("headers.sh")
    expect.holds(re.search(r"(?m)^< HTTP/1\.1 200", seen.err), "the status line", seen.err)
    pattern = r"(?im)^< content-type: application/json"
    expect.holds(re.search(pattern, seen.err), "the type of the answer", seen.err)


def s24_sessions(world):
    expect.golden(world.python("sessions_socket.py").out, "sessions_socket")
    down = world.python("sessions_socket.py", port=world.closed_port).out.splitlines()[1]
    target = f"127.0.0.1:{world.closed_port}"
    text = f"Error: Connection refused. Is the MCP server running on {target}?"
    expect.equal(down, f"[session_alpha] {text}")


def s42_create(world):
    created = expect.answer(world.run("context_create.sh").out, 201)
    expect.equal(created.get("message"), "New context created", "`message`")
    expect.equal(str(uuid.UUID(created["context_id"])), created["context_id"], "`context_id`")
    world.context = created["context_id"]


def s43_message(world):
    said = expect.answer(world.run("context_message.sh", world.context).out, 200)
    expect.includes(said, {"context_id": world.context, "ai_response": HELLO})


def s44_get(world):
    context = expect.answer(world.run("context_get.sh", world.context).out, 200)
    wanted = {"id", "created_at", "messages", "state", "last_updated"}
    expect.holds(wanted <= set(context), f"the keys {sorted(wanted)}", context)
    said = [(message["role"], message["content"]) for message in context["messages"]]
    question = "Hello, can you help me plan a trip?"
    expect.equal(said, [("user", question), ("assistant", HELLO)], "the messages")


def s45_delete(world):
    deleted = expect.answer(world.run("context_delete.sh", world.context).out, 200)
    expect.includes(deleted, {"message": f"Context '{world.context}' deleted"})
    again = expect.answer(world.run("context_delete.sh", world.context).out, 404)
    expect.includes(again, UNKNOWN)


def s46_wget(world):
    seen = world.run("wget_health.sh")
    expect.equal(json.loads(seen.out).get("status"), "ok", "`status`")


def s47_trip(world):
    words = expect.golden(world.python("trip_requests.py").out, "trip_requests")
    expect.equal(str(uuid.UUID(words["id"])), words["id"], "the id")


def s48_one_store(world):
    """A conversation begun over TCP is read, continued and deleted over REST."""
    name = "session_alpha"
    context = expect.answer(world.run("context_get.sh", name).out, 200)
    expect.equal(context["id"], name, "`id`")
    expect.equal([m["role"] for m in context["messages"]], ["user", "assistant"] * 3, "the roles")
    expect.includes(context["state"], {"user_id": "john_doe", "topic": "environment"})
    said = expect.answer(world.run("context_message.sh", name).out, 200)
    expect.equal(said["ai_response"], HELLO, "`ai_response`")
    expect.answer(world.run("context_delete.sh", name).out, 200)
    expect.includes(expect.answer(world.run("context_get.sh", name).out, 404), UNKNOWN)


def s49_order_of_checks(world):
    known = expect.answer(world.run("context_create.sh").out, 201)["context_id"]
    for context in (known, "no-such-context"):
        for body in ("{}", '{"text": "hi"}'):
            seen = world.run("context_message.sh", context, body)
            expect.includes(expect.answer(seen.out, 400), MISSING)
    seen = world.run("context_message.sh", "no-such-context", '{"message": "hi"}')
    expect.includes(expect.answer(seen.out, 404), UNKNOWN)


def s50_rules(world):
    without, travel = (
        expect.answer(world.run("context_create.sh").out, 201)["context_id"] for _ in range(2)
    )

    def check(context, message, wanted):
        seen = world.run("context_message.sh", context, json.dumps({"message": message}))
        expect.equal(expect.answer(seen.out, 200)["ai_response"], wanted, f"to `{message}`")

    def acknowledged(context, message):
        after = f"How can I further assist you with the context ID '{context}'?"
        check(context, message, f"Acknowledged: '{message}'. {after}")

    check(without, "HELLO there", HELLO)
    acknowledged(without, "Make it next Tuesday")
    acknowledged(without, "A window seat, please")
    acknowledged(travel, "Book a Flight to Oslo")
    check(travel, "make it NEXT TUESDAY", TUESDAY)
    check(travel, "and a Window Seat", WINDOW)
    check(travel, "hello, a window seat next Tuesday", HELLO)


def check_desktop(text, port):
    words = expect.golden(text, "desktop")
    expect.equal(words["port"], str(port), "the port")
    expect.holds(10 < len(words["summary"]) < 273, "a summary that is shorter", words["summary"])
    prompt = words["prompt"].lower()
    expect.holds("sci-fi" in prompt and "medium" in prompt, "a prompt of both words", prompt)


def s53_desktop(world):
    check_desktop(world.python("desktop.py", host="localhost").err, world.port)
    down = world.python("desktop.py", host="localhost", port=world.closed_port).err
    target = f"localhost:{world.closed_port}"
    lines = down.splitlines()
    expect.equal(len(lines), 3, "the number of lines")
    expect.holds(
        lines[1].startswith("ERROR:root:Failed to connect to Claude desktop: Connection refused."),
        "the failure",
        lines[1],
    )
    text = f"Please ensure Claude desktop is running and listening on {target}."
    expect.equal(lines[2], f"ERROR:root:{text}", "the advice")


def s53_desktop_619009(world):
    """The same program with the impossible port, which the library maps, with one warning."""
    lines = world.python_mapped("desktop.py", 619009).err.splitlines()
    warnings = [line for line in lines if line.startswith("WARNING:mcp_client:")]
    expect.equal(len(warnings), 1, "the number of warnings")
    expect.holds("619009" in warnings[0], "a warning that names the number", warnings[0])
    check_desktop("\n".join(line for line in lines if line not in warnings), 619009)


def s54_handshake(world):
    seen = world.python("handshake_socket.py")
    answer = b"MCP/1.0 101 Switching Protocols\r\nConnection: Upgrade\r\n\r\n"
    expect.equal(seen.out, f"Received raw data from server: {answer}\n")
    down = world.python("handshake_socket.py", port=world.closed_port)
    target = f"127.0.0.1:{world.closed_port}"
    hint = "Is the Claude desktop service active and listening?"
    expect.equal(down.out, f"Connection refused by {target}. {hint}\n")


def m01_vendor_packages(world):
    seen = world.python("vendor_packages.py")
    expected = [
        HELLO, HELLO, "end_turn", "True", "not_found_error",
        HELLO, HELLO, "Acknowledged: 'Book me a flight", TUESDAY.partition(".")[0],
        "model_not_found",
    ]
    expect.equal(seen.out.splitlines(), expected)


def m04_state(world):
    seen = world.python("openai_state.py")
    expected = [
        "completed trip", "True", "[True, True]", f"['hello', '{HELLO}', 'another way']", "True",
        "['message', 'compaction']",
        "response.created response.completed True",
        "completed completed", "response.completed 3", "invalid_input", "not_found",
        "True", "['user', 'user', 'assistant', 'user']", "we met in Rome", "3",
        "{'b': '2'}", "True",
        "assistant", "thread_not_found",
    ]
    expect.equal(seen.out.splitlines(), expected, seen.err)


#: Number, what is shown, what runs, and the programs it needs (Debian packages in brackets).
SAMPLES = [
    ("S05", "nc finds the port, or not", s05_probe, ["nc (netcat-openbsd)"]),
    ("S06", "telnet connects and sees silence", s06_telnet, ["telnet (telnet)"]),
    ("S07", "HTTP typed into telnet", s07_telnet_http, ["telnet (telnet)"]),
    ("S13", "curl: health", s13_health, ["curl (curl)"]),
    ("S14", "curl: status", s14_status, ["curl (curl)"]),
    ("S15", "curl: one message of a session", s15_interact, ["curl (curl)"]),
    ("S17", "Python requests: one message", s17_requests, []),
    ("S18", "Python socket: hello", s18_hello, []),
    ("S19", "Node axios: one message", s19_axios, ["node (nodejs)"]),
    ("S20", "Node net: init and end", s20_net, ["node (nodejs)"]),
    ("S21", "free text through nc, ended by the server", s21_free_text, ["nc (netcat-openbsd)"]),
    ("S22", "curl -v: headers", s22_headers, ["curl (curl)"]),
    ("S24", "Python socket: two sessions", s24_sessions, []),
    ("S42", "curl: create a context", s42_create, ["curl (curl)"]),
    ("S43", "curl: say hello in it", s43_message, ["curl (curl)"]),
    ("S44", "curl: read it", s44_get, ["curl (curl)"]),
    ("S45", "curl: delete it, twice", s45_delete, ["curl (curl)"]),
    ("S46", "wget: health", s46_wget, ["wget (wget)"]),
    ("S47", "Python requests: plan a trip", s47_trip, []),
    ("S48", "one store behind every door", s48_one_store, ["curl (curl)"]),
    ("S49", "curl: the body is checked first", s49_order_of_checks, ["curl (curl)"]),
    ("S50", "curl: the rules of the demo model", s50_rules, ["curl (curl)"]),
    ("S53", "mcp_client: summary and prompt", s53_desktop, []),
    ("S53", "mcp_client: the same with port 619009", s53_desktop_619009, []),
    ("S54", "Python socket: the handshake", s54_handshake, []),
    ("M01", "the packages of Anthropic and OpenAI", m01_vendor_packages, []),
    ("M04", "state, its whole life, with their packages", m04_state, []),
    ("M02", "every vendor's package before every upstream's API", matrix.m02_every_package, []),
    ("M05", "files, batches, pictures, sound, vectors: with their packages", matrix.m05_beside, []),
    ("M03", "Vercel's ai before every upstream's API", matrix.m03_vercel, ["node (nodejs)"]),
]
