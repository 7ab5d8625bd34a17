"""The awaited client, driven so that one test fits both: its coroutines are run to their end in a loop of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading

from hokusai_nb.backends.http import AsyncHokusaiClient


class Awaited:
    """Has the methods of `HokusaiClient`, each of which runs the coroutine of the same name."""

    def __init__(self, *args, **kwargs):
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        try:
            self.client = AsyncHokusaiClient(*args, **kwargs)
        except BaseException:
            self.stop()
            raise

    def run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result()

    def each(self, entries):
        while (entry := self.run(anext(entries, self))) is not self:
            yield entry

    async def end(self):
        """Wait for tasks that were cancelled, as `asyncio.run` does."""
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        # Of many connections at once httpx leaves some open now and then, until they are collected.
        for transport in list(self.loop._transports.values()):
            transport.abort()
        await asyncio.sleep(0)

    def stop(self):
        self.run(self.end())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()

    def close(self):
        self.run(self.client.aclose())
        self.stop()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def __repr__(self):
        return repr(self.client).removeprefix("Async")

    def __getattr__(self, name):
        found = getattr(self.client, name)
        if not inspect.ismethod(found):
            return found

        def method(*args, **kwargs):
            answer = found(*args, **kwargs)
            return self.run(answer) if inspect.iscoroutine(answer) else self.each(answer)

        return method
