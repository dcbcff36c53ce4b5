import asyncio
import sys

async def main():
    # 子进程管道
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", "print(input().upper())",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE)
    print(await child.communicate(b"hello\n"), child.returncode)
    child = await asyncio.create_subprocess_shell("exit 3")
    print(await child.wait())
    child = await asyncio.create_subprocess_exec(sys.executable, "-c", "import time; time.sleep(60)")
    child.terminate()
    print(await child.wait())

asyncio.run(main())
