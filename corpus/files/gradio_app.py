"""A page that fills four fields when it loads: four calls of the queue at once. The argument is the port."""

import sys
import time
from collections.abc import Iterator

import gradio


def count(_: str) -> Iterator[str]:
    """Yield a number a second, as a slow function does that streams its result."""
    for number in range(4):
        time.sleep(1)
        yield str(number)


with gradio.Blocks() as page:
    question = gradio.Textbox()
    for answer in [gradio.Textbox() for _ in range(4)]:
        page.load(count, question, answer)

limit = {"concurrency_count": 10} if gradio.__version__.startswith("3.") else {"default_concurrency_limit": 10}
page.queue(**limit).launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), show_api=False)
