/** Saved states that somebody has tampered with. */
import type { Random } from '@machinist/testkit'

/** Longer lists are left as they are. */
const MOST = 200_000

type Path = readonly (string | number)[]

/** What a state may hold in the place of anything. */
function rubbish(random: Random): unknown {
  return random.pick<() => unknown>([
    () => null, () => undefined, () => true, () => 'x', () => 'x'.repeat(1 << 20), () => -1, () => 0, () => 1, () => 1.5, () => -0, () => NaN, () => Infinity, () => -Infinity,
    () => 2 ** random.below(64), () => -(2 ** random.below(64)), () => 2 ** 53 - 1, () => 1e300, () => 0n, () => -1n, () => 2n ** 64n, () => 10n ** 400n,
    () => [], () => ({}), () => Object.create(null) as unknown, () => [[]], () => new Array<number>(2 ** 32 - 1), () => new Array<number>(1 << 20).fill(0), () => [null], () => [1, 2, 3],
    () => new Uint8Array(0), () => new Uint8Array(random.below(5000)), () => new Uint8Array(1 << 22), () => JSON.parse('{"__proto__":{"x":1},"constructor":1,"length":4294967295}') as unknown,
    () => ({ length: 2 ** 32 - 1 }), () => ({ toString: 1, valueOf: 2 }), () => new Map([[1, 2]]), () => new Date(0), () => Array.from({ length: 50 }).reduce<unknown>((inner) => [inner], 0),
  ])()
}

/** Something like it, which may pass where rubbish does not. */
function near(value: unknown, random: Random): unknown {
  switch (typeof value) {
    case 'number': return random.pick([() => value + 1, () => value - 1, () => (value ^ (1 << random.below(32))) >>> 0, () => value * 2, () => random.below(256), () => random.u32(), () => 0])()
    case 'bigint': return random.pick([() => value + 1n, () => value - 1n, () => value ^ (1n << BigInt(random.below(64))), () => BigInt(random.u32()), () => 0n])()
    case 'boolean': return !value
    case 'string': return random.pick([`${value}x`, '', '__proto__', 'constructor', value.slice(1)])
    default: break
  }
  if (value instanceof Uint8Array) {
    const copy = Uint8Array.from(value)
    if (random.chance(0.5)) return copy.subarray(0, random.below(copy.length + 1))
    for (let n = random.below(8); n >= 0 && copy.length > 0; n--) copy[random.below(copy.length)] = random.below(256)
    return copy
  }
  if (Array.isArray(value)) {
    if (value.length > MOST) return []
    const copy: unknown[] = [...value as readonly unknown[]]
    const at = random.below(copy.length + 1)
    random.pick([
      () => { copy.splice(at, 1) }, () => { copy.splice(at, 0, copy[0]) }, () => { copy.reverse() }, () => { copy.length = at },
      () => { copy.push(...copy.slice(0, 1000)) }, () => { while (copy.length > 0 && copy.length < 100_000) copy.push(...copy) },
    ])()
    return copy
  }
  return rubbish(random)
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array)

/** A way from the whole to some part of it, deeper parts with more chance. */
function somewhere(value: unknown, random: Random): Path {
  const path: (string | number)[] = []
  for (let at = value; ;) {
    const keys = Array.isArray(at) ? at.length > MOST ? [] : [...at.keys()] : isObject(at) ? Object.keys(at) : []
    if (keys.length === 0 || random.chance(0.08)) return path
    const key = random.pick<string | number>(keys)
    path.push(key)
    at = (at as Record<string | number, unknown>)[key]
  }
}

/** A copy with what `change` makes of the thing at `path`; null leaves it out. */
function replaced(value: unknown, path: Path, change: (value: unknown) => { readonly to: unknown } | null): unknown {
  const [key, ...rest] = path
  if (key === undefined) return change(value)?.to
  if (Array.isArray(value)) return value.map((each: unknown, index) => (index === key ? replaced(each, rest, change) : each))
  const object = value as Record<string, unknown>
  const copy = Object.fromEntries(Object.entries(object).flatMap(([name, each]) => {
    if (name !== key) return [[name, each]]
    return rest.length === 0 && change(each) === null ? [] : [[name, replaced(each, rest, change)]]
  }))
  return copy
}

/** A copy of a state with something in it that was not there, and where. */
export function damaged(state: unknown, random: Random): { readonly state: unknown; readonly what: string } {
  let now = state
  const what: string[] = []
  for (let times = random.pick([1, 1, 1, 2, 4]); times > 0; times--) {
    const path = somewhere(now, random)
    const how = random.below(10)
    let to: unknown
    now = replaced(now, path, (value) => {
      if (how === 0) return null
      if (how === 1 && isObject(value)) return { to: Object.assign(JSON.parse('{"__proto__":{"polluted":1}}') as object, value, { extra: rubbish(random) }) }
      to ??= how < 5 ? rubbish(random) : near(value, random)
      return { to }
    })
    what.push(`${path.join('.')} := ${typeof to === 'object' ? Object.prototype.toString.call(to) : String(to).slice(0, 40)}`)
  }
  return { state: now, what: what.join('; ') }
}
