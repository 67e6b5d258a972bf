// The TypeScript package `@modelcontextprotocol/client` 2.x against a server of ours, either era.

import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { StdioClientTransport } from "@modelcontextprotocol/client/stdio";

import { check, run, target } from "./plan.mjs";

const modern = target.mode !== "legacy";
const mode = modern ? "auto" : "legacy";
const client = new Client({ name: "plan", version: "1" }, { versionNegotiation: { mode } });
const [command, ...args] = target.command ?? [];
await client.connect(target.url
  ? new StreamableHTTPClientTransport(new URL(target.url))
  : new StdioClientTransport({ command, args, stderr: "ignore" }));
const era = client.getProtocolEra();
check("the era", era === (modern ? "modern" : "legacy"), era);
await run(client, {
  missing: [-32002, -32602],
  subscribe: (uri) => modern
    ? client.listen({ resourceSubscriptions: [uri] })
    : client.subscribeResource({ uri }),
  updates: (told) => client.setNotificationHandler("notifications/resources/updated",
    (message) => told(message.params.uri)),
});
