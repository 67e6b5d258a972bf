"""The Python package `mcp` 1.x against a server of ours."""

import asyncio
import contextlib
import datetime

from mcp import ClientSession, StdioServerParameters, types
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError
from plan import Report, arguments, pause, target
from pydantic import AnyUrl

report = Report()
updates = asyncio.Queue()


async def heard(message):
    if isinstance(message, types.ServerNotification):
        await updates.put(message.root)


@contextlib.asynccontextmanager
async def connected():
    url, command, _ = target()
    if url:
        async with streamablehttp_client(url) as (read, write, _):
            async with opened(read, write) as session:
                yield session
    else:
        parameters = StdioServerParameters(command=command[0], args=command[1:])
        async with stdio_client(parameters) as (read, write):
            async with opened(read, write) as session:
                yield session


def opened(read, write):
    wait = datetime.timedelta(seconds=45)
    return ClientSession(read, write, read_timeout_seconds=wait, message_handler=heard)


async def updated(uri, session, context):
    """A change of the resource is told; it may take more than one try while streams open."""
    for _ in range(20):
        await session.call_tool("context_append", {"id": context, "content": "more"})
        with contextlib.suppress(asyncio.TimeoutError):
            async with asyncio.timeout(1.5):
                while True:
                    told = await updates.get()
                    if told.method == "notifications/resources/updated":
                        return str(told.params.uri) == uri
    return False


async def tools(session):
    listed = (await session.list_tools()).tools
    names = {tool.name for tool in listed}
    report.check("tools/list", {"context_create", "context_send", "model_list"} <= names, names)
    made = await session.call_tool("context_create", {"title": "Plan"})
    context = made.structuredContent["id"]
    report.check("context_create", not made.isError and context, made)
    other = (await session.call_tool("context_create", {})).structuredContent["id"]
    for tool in listed:
        if tool.name in ("context_create", "context_delete"):
            continue
        result = await session.call_tool(tool.name, arguments(tool.inputSchema, context, other))
        report.check(tool.name, not result.isError and result.content, result)
    gone = await session.call_tool("context_delete", {"id": other})
    report.check("context_delete", not gone.isError, gone)
    wrong = await session.call_tool("context_get", {"id": "no-such-context"})
    report.check("a failure is a result", wrong.isError, wrong)
    return context


async def kept_prompts(session):
    """The prompt of the configuration, with a default, and without what must be given."""
    listed = {prompt.name: prompt for prompt in (await session.list_prompts()).prompts}
    review = listed.get("review")
    required = {one.name: bool(one.required) for one in review.arguments} if review else None
    report.check("a kept prompt", required == {"change": True, "language": False}, listed)
    filled = await session.get_prompt("review", {"change": "let x = 5;"})
    said = " ".join(message.content.text for message in filled.messages)
    whole = "reviewer of Rust" in said and "Review this: let x = 5;" in said
    report.check("a kept prompt, filled in", whole, filled)
    reference = types.PromptReference(type="ref/prompt", name="review")
    done = await session.complete(reference, {"name": "language", "value": "R"})
    report.check("a default, completed", done.completion.values == ["Rust"], done)
    try:
        await session.get_prompt("review", {"language": "C"})
        report.check("an argument left out", False)
    except McpError as error:
        named = error.error.code == -32602 and "change" in error.error.message
        report.check("an argument left out", named, error)


async def everything(session):
    await session.send_ping()
    context = await tools(session)
    uri = f"rapport://context/{context}"
    listed = (await session.list_resources()).resources
    report.check("resources/list", uri in {str(resource.uri) for resource in listed}, listed)
    templates = (await session.list_resource_templates()).resourceTemplates
    report.check("resources/templates/list", templates, templates)
    read = await session.read_resource(AnyUrl(uri))
    report.check("resources/read", "Hello" in read.contents[0].text, read)
    try:
        await session.read_resource(AnyUrl("rapport://context/none"))
        report.check("a missing resource", False)
    except McpError as error:
        report.check("a missing resource", error.error.code == -32002, error)
    prompts = (await session.list_prompts()).prompts
    report.check("prompts/list", prompts, prompts)
    prompt = await session.get_prompt("continue_context", {"id": context})
    report.check("prompts/get", "Hello" in prompt.messages[-1].content.text, prompt)
    reference = types.PromptReference(type="ref/prompt", name="continue_context")
    done = await session.complete(reference, {"name": "id", "value": context[:4]})
    report.check("completion/complete", context in done.completion.values, done)
    await kept_prompts(session)
    await session.set_logging_level("info")
    await session.subscribe_resource(AnyUrl(uri))
    report.check("resources/subscribe", await updated(uri, session, context), "no update came")
    return context, uri


async def main():
    async with connected() as session:
        about = await session.initialize()
        report.check("initialize", about.serverInfo.name == "rapport", about)
        context, uri = await everything(session)
        pause("RESTART")
        again = await session.call_tool("context_get", {"id": context})
        report.check("after a restart", not again.isError and again.structuredContent, again)
        report.check("still subscribed", await updated(uri, session, context), "no update came")
    report.end()


asyncio.run(main())
