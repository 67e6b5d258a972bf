"""The whole life of state with the packages of OpenAI and Anthropic: openai_state.py HOST PORT."""

import sys
import time

import anthropic
import openai

host, port = sys.argv[1], int(sys.argv[2])
url = f"http://{host}:{port}"
client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0)

# A response, what it was asked, what follows it, twice.
first = client.responses.create(model="demo", input="hello", metadata={"topic": "trip"})
print(first.status, first.metadata["topic"])
again = client.responses.retrieve(first.id)
print(again.output_text == first.output_text)
branches = [
    client.responses.create(model="demo", input=text, previous_response_id=first.id)
    for text in ["one way", "another way"]
]
print([branch.previous_response_id == first.id for branch in branches])
items = client.responses.input_items.list(branches[1].id, limit=1, order="asc")
print([item.content[0].text for item in items])
print(client.responses.input_tokens.count(model="demo", input="hello").input_tokens > 0)
short = client.responses.compact(model="demo", input="Rome is old. It is large. It is in Italy.")
print([item.type for item in short.output])
with client.responses.stream(model="demo", input="hello") as stream:
    kinds = [event.type for event in stream]
    final = stream.get_final_response()
print(kinds[0], kinds[-1], client.responses.retrieve(final.id).output_text == final.output_text)

# In the background: polled, streamed again, cancelled when it is over.
later = client.responses.create(model="demo", input="hello", background=True)
while later.status in ("queued", "in_progress"):
    time.sleep(0.02)
    later = client.responses.retrieve(later.id)
print(later.status, client.responses.cancel(later.id).status)
events = list(client.responses.retrieve(later.id, stream=True))
rest = list(client.responses.retrieve(later.id, stream=True, starting_after=2))
print(events[-1].type, len(events) - len(rest))
try:
    client.responses.cancel(first.id)
except openai.BadRequestError as error:
    print(error.code)
client.responses.delete(first.id)
try:
    client.responses.retrieve(first.id)
except openai.NotFoundError as error:
    print(error.code)

# A conversation, item by item.
message = {"type": "message", "role": "user", "content": "we met in Rome"}
conversation = client.conversations.create(items=[message], metadata={"a": "1"})
answer = client.responses.create(model="demo", input="hello", conversation=conversation.id)
print(answer.conversation.id == conversation.id)
client.conversations.items.create(conversation.id, items=[{**message, "content": "and then"}])
listed = list(client.conversations.items.list(conversation.id, limit=2, order="asc"))
print([item.role for item in listed])
one = client.conversations.items.retrieve(listed[0].id, conversation_id=conversation.id)
print(one.content[0].text)
client.conversations.items.delete(listed[0].id, conversation_id=conversation.id)
print(len(list(client.conversations.items.list(conversation.id))))
print(client.conversations.update(conversation.id, metadata={"b": "2"}).metadata)
print(client.conversations.delete(conversation.id).deleted)

# Anthropic's threads.
claude = anthropic.Anthropic(base_url=url, api_key="none", max_retries=0)
ask = {"model": "demo", "max_tokens": 50, "betas": ["message-threads-2026-08-12"]}
said = [{"role": "user", "content": "Book me a flight."}]
opened = claude.beta.messages.create(**ask, messages=said, thread={"type": "create"})
said = [{"role": "user", "content": "Make it next Tuesday."}]
thread = {"type": "continue", "previous_message_id": opened.id}
print(claude.beta.messages.create(**ask, messages=said, thread=thread).role)
try:
    thread = {"type": "continue", "previous_message_id": "msg_nobody"}
    claude.beta.messages.create(**ask, messages=said, thread=thread)
except anthropic.NotFoundError as error:
    print(error.body["error"]["details"]["error_code"])
