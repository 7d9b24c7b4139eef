"""A scheduler with one pipeline."""

import sys

import uvicorn
from plombery import get_app, register_pipeline, task


@task
async def count() -> int:
    """Return a number."""
    return 3


register_pipeline(id="counting", tasks=[count])
uvicorn.run(get_app(), host="127.0.0.1", port=int(sys.argv[1]))
