"""asyncpg at a PostgreSQL (PGHOST and so on): transactions, COPY, notifications, TLS."""

import asyncio
import datetime
import decimal
import io
import json
import ssl
import uuid
from pathlib import Path

import asyncpg

CERTIFICATE = Path(__file__).parent.parent / "coroutines" / "_certificate.pem"

SCHEMA = """
    DROP SCHEMA IF EXISTS ledger CASCADE;
    CREATE SCHEMA ledger;
    CREATE TABLE ledger.accounts (id int PRIMARY KEY, money numeric NOT NULL CHECK (money >= 0));
    CREATE TABLE ledger.lines (
        id serial, text text, at timestamptz, data jsonb, tags text[], key uuid
    );
"""


async def transfer(pool, source, target, amount):
    async with pool.acquire() as connection, connection.transaction():
        change = "UPDATE ledger.accounts SET money = money + $2 WHERE id = $1"
        # In the order of the accounts, so that no two wait for one another.
        for account, money in sorted([(source, -amount), (target, amount)]):
            await connection.execute(change, account, decimal.Decimal(money))


async def accounts(pool):
    await pool.executemany(
        "INSERT INTO ledger.accounts VALUES ($1, $2)",
        [(n, decimal.Decimal(100)) for n in range(10)],
    )
    moves = [
        transfer(pool, n % 10, (n * 7 + 3) % 10, n % 5) for n in range(200) if (n * 6 + 3) % 10
    ]
    done = await asyncio.gather(*moves)
    total = await pool.fetchval("SELECT sum(money) FROM ledger.accounts")
    print("transfers:", len(done), "total:", total)
    try:
        await transfer(pool, 1, 2, 100_000)
    except asyncpg.CheckViolationError as error:
        print("refused:", error.constraint_name)
    print("unchanged:", await pool.fetchval("SELECT sum(money) FROM ledger.accounts") == total)

    async with pool.acquire() as connection:
        async with connection.transaction():
            await connection.execute("UPDATE ledger.accounts SET money = 1 WHERE id = 1")
            try:
                async with connection.transaction():
                    await connection.execute("UPDATE ledger.accounts SET money = 2 WHERE id = 1")
                    raise RuntimeError
            except RuntimeError:
                pass
            savepoint = await connection.fetchval("SELECT money FROM ledger.accounts WHERE id = 1")
        print("after the savepoint:", savepoint)

    first, second = await pool.acquire(), await pool.acquire()
    transactions = [one.transaction(isolation="serializable") for one in (first, second)]
    for transaction in transactions:
        await transaction.start()
    for one in (first, second):
        await one.fetchval("SELECT sum(money) FROM ledger.accounts")
    await first.execute("UPDATE ledger.accounts SET money = 3 WHERE id = 1")
    await transactions[0].commit()
    try:
        await second.execute("UPDATE ledger.accounts SET money = 4 WHERE id = 1")
    except asyncpg.SerializationError as error:
        print("not serializable:", error.sqlstate)
    await transactions[1].rollback()
    for one in (first, second):
        await pool.release(one)


async def types_and_bulk(pool):
    async with pool.acquire() as connection:
        await connection.set_type_codec(
            "jsonb",
            encoder=lambda value: b"\x01" + json.dumps(value).encode(),
            decoder=lambda data: json.loads(data[1:]),
            schema="pg_catalog",
            format="binary",
        )
        at = datetime.datetime(2024, 2, 29, 12, tzinfo=datetime.UTC)
        row = ("tea", at, {"cups": [1, 2, None]}, ["hot", "gr\u00fcn"], uuid.UUID(int=7))
        columns = ["text", "at", "data", "tags", "key"]
        insert = """
            INSERT INTO ledger.lines (text, at, data, tags, key) VALUES ($1, $2, $3, $4, $5)
            RETURNING *
        """
        back = await connection.fetchrow(insert, *row)
        print("types:", tuple(back.values())[1:] == row)
        statement = await connection.prepare("SELECT $1::int * $2::int")
        print("prepared:", [await statement.fetchval(n, n) for n in range(5)])
        await connection.copy_records_to_table(
            "lines",
            schema_name="ledger",
            columns=columns,
            records=((f"line {n}", at, {"n": n}, [], None) for n in range(5000)),
        )
        text = io.BytesIO()
        done = await connection.copy_from_query(
            "SELECT text FROM ledger.lines ORDER BY id", output=text, format="csv"
        )
        print("copied:", done, text.getvalue().count(b"\n"))

        async def more():
            for n in range(1000):
                yield f"more {n}\n".encode()

        done = await connection.copy_to_table(
            "lines", schema_name="ledger", columns=["text"], source=more(), format="csv"
        )
        print("copied in pieces:", done)
        async with connection.transaction():
            total = 0
            async for line in connection.cursor("SELECT * FROM ledger.lines", prefetch=300):
                total += line["text"].startswith("line")
        print("by a cursor:", total)
        large = await connection.fetchval("SELECT repeat('x', 5000000)")
        print("large:", len(large))


async def notifications(pool):
    heard = asyncio.Queue()

    def hear(connection, pid, channel, payload):
        heard.put_nowait((channel, payload))

    async with pool.acquire() as listener:
        await listener.add_listener("news", hear)
        async with pool.acquire() as speaker:
            async with speaker.transaction():
                for number in range(100):
                    await speaker.execute("SELECT pg_notify('news', $1)", str(number))
                print("before the commit:", heard.qsize())
            print("after it:", [await heard.get() for _ in range(100)][-1])
        await listener.remove_listener("news", hear)


async def trouble(pool):
    async with pool.acquire() as connection:
        try:
            await connection.execute("SELECT pg_sleep(60)", timeout=0.05)
        except TimeoutError:
            print("too slow:", await connection.fetchval("SELECT 'and still good'"))
        sleeping = asyncio.create_task(connection.execute("SELECT pg_sleep(60)"))
        while not await pool.fetchval(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE query = 'SELECT pg_sleep(60)' AND state = 'active'"
        ):
            await asyncio.sleep(0.001)
        sleeping.cancel()
        try:
            await sleeping
        except asyncio.CancelledError:
            print("cancelled:", await connection.fetchval("SELECT 'and still good'"))

    victim = await asyncpg.connect()
    ended = asyncio.Event()
    victim.add_termination_listener(lambda _: ended.set())
    await pool.execute("SELECT pg_terminate_backend($1)", victim.get_server_pid())
    await ended.wait()
    try:
        await victim.execute("SELECT 1")
    except asyncpg.InterfaceError:
        print("terminated:", victim.is_closed())
    try:
        await asyncpg.connect(password="wrong")
    except asyncpg.InvalidPasswordError:
        print("wrong password")
    try:
        await pool.fetch("SELEC 1")
    except asyncpg.PostgresSyntaxError as error:
        print(error)


async def main():
    trust = ssl.create_default_context(cafile=str(CERTIFICATE))
    for name, options in (("plain", {"ssl": False}), ("TLS", {"ssl": trust})):
        async with asyncpg.create_pool(min_size=2, max_size=8, **options) as pool:
            secure = await pool.fetchval("SELECT ssl FROM pg_stat_ssl WHERE pid = pg_backend_pid()")
            print("---", name, secure)
            await pool.execute(SCHEMA)
            for part in (accounts, types_and_bulk, notifications, trouble):
                await part(pool)
            await pool.execute("DROP SCHEMA ledger CASCADE")


asyncio.run(main())
