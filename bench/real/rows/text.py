"""A megabyte of words, the frequent ones short, which gzip makes 40 % of."""

state = 1


def random(limit):
    global state
    state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
    return (state >> 33) % limit


words = [''.join(chr(97 + random(26)) for _ in range(2 + rank // 200 + random(4))) for rank in range(2000)]
text, length = [], 0
while length < 1_000_000:
    # The product of two makes low ranks likely.
    word = words[random(2000) * random(2000) // 2000] + (' ' if random(9) else '.\n')
    text.append(word)
    length += len(word)
print(''.join(text)[:1_000_000], end='')
