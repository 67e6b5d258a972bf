// A conversation from Node 18 or newer: built-in fetch, a reply that streams, nothing to install.
//
//     node examples/node.mjs [http://localhost:61900]
//
// With a key: RAPPORT_API_KEY=rap_… node examples/node.mjs

const base = process.argv[2] ?? process.env.RAPPORT_URL ?? "http://localhost:61900";
const key = process.env.RAPPORT_API_KEY;

/** Sends one request; an error of the server becomes an exception with its sentence and hint. */
async function call(method, path, body) {
  const headers = { "content-type": "application/json" };
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch(base + path, { method, headers, body: JSON.stringify(body) });
  if (response.ok) return response;
  const fault = await response.json();
  throw new Error(`${fault.code}: ${fault.error}. ${fault.hint ?? ""} (${fault.request_id})`);
}

/** The Server-Sent Events of a response, one by one: `{event, data}`. */
async function* events(response) {
  let rest = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    rest += piece;
    // An event ends with a blank line; what follows it waits for the next piece.
    const blocks = rest.split("\n\n");
    rest = blocks.pop();
    for (const block of blocks) {
      const event = /^event: (.*)$/m.exec(block)?.[1];
      const data = /^data: (.*)$/m.exec(block)?.[1];
      if (event && data) yield { event, data: JSON.parse(data) };
    }
  }
}

const context = await (await call("POST", "/api/v1/contexts", { title: "From Node" })).json();
const path = `/api/v1/contexts/${context.id}`;
let turn;
for await (const { event, data } of events(
  await call("POST", `${path}/turns`, { message: "I need to book a flight.", stream: true }),
)) {
  if (event === "delta") process.stdout.write(data.text);
  if (event === "error") throw new Error(`${data.code}: ${data.error}`);
  if (event === "done") turn = data;
}
if (!turn) throw new Error("the stream was cut: it had no `done`");
console.log(`\n[${turn.provider}/${turn.model}, ${turn.usage.output_tokens} tokens]`);
console.log((await (await call("DELETE", path)).json()).message);
