// What every client does, in the words of its own package: the plan that the scripts follow.

import { createInterface } from "node:readline";

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
let count = 0;

/** Counts what worked; the first thing that does not is the end. */
export function check(what, good, seen) {
  if (!good) {
    console.log(`WRONG ${what}: ${JSON.stringify(seen ?? "")?.slice(0, 400)}`);
    process.exit(1);
  }
  count += 1;
}

/** Lets the runner do something to the server. */
export async function pause(word) {
  console.log(word);
  await lines.next();
}

/** How to reach the server: an address, or the words of a command. */
export const target = JSON.parse(process.argv[2]);

/** Arguments for a tool of which nothing is known but its schema. */
function argumentsFor(schema, context, other) {
  const known = { id: context, message: "Hello", content: "Noted", query: "Hello", text: "Hello",
    with: other, other };
  const byType = { string: "x", integer: 1, number: 1, object: {}, array: [], boolean: true };
  const kind = (name) => schema.properties?.[name]?.type ?? "string";
  const value = (name) => known[name] ?? byType[kind(name)];
  return Object.fromEntries((schema.required ?? []).map((name) => [name, value(name)]));
}

async function tools(client) {
  const listed = (await client.listTools()).tools;
  const names = listed.map((tool) => tool.name);
  check("tools/list", ["context_create", "model_list"].every((n) => names.includes(n)), names);
  const call = (name, args) => client.callTool({ name, arguments: args });
  const made = await call("context_create", { title: "Plan" });
  const context = made.structuredContent?.id;
  check("context_create", context && !made.isError, made);
  const other = (await call("context_create", {})).structuredContent.id;
  for (const tool of listed) {
    if (["context_create", "context_delete"].includes(tool.name)) continue;
    const result = await call(tool.name, argumentsFor(tool.inputSchema, context, other));
    check(tool.name, !result.isError && result.content.length > 0, result);
  }
  check("context_delete", !(await call("context_delete", { id: other })).isError);
  check("a failure is a result", (await call("context_get", { id: "no-such-context" })).isError);
  return context;
}

/** A change of the resource is told; it may take more than one try while streams open. */
async function touched(client, context, uri, told) {
  for (let n = 0; n < 20; n += 1) {
    const args = { id: context, content: "more" };
    await client.callTool({ name: "context_append", arguments: args });
    const wait = new Promise((done) => setTimeout(done, 1500));
    await Promise.race([wait, new Promise((done) => { told.wake = done; })]);
    if (told.uris.includes(uri)) return true;
  }
  return false;
}

/** The prompt of the configuration, with a default, and without what must be given. */
async function keptPrompts(client) {
  const review = (await client.listPrompts()).prompts.find(({ name }) => name === "review");
  const required = review?.arguments?.filter((one) => one.required).map((one) => one.name);
  check("a kept prompt", required?.join() === "change", review);
  const filled = await client.getPrompt({ name: "review", arguments: { change: "let x = 5;" } });
  const said = filled.messages.map((message) => message.content.text).join(" ");
  check("a kept prompt, filled in", said.includes("reviewer of Rust")
    && said.includes("Review this: let x = 5;"), filled);
  const done = await client.complete({ ref: { type: "ref/prompt", name: "review" },
    argument: { name: "language", value: "R" } });
  check("a default, completed", done.completion.values.join() === "Rust", done);
  const wrong = await client.getPrompt({ name: "review", arguments: { language: "C" } })
    .then(() => ({}), (error) => error);
  check("an argument left out", wrong.code === -32602 && wrong.message.includes("change"),
    { code: wrong.code, message: wrong.message });
}

/** The whole plan; `subscribe` and `updates` are what the packages do in different ways. */
export async function run(client, { missing, subscribe, updates }) {
  check("connect", client.getServerVersion().name === "rapport", client.getServerVersion());
  const context = await tools(client);
  const uri = `rapport://context/${context}`;
  const listed = (await client.listResources()).resources;
  check("resources/list", listed.some((resource) => resource.uri === uri), listed);
  check("templates", (await client.listResourceTemplates()).resourceTemplates.length > 0);
  const read = await client.readResource({ uri });
  check("resources/read", read.contents[0].text.includes("Hello"), read);
  const none = client.readResource({ uri: "rapport://context/none" });
  const code = await none.then(() => 0, (error) => error.code);
  check("a missing resource", missing.includes(code), code);
  check("prompts/list", (await client.listPrompts()).prompts.length > 0);
  const prompt = await client.getPrompt({ name: "continue_context", arguments: { id: context } });
  check("prompts/get", prompt.messages.at(-1).content.text.includes("Hello"), prompt);
  const done = await client.complete({ ref: { type: "ref/prompt", name: "continue_context" },
    argument: { name: "id", value: context.slice(0, 4) } });
  check("completion/complete", done.completion.values.includes(context), done);
  await keptPrompts(client);
  const told = { uris: [], wake: () => {} };
  updates((changed) => { told.uris.push(changed); told.wake(); });
  await subscribe(uri);
  check("a subscription", await touched(client, context, uri, told), told);
  await pause("RESTART");
  const again = await client.callTool({ name: "context_get", arguments: { id: context } });
  check("after a restart", !again.isError && again.structuredContent, again);
  told.uris = [];
  await subscribe(uri);
  check("a subscription after it", await touched(client, context, uri, told), told);
  await client.close();
  console.log(`${count} checks`);
  process.exit(0);
}
