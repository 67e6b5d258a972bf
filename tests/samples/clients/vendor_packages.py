"""Talks with the packages of Anthropic and OpenAI: vendor_packages.py HOST PORT."""

import sys

import anthropic
import openai

host, port = sys.argv[1], int(sys.argv[2])
url = f"http://{host}:{port}"

claude = anthropic.Anthropic(base_url=url, api_key="none")
ask = {"model": "demo", "max_tokens": 50, "messages": [{"role": "user", "content": "hello"}]}
print(claude.messages.create(**ask).content[0].text)
with claude.messages.stream(**ask) as stream:
    print("".join(stream.text_stream))
    print(stream.get_final_message().stop_reason)
print("demo" in [model.id for model in claude.models.list()])
try:
    claude.messages.create(**{**ask, "model": "none-such"})
except anthropic.NotFoundError as error:
    print(error.body["error"]["type"])

chat = openai.OpenAI(base_url=f"{url}/v1", api_key="none").chat.completions
ask = {"model": "demo", "messages": [{"role": "user", "content": "hello"}]}
print(chat.create(**ask).choices[0].message.content)
chunks = [c.choices[0].delta.content or "" for c in chat.create(**ask, stream=True) if c.choices]
print("".join(chunks))
for text in ["Book me a flight.", "Make it next Tuesday."]:
    said = [{"role": "user", "content": text}]
    kept = {"X-Rapport-Context": "vendor-packages"}
    reply = chat.create(model="demo", messages=said, extra_headers=kept)
    print(reply.choices[0].message.content.partition(".")[0])
try:
    chat.create(**{**ask, "model": "none-such"})
except openai.NotFoundError as error:
    print(error.code)
