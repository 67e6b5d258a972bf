"""Asks for a summary and a writing prompt with `mcp_client`: desktop.py HOST PORT."""

import logging
import sys

import mcp_client

logging.basicConfig(level=logging.INFO)

TEXT = (
    "The quick brown fox jumps over the lazy dog. This sentence has shown for ages what a typeface "
    "looks like. It holds every letter of the English alphabet at least once, so it is handy for "
    "testing keyboards, printers and fonts, and typing teachers like it for the same reason."
)


def main():
    host, port = sys.argv[1], int(sys.argv[2])
    logging.info(f"Attempting to connect to Claude desktop MCP server at {host}:{port}...")
    try:
        connection = mcp_client.connect(host=host, port=port, timeout=5)
        logging.info("Successfully connected to Claude desktop MCP server.")
        logging.info(f"Sending text for summarization: '{TEXT[:50]}...'")
        summary = connection.summarize(text=TEXT, length="short")
        logging.info(f"Received summary from Claude desktop: {summary.get('summary')}")
        logging.info("Requesting a creative writing prompt...")
        prompt = connection.generate_prompt(theme="sci-fi", difficulty="medium")
        logging.info(f"Generated prompt: {prompt.get('prompt')}")
        connection.close()
        logging.info("Connection to Claude desktop closed.")
    except mcp_client.ConnectionError as error:
        logging.error(f"Failed to connect to Claude desktop: {error}")
        logging.error(f"Please ensure Claude desktop is running and listening on {host}:{port}.")
    except mcp_client.MCPError as error:
        logging.error(f"MCP protocol error during interaction: {error}")


if __name__ == "__main__":
    main()
