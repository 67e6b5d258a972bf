"""The Python package `mcp` 2.x against a server of ours, in either era."""

import asyncio
import contextlib

import mcp_types as types
from mcp import Client, MCPError
from mcp.client.stdio import StdioServerParameters
from plan import Report, arguments, pause, target

report = Report()
updates = asyncio.Queue()


async def heard(message):
    if getattr(message, "method", None) == "notifications/resources/updated":
        await updates.put(str(message.params.uri))


def connected():
    url, command, mode = target()
    server = url or StdioServerParameters(command=command[0], args=command[1:])
    return Client(server, mode=mode, message_handler=heard, read_timeout_seconds=45, cache=None)


async def tools(client):
    listed = (await client.list_tools()).tools
    names = {tool.name for tool in listed}
    report.check("tools/list", {"context_create", "context_send", "model_list"} <= names, names)
    made = await client.call_tool("context_create", {"title": "Plan"})
    context = made.structured_content["id"]
    report.check("context_create", not made.is_error and context, made)
    other = (await client.call_tool("context_create", {})).structured_content["id"]
    for tool in listed:
        if tool.name in ("context_create", "context_delete"):
            continue
        result = await client.call_tool(tool.name, arguments(tool.input_schema, context, other))
        report.check(tool.name, not result.is_error and result.content, result)
    gone = await client.call_tool("context_delete", {"id": other})
    report.check("context_delete", not gone.is_error, gone)
    wrong = await client.call_tool("context_get", {"id": "no-such-context"})
    report.check("a failure is a result", wrong.is_error, wrong)
    return context


async def kept_prompts(client):
    """The prompt of the configuration, with a default, and without what must be given."""
    listed = {prompt.name: prompt for prompt in (await client.list_prompts()).prompts}
    review = listed.get("review")
    required = {one.name: bool(one.required) for one in review.arguments} if review else None
    report.check("a kept prompt", required == {"change": True, "language": False}, listed)
    filled = await client.get_prompt("review", {"change": "let x = 5;"})
    said = " ".join(message.content.text for message in filled.messages)
    whole = "reviewer of Rust" in said and "Review this: let x = 5;" in said
    report.check("a kept prompt, filled in", whole, filled)
    reference = types.PromptReference(type="ref/prompt", name="review")
    done = await client.complete(reference, {"name": "language", "value": "R"})
    report.check("a default, completed", done.completion.values == ["Rust"], done)
    try:
        await client.get_prompt("review", {"language": "C"})
        report.check("an argument left out", False)
    except MCPError as error:
        named = error.error.code == -32602 and "change" in error.error.message
        report.check("an argument left out", named, error)


async def everything(client):
    context = await tools(client)
    uri = f"rapport://context/{context}"
    listed = (await client.list_resources()).resources
    report.check("resources/list", uri in {str(resource.uri) for resource in listed}, listed)
    templates = (await client.list_resource_templates()).resource_templates
    report.check("resources/templates/list", templates, templates)
    read = await client.read_resource(uri)
    report.check("resources/read", "Hello" in read.contents[0].text, read)
    try:
        await client.read_resource("rapport://context/none")
        report.check("a missing resource", False)
    except MCPError as error:
        report.check("a missing resource", error.error.code in (-32002, -32602), error)
    prompts = (await client.list_prompts()).prompts
    report.check("prompts/list", prompts, prompts)
    prompt = await client.get_prompt("continue_context", {"id": context})
    report.check("prompts/get", "Hello" in prompt.messages[-1].content.text, prompt)
    reference = types.PromptReference(type="ref/prompt", name="continue_context")
    done = await client.complete(reference, {"name": "id", "value": context[:4]})
    report.check("completion/complete", context in done.completion.values, done)
    await kept_prompts(client)
    return context, uri


async def touched(client, context, next_update):
    """A change of the resource is told; it may take more than one try while streams open."""
    for _ in range(20):
        await client.call_tool("context_append", {"id": context, "content": "more"})
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(1.5):
                return await next_update()
    return None


async def subscribed(client, context, uri, modern):
    if not modern:
        await client.subscribe_resource(uri)
        return await touched(client, context, updates.get) == uri
    async with client.listen(resource_subscriptions=[uri]) as events:
        told = await touched(client, context, events.__anext__)
        return str(getattr(told, "uri", "")) == uri


async def main():
    async with connected() as client:
        report.check("connect", client.server_info.name == "rapport", client.server_info)
        modern = client.protocol_version >= "2026"
        wanted = target()[2] == "auto"
        report.check("the era", modern == wanted, client.protocol_version)
        context, uri = await everything(client)
        told = await subscribed(client, context, uri, modern)
        report.check("a subscription", told, "no update came")
        pause("RESTART")
        again = await client.call_tool("context_get", {"id": context})
        report.check("after a restart", not again.is_error and again.structured_content, again)
        told = await subscribed(client, context, uri, modern)
        report.check("a subscription after it", told, "no update came")
    report.end()


asyncio.run(main())
