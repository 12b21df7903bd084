"""Plain Python: calls, integers, lists, dictionaries, strings."""


def queens(size, row=0, columns=0, rising=0, falling=0):
    """In how many ways that many queens stand on a board without attacking one another."""
    if row == size:
        return 1
    found = 0
    for column in range(size):
        places = 1 << column, 1 << (row + column), 1 << (row - column + size)
        if not (columns & places[0] or rising & places[1] or falling & places[2]):
            found += queens(size, row + 1, columns | places[0], rising | places[1], falling | places[2])
    return found


def letters(count):
    """Counts words of pseudo-random letters, and gives the most frequent ones."""
    state, words = 1, {}
    for _ in range(count):
        state = (state * 1103515245 + 12345) % 2**31
        word = ''.join('etaoin'[(state >> shift) % 6] for shift in (12, 18, 24))
        words[word] = words.get(word, 0) + 1
    return sorted(words.items(), key=lambda item: (-item[1], item[0]))[:3]


def sieve(limit):
    """The sum of the primes below the limit."""
    prime = [True] * limit
    total = 0
    for number in range(2, limit):
        if prime[number]:
            total += number
            for multiple in range(number * number, limit, number):
                prime[multiple] = False
    return total


print(queens(9), letters(100_000), sieve(500_000))
