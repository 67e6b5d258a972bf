// Opens a session over a bare socket and ends it after the first answer: init_net.mjs HOST PORT
import net from "node:net";

const [host, port] = [process.argv[2], Number(process.argv[3])];
const client = new net.Socket();

client.connect(port, host, () => {
    console.log("Connected to MCP server!");
    client.write("MCP_INIT: SESSION_ID=101\n");
});
client.on("data", (data) => {
    console.log(`Received: ${data.toString()}`);
    client.end();
});
let hasFailed = false;
client.on("error", (error) => {
    hasFailed = true;
    if (error.code === "ECONNREFUSED") {
        console.log(`Error: Connection refused. Is a service running on ${host}:${port}?`);
    } else {
        console.log("Client error:", error.message);
    }
});
client.on("close", () => {
    if (!hasFailed) {
        console.log("Disconnected from MCP server");
    }
});
