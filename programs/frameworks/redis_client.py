"""redis-py at a Redis (REDIS_URL, REDIS_SOCKET): transactions, pub/sub, queues, streams."""

import asyncio
import os
from contextlib import aclosing

import redis.asyncio as redis
from redis import exceptions
from redis.exceptions import ResponseError, WatchError


async def commands(client):
    await asyncio.gather(*(client.set(f"key{n}", n) for n in range(500)))
    values = await client.mget([f"key{n}" for n in range(500)])
    print("values:", sum(map(int, values)))
    blob = bytes(range(256)) * 4096
    await client.set("blob", blob)
    print("a megabyte and back:", await client.get("blob") == blob)
    found = [key async for key in client.scan_iter("key*", count=50)]
    print("scanned:", len(set(found)))
    await client.hset("tea", mapping={"kind": "green", "cups": 3})
    print("hash:", await client.hgetall("tea"))
    script = client.register_script("return redis.call('incrby', KEYS[1], ARGV[1])")
    print("script:", [await script(keys=["sum"], args=[n]) for n in (1, 2, 3)])
    try:
        await client.incr("blob")
    except ResponseError as error:
        print("refused:", error)


async def transactions(client):
    async with client.pipeline(transaction=True) as pipe:
        answers = await pipe.set("a", 1).incrby("a", 41).get("a").execute()
    print("transaction:", answers)
    retries = 0

    async def increment():
        nonlocal retries
        async with client.pipeline() as pipe:
            while True:
                try:
                    await pipe.watch("contended")
                    value = int(await pipe.get("contended") or 0)
                    pipe.multi()
                    pipe.set("contended", value + 1)
                    await pipe.execute()
                    return
                except WatchError:
                    retries += 1

    await asyncio.gather(*(increment() for _ in range(12)))
    print("contended:", await client.get("contended"), retries > 0)
    inside = []

    async def locked(number):
        async with client.lock("lock", timeout=30, sleep=0.001):
            inside.append(number)
            await client.ping()
            inside.append(number)

    await asyncio.gather(*map(locked, range(5)))
    print("locked:", all(a == b for a, b in zip(inside[::2], inside[1::2], strict=False)))


async def publish_and_subscribe(client):
    async with client.pubsub() as news:
        await news.subscribe("news")
        await news.psubscribe("sport.*")
        ready = [(await news.get_message(timeout=10))["type"] for _ in range(2)]
        print("listening:", ready)
        receivers = [await client.publish("news", f"line {n}") for n in range(100)]
        receivers += [await client.publish("sport.chess", "mate")]
        print("receivers:", set(receivers))
        heard = []
        async with aclosing(news.listen()) as messages:
            async for message in messages:
                heard.append((message["channel"], message["data"]))
                if len(heard) == 101:
                    break
        print("heard:", heard[0], heard[-1])
        print("silence:", await news.get_message(ignore_subscribe_messages=True, timeout=0.02))


async def queues(client):
    async def work():
        done = 0
        while (await client.blpop("jobs", timeout=0))[1] != b"stop":
            done += 1
        return done

    workers = [asyncio.create_task(work()) for _ in range(4)]
    for number in range(200):
        await client.rpush("jobs", number)
    await client.rpush("jobs", *["stop"] * 4)
    print("jobs done:", sum(await asyncio.gather(*workers)))
    print("nothing comes:", await client.blpop("jobs", timeout=0.05))

    for number in range(50):
        await client.xadd("log", {"n": number})
    await client.xgroup_create("log", "readers", id="0")
    seen = 0
    while entries := await client.xreadgroup("readers", "one", {"log": ">"}, count=20):
        for _, records in entries:
            seen += await client.xack("log", "readers", *[key for key, _ in records])
    print("log:", seen)
    reading = asyncio.create_task(client.xread({"log": "$"}, block=10_000))
    while not any(one["cmd"] == "xread" for one in await client.client_list()):
        await asyncio.sleep(0.001)
    await client.xadd("log", {"n": "last"})
    print("tail:", (await reading)[0][1][0][1])


async def trouble(url):
    async with redis.from_url(url, client_name="victim", single_connection_client=True) as victim:
        waiting = asyncio.create_task(victim.blpop("nothing", timeout=0))
        async with redis.from_url(url) as killer:
            while not any(
                one["name"] == "victim" and one["cmd"] == "blpop"
                for one in await killer.client_list()
            ):
                await asyncio.sleep(0.001)
            waiting.cancel()
            try:
                await waiting
            except asyncio.CancelledError:
                print("cancelled")
            print("and still good:", await victim.ping())
            await killer.client_kill_filter(skipme=True)
            try:
                await victim.ping()
            except exceptions.ConnectionError as error:
                print("thrown out:", type(error).__name__)
            print("reconnected:", await victim.ping())
    try:
        async with redis.from_url("redis://127.0.0.1:1", retry=None) as nowhere:
            await nowhere.ping()
    except exceptions.ConnectionError as error:
        print("nobody there:", type(error).__name__)


async def main():
    url = os.environ["REDIS_URL"]
    pool = redis.BlockingConnectionPool.from_url(url, max_connections=30)
    async with redis.Redis.from_pool(pool) as client:
        await client.flushdb()
        for part in (commands, transactions, publish_and_subscribe, queues):
            print("---", part.__name__)
            await part(client)
        await client.flushdb()
    print("--- trouble")
    await trouble(url)
    print("--- through a unix socket")
    async with redis.Redis(unix_socket_path=os.environ["REDIS_SOCKET"]) as client:
        print("pings:", sum(await asyncio.gather(*(client.ping() for _ in range(20)))))


asyncio.run(main())
