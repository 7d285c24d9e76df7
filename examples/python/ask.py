"""Python's own SDKs with a budget, and their calls straight to the provider.

Run it beside a gateway: PURSER_KEY=$(cat .purser/admin.token) python examples/python/ask.py
PROVIDER_URL names another provider than OpenAI's and Anthropic's own, such as the demo's.
"""

import asyncio
import os

from anthropic import Anthropic, APIStatusError
from openai import AsyncOpenAI, OpenAI
from purser_transport import async_purser_client, purser_client

PURSER = os.environ.get("PURSER_URL", "http://127.0.0.1:4100")
KEY = os.environ["PURSER_KEY"]
URL = os.environ.get("PROVIDER_URL")
ANN = {"user": "ann"}
QUESTION = [{"role": "user", "content": "What is a purser?"}]

openai = OpenAI(base_url=URL and f"{URL}/v1", http_client=purser_client(PURSER, KEY, provider="openai", subject=ANN))
answer = openai.chat.completions.create(model="gpt-4o-mini", max_tokens=1000, messages=QUESTION)
print("openai:", answer.usage.prompt_tokens, "in,", answer.usage.completion_tokens, "out")

text, usage = "", None
for chunk in openai.chat.completions.create(model="gpt-4o-mini", max_tokens=1000, messages=QUESTION, stream=True):
    text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
print("openai, streamed:", len(text) > 0)


async def ask_async():
    client = AsyncOpenAI(base_url=URL and f"{URL}/v1", http_client=async_purser_client(PURSER, KEY, provider="openai", subject=ANN))
    answers = await asyncio.gather(
        *(client.chat.completions.create(model="gpt-4o-mini", max_tokens=1000, messages=QUESTION) for _ in range(3))
    )
    print("openai, three at once:", sum(answer.usage.completion_tokens for answer in answers), "out")


asyncio.run(ask_async())

anthropic = Anthropic(base_url=URL, http_client=purser_client(PURSER, KEY, provider="anthropic", subject=ANN))
message = anthropic.messages.create(model="claude-sonnet-4-6", max_tokens=1000, messages=QUESTION)
print("anthropic:", message.usage.input_tokens, "in,", message.usage.output_tokens, "out")

try:
    anthropic.messages.create(model="claude-sonnet-4-6", max_tokens=1000, messages=[{"role": "user", "content": "budget " * 50_000}])
except APIStatusError as error:
    print("refused:", error.status_code, error.body["error"]["message"])
