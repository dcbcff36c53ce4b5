"""Running Subprocesses: asyncio.create_subprocess_exec, create_subprocess_shell."""

import asyncio
import signal
import sys
from asyncio.subprocess import PIPE

UPPER = "import sys; sys.stdout.write(sys.stdin.read().upper()); sys.exit(3)"
ECHO = "while line := input(): print(line[::-1], flush=True)"
WAIT = "import time; print('ready', flush=True); time.sleep(60)"


async def run(code, **options):
    return await asyncio.create_subprocess_exec(sys.executable, "-c", code, **options)


async def main():
    process = await run(UPPER, stdin=PIPE, stdout=PIPE)
    print(await process.communicate(b"some text"), process.returncode)

    # A dialogue, line by line.
    process = await run(ECHO, stdin=PIPE, stdout=PIPE)
    for line in (b"abc\n", b"12345\n"):
        process.stdin.write(line)
        print((await process.stdout.readline()).decode().strip())
    process.stdin.write(b"\n")
    print(await process.wait())

    # Several at once.
    processes = [await run(f"print({n} ** 2)", stdout=PIPE) for n in range(4)]
    outputs = await asyncio.gather(*(process.communicate() for process in processes))
    print([int(output) for output, _ in outputs])

    process = await asyncio.create_subprocess_shell("echo out; echo err >&2", stdout=PIPE, stderr=PIPE)
    print(await process.communicate())

    for end in ("terminate", "kill"):
        process = await run(WAIT, stdout=PIPE)
        await process.stdout.readline()
        getattr(process, end)()
        print(end, await process.wait() in (-signal.SIGTERM, -signal.SIGKILL))

    process = await run(WAIT, stdout=PIPE)
    try:
        await asyncio.wait_for(process.wait(), 0.02)
    except asyncio.TimeoutError:
        process.kill()
        print("TimeoutError", await process.wait())

    try:
        await asyncio.create_subprocess_exec("/no/such/program")
    except FileNotFoundError:
        print("FileNotFoundError")


asyncio.run(main())
