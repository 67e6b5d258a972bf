// Talks with Vercel's `ai` to one upstream by every provider package:
// every_client.mjs HOST PORT MODEL
import { createAnthropic } from "@ai-sdk/anthropic";
import { createGoogleGenerativeAI } from "@ai-sdk/google";
import { createOpenAI } from "@ai-sdk/openai";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, streamText, tool } from "ai";
import { z } from "zod";

const [host, port, name] = process.argv.slice(2);
const url = `http://${host}:${port}`;
const wanted = "good day to you";
const models = {
  "ai+anthropic": createAnthropic({ baseURL: `${url}/v1`, apiKey: "none" })(name),
  "ai+openai": createOpenAI({ baseURL: `${url}/v1`, apiKey: "none" }).chat(name),
  "ai+compatible": createOpenAICompatible({ name: "rapport", baseURL: `${url}/v1` })(name),
  "ai+google": createGoogleGenerativeAI({ baseURL: `${url}/v1beta`, apiKey: "none" })(name),
};
const look = tool({ description: "the weather", inputSchema: z.object({ city: z.string() }) });

for (const [label, model] of Object.entries(models)) {
  const words = [];
  const check = (word, ok, seen) => words.push(ok ? word : `${word}=${JSON.stringify(seen)}`);
  try {
    const whole = await generateText({ model, prompt: "hello", maxRetries: 0 });
    check("text", whole.text === wanted, whole.text);
    const stream = streamText({ model, prompt: "hello", maxRetries: 0 });
    let streamed = "";
    for await (const piece of stream.textStream) streamed += piece;
    check("stream", streamed === wanted, streamed);
    const called = await generateText({
      model, prompt: "use a tool", tools: { look }, maxRetries: 0,
    });
    const [call] = called.toolCalls;
    check("tool", call?.toolName === "look" && call.input.city === "Rome", called.toolCalls);
  } catch (error) {
    words.push("BROKE", String(error).slice(0, 300));
  }
  console.log(label, ...words);
}
