"""Talks with every vendor's package to one upstream: every_client.py HOST PORT MODEL.

Prints a line for each client: its name, then `text`, `stream` and `tool` as each worked.
"""

import sys

import anthropic
import cohere
import ollama
import openai
from google import genai
from google.genai import types

host, port, model = sys.argv[1], int(sys.argv[2]), sys.argv[3]
url = f"http://{host}:{port}"
HELLO, WANTED = "hello", "good day to you"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
FUNCTION = {"type": "function", "function": {
    "name": "look", "description": "the weather", "parameters": SCHEMA}}


def said(name, **found):
    """One line: what worked, and what came instead."""
    right = {word: seen == wanted for word, (seen, wanted) in found.items()}
    words = [word if right[word] else f"{word}={found[word][0]!r}" for word in found]
    print(name, *words, flush=True)


def asked(text):
    return [{"role": "user", "content": text}]


def with_anthropic():
    client = anthropic.Anthropic(base_url=url, api_key="none")
    ask = {"model": model, "max_tokens": 50}
    text = client.messages.create(**ask, messages=asked(HELLO)).content[0].text
    with client.messages.stream(**ask, messages=asked(HELLO)) as stream:
        streamed = "".join(stream.text_stream)
    tools = [{"name": "look", "description": "the weather", "input_schema": SCHEMA}]
    reply = client.messages.create(**ask, messages=asked("use a tool"), tools=tools)
    call = next(block for block in reply.content if block.type == "tool_use")
    said("anthropic", text=(text, WANTED), stream=(streamed, WANTED),
         tool=((call.name, call.input, reply.stop_reason), ("look", {"city": "Rome"}, "tool_use")))


def with_openai():
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    chat = client.chat.completions
    text = chat.create(model=model, messages=asked(HELLO)).choices[0].message.content
    chunks = chat.create(model=model, messages=asked(HELLO), stream=True)
    streamed = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    reply = chat.create(model=model, messages=asked("use a tool"), tools=[FUNCTION]).choices[0]
    call = reply.message.tool_calls[0].function
    said("openai", text=(text, WANTED), stream=(streamed, WANTED),
         tool=((call.name, call.arguments.replace(" ", "")), ("look", '{"city":"Rome"}')))


def with_responses():
    responses = openai.OpenAI(base_url=f"{url}/v1", api_key="none").responses
    first = responses.create(model=model, input=HELLO)
    with responses.stream(model=model, input=HELLO, previous_response_id=first.id) as stream:
        streamed = "".join(e.delta for e in stream if e.type == "response.output_text.delta")
        second = stream.get_final_response()
    kept = responses.retrieve(second.id)
    look = {"type": "function", "name": "look", "description": "the weather", "parameters": SCHEMA}
    reply = responses.create(
        model=model, input="use a tool", previous_response_id=second.id, tools=[look])
    call = next(item for item in reply.output if item.type == "function_call")
    said("responses", text=(first.output_text, WANTED), stream=(streamed, WANTED),
         kept=(kept.output_text, WANTED),
         tool=((call.name, call.arguments.replace(" ", "")), ("look", '{"city":"Rome"}')))


def with_google():
    client = genai.Client(api_key="none", http_options={"base_url": url})
    text = client.models.generate_content(model=model, contents=HELLO).text
    chunks = client.models.generate_content_stream(model=model, contents=HELLO)
    streamed = "".join(chunk.text or "" for chunk in chunks)
    declared = types.FunctionDeclaration(
        name="look", description="the weather", parameters_json_schema=SCHEMA)
    config = types.GenerateContentConfig(
        tools=[types.Tool(function_declarations=[declared])],
        automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True))
    reply = client.models.generate_content(model=model, contents="use a tool", config=config)
    call = reply.function_calls[0]
    said("google-genai", text=(text, WANTED), stream=(streamed, WANTED),
         tool=((call.name, call.args), ("look", {"city": "Rome"})))


def with_ollama():
    client = ollama.Client(host=url)
    text = client.chat(model=model, messages=asked(HELLO)).message.content
    chunks = client.chat(model=model, messages=asked(HELLO), stream=True)
    streamed = "".join(chunk.message.content or "" for chunk in chunks)
    reply = client.chat(model=model, messages=asked("use a tool"), tools=[FUNCTION])
    call = reply.message.tool_calls[0].function
    generated = client.generate(model=model, prompt=HELLO).response
    said("ollama", text=(text, WANTED), stream=(streamed, WANTED), generate=(generated, WANTED),
         tool=((call.name, dict(call.arguments)), ("look", {"city": "Rome"})))


def with_cohere():
    client = cohere.ClientV2(api_key="none", base_url=url)
    texts = ["the sea is deep", "bread needs flour", "flour and water make bread dough"]
    ranked = client.rerank(model="lexical-rerank", query="how to make bread", documents=texts)
    embedded = client.embed(model="hash-embed", texts=texts, input_type="search_document",
                            embedding_types=["float"])
    text = client.chat(model=model, messages=asked(HELLO)).message.content[0].text
    events = client.chat_stream(model=model, messages=asked(HELLO))
    pieces = [event.delta.message.content.text for event in events if event.type == "content-delta"]
    reply = client.chat(model=model, messages=asked("use a tool"), tools=[FUNCTION])
    call = reply.message.tool_calls[0].function
    called = (call.name, call.arguments.replace(" ", ""), reply.finish_reason)
    said("cohere", rerank=(ranked.results[0].index, 2), embed=(len(embedded.embeddings.float_), 3),
         text=(text, WANTED), stream=("".join(pieces), WANTED),
         tool=(called, ("look", '{"city":"Rome"}', "TOOL_CALL")))


EVERY = (with_anthropic, with_openai, with_responses, with_google, with_ollama, with_cohere)
for one in EVERY:
    try:
        one()
    except Exception as error:  # The table shows what broke, and goes on.
        print(one.__name__, "BROKE", type(error).__name__, str(error)[:300], flush=True)
