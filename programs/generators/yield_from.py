"""生成器: yield, yield from. A generator that hands over to another one, and gets back what it returns."""


def averager():
    total, count = 0.0, 0
    while (number := (yield)) is not None:
        total += number
        count += 1
    return count, total / count


def grouper(results, key):
    while True:
        results[key] = yield from averager()


def tree(items):
    for item in items:
        if isinstance(item, list):
            yield from tree(item)
        else:
            yield item


data = {"身高": [1.6, 1.7, 1.8], "体重": [50, 60, 70, 80]}
results = {}
for key, numbers in data.items():
    group = grouper(results, key)
    next(group)
    for number in numbers:
        group.send(number)
    group.send(None)
for key, (count, average) in results.items():
    print(f"{key}: {count} values, average {average:.2f}")
print(list(tree([1, [2, [3, 4], 5], [[6]]])))
