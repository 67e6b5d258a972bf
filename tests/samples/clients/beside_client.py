"""What vendors' packages do beside conversations: beside_client.py HOST PORT.

Prints a line for each package: its name, then what worked; what did not says what came instead.
"""

import io
import json
import sys

import anthropic
import cohere
import ollama
import openai
from google import genai

host, port = sys.argv[1], int(sys.argv[2])
url = f"http://{host}:{port}"
TEXTS = ["the sea is deep", "bread needs flour"]
PROMPT = [{"role": "user", "content": "hello"}]
WANTED = "good day to you"


def said(name, **found):
    """One line: what worked, and what came instead."""
    right = {word: seen == wanted for word, (seen, wanted) in found.items()}
    words = [word if right[word] else f"{word}={found[word][0]!r}" for word in found]
    print(name, *words, flush=True)


def vectors(client, model):
    rows = client.embeddings.create(model=model, input=TEXTS).data
    return [row.embedding for row in rows]


def with_openai():
    chosen = {"x-rapport-provider": "up-openai_chat"}
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="none", default_headers=chosen)
    free = openai.OpenAI(base_url=f"{url}/v1", api_key="none")
    own = vectors(free, "up-openai_chat/e")
    others = [vectors(free, f"up-{name}/e") for name in ("gemini", "ollama_chat", "cohere_chat")]
    close = [all(abs(a - b) < 1e-6 for one, two in zip(own, other) for a, b in zip(one, two))
             for other in others]
    # "hello world" in the tokens of cl100k_base, for models that read texts only.
    tokens, text = [free.embeddings.create(model="hash-embed", input=given).data[0].embedding
                    for given in ([[15339, 1917]], ["hello world"])]
    flagged = free.moderations.create(model="up-openai_chat/m", input="violence").results[0].flagged
    drawn = free.images.generate(model="up-openai_chat/i", prompt="a cat").data[0].b64_json
    spoken = free.audio.speech.create(model="up-openai_chat/t", voice="alloy", input="hi").read()
    sound = ("a.wav", io.BytesIO(b"RIFF" * 1000))
    heard = free.audio.transcriptions.create(model="up-openai_chat/w", file=sound).text
    call = {"custom_id": "one", "method": "POST", "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": PROMPT}}
    file = client.files.create(
        file=("calls.jsonl", json.dumps(call).encode()), purpose="batch")
    listed = file.id in [one.id for one in client.files.list()]
    batch = client.batches.create(
        input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    batch = client.batches.retrieve(batch.id)
    line = json.loads(client.files.content(batch.output_file_id).text)
    answered = line["response"]["body"]["choices"][0]["message"]["content"]
    gone = client.files.delete(file.id).deleted
    said("openai", embed=((len(own), len(own[0])), (2, 8)), translated=(close, [True] * 3),
         tokens=(tokens, text), moderate=(flagged, True), draw=(drawn[:8], "iVBORw0K"),
         speak=(spoken[-2:], b"hi"), hear=(heard, "4000 bytes of a.wav"),
         files=((listed, gone), (True, True)),
         batch=((line["custom_id"], answered), ("one", WANTED)))


def with_anthropic():
    chosen = {"x-rapport-provider": "up-anthropic"}
    client = anthropic.Anthropic(base_url=url, api_key="none", default_headers=chosen)
    batches = client.messages.batches
    params = {"model": "m", "max_tokens": 9, "messages": PROMPT}
    made = batches.create(requests=[{"custom_id": "one", "params": params}])
    state = batches.retrieve(made.id)
    # The address of the results is ours: the package would go elsewhere with our key.
    results = [(one.custom_id, one.result.message.content[0].text)
               for one in batches.results(made.id)]
    ours = state.results_url.startswith(url)
    listed = made.id in [one.id for one in batches.list()]
    gone = batches.delete(made.id).type
    file = client.beta.files.upload(file=("a.txt", b"hello", "text/plain"))
    kept = client.beta.files.retrieve_metadata(file.id).size_bytes
    client.beta.files.delete(file.id)
    left = [one.id for one in client.beta.files.list() if one.id == file.id]
    said("anthropic",
         batch=((results, ours, listed, gone),
                ([("one", WANTED)], True, True, "message_batch_deleted")),
         files=((kept, left), (5, [])))


def with_google():
    client = genai.Client(api_key="none", http_options={"base_url": url})
    made = client.models.embed_content(model="up-gemini/e", contents=TEXTS).embeddings
    said("google-genai", embed=([len(one.values) for one in made], [8, 8]))


def with_ollama():
    made = ollama.Client(host=url).embed(model="up-ollama_chat/e", input=TEXTS).embeddings
    said("ollama", embed=([len(one) for one in made], [8, 8]))


def with_cohere():
    client = cohere.ClientV2(api_key="none", base_url=url)
    made = client.embed(model="up-cohere_chat/e", texts=TEXTS, input_type="search_document",
                        embedding_types=["float"]).embeddings.float_
    ranked = client.rerank(model="up-cohere_chat/r", query="flour", documents=TEXTS, top_n=1)
    said("cohere", embed=([len(one) for one in made], [8, 8]),
         rerank=([one.index for one in ranked.results], [1]))


for one in (with_openai, with_anthropic, with_google, with_ollama, with_cohere):
    try:
        one()
    except Exception as error:  # The table shows what broke, and goes on.
        print(one.__name__, "BROKE", type(error).__name__, str(error)[:300], flush=True)
