/** How many letters must be put in, taken out, changed, or swapped with their neighbour to make one word of another. */
function distance(one: string, other: string): number {
  let [before, row]: [number[], number[]] = [[], Array.from({ length: other.length + 1 }, (_, index) => index)]
  for (let i = 1; i <= one.length; i++) {
    const next = [i]
    for (let j = 1; j <= other.length; j++) {
      const same = one[i - 1] === other[j - 1]
      const at = (line: readonly number[], index: number): number => line[index] ?? Infinity
      const swapped = i > 1 && j > 1 && one[i - 1] === other[j - 2] && one[i - 2] === other[j - 1]
      next.push(Math.min(at(row, j) + 1, at(next, j - 1) + 1, at(row, j - 1) + (same ? 0 : 1), swapped ? at(before, j - 2) + 1 : Infinity))
    }
    ;[before, row] = [row, next]
  }
  return row[other.length] ?? Infinity
}

/** No name that somebody mistypes is longer. */
const LONGEST = 64

/**
 * The names that somebody may have meant, the nearest first: those that differ in few letters, and those that hold what was given.
 *
 * @param most - how many, at most
 */
export function near(given: string, names: Iterable<string>, most = 3): readonly string[] {
  if (given === '' || given.length > LONGEST) return []
  const wanted = given.toLowerCase()
  // A third of the letters may be wrong, of a short word one.
  const limit = Math.max(1, Math.floor(wanted.length / 3))
  return [...new Set(names)]
    .map((name) => ({ name, far: distance(wanted, name.toLowerCase()), holds: wanted.length > 1 && name.toLowerCase().startsWith(wanted) || wanted.length > 2 && name.toLowerCase().includes(wanted) }))
    .filter(({ far, holds }) => far <= limit || holds)
    .sort((one, other) => one.far - other.far)
    .slice(0, most)
    .map(({ name }) => name)
}

/** `Did you mean A, B or C?`, or nothing when no name is near. */
export function didYouMean(given: string, names: Iterable<string>, most = 3): string {
  const [...found] = near(given, names, most)
  const last = found.pop()
  if (last === undefined) return ''
  return `Did you mean ${found.length === 0 ? last : `${found.join(', ')} or ${last}`}? `
}
