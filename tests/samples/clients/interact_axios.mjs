// Sends one message with axios: interact_axios.mjs HOST PORT
import axios from "axios";

const url = `http://${process.argv[2]}:${process.argv[3]}/api/mcp/interact`;

try {
    const response = await axios.post(url, {
        sessionId: "789",
        message: "Tell me a story about a dragon.",
        context: { userId: "user_beta", genre: "fantasy" },
    });
    console.log("Response from MCP server:");
    console.log(JSON.stringify(response.data));
} catch (error) {
    if (error.code === "ECONNREFUSED") {
        console.log(`Error: Connection refused. Is the service running on ${url}?`);
    } else {
        console.log("An error occurred:", error.message);
    }
}
