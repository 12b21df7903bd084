/** A script that prints what becomes of calls of all kinds, of exceptions across them, of getters, closures, generators, shapes and elements: for each engine the same. */
export const calls: string = String.raw`(function () {
  'use strict'
  const out = []
  const say = (...all) => { out.push(all.map((x) => typeof x === 'string' ? x : JSON.stringify(x) ?? String(x)).join(' ')) }
  function counted() { return arguments.length + ':' + Array.from(arguments).join() }
  function rest(first, ...more) { return [first, more] }
  function few(a, b, c) { a = a ?? 'none'; b = b || 'b'; return [a, b, c, arguments.length] }
  say(counted(), counted(1), counted(1, 2, 3), rest(), rest(1), rest(1, 2, 3), few(), few(0, 0), few(1, 2, 3, 4))
  class Base {
    #secret = 1
    static #made = 0
    plain = 2
    constructor(x) { this.x = x; Base.#made++ }
    get secret() { return this.#secret }
    set secret(to) { this.#secret = to }
    get self() { return this }
    get raising() { throw new Error('raised ' + this.x) }
    bump(by = 1) { this.#secret += by; return this }
    #hidden(y) { return this.#secret * y }
    hidden(y) { return this.#hidden(y) }
    static made() { return Base.#made }
    static peek(other) { return #secret in other ? other.#secret : 'no' }
    static force(other) { return other.#secret }
    static store(other, to) { other.#secret = to }
  }
  class Derived extends Base {
    constructor(...all) { super(...all); this.target = new.target === Derived }
    bump(by) { return super.bump(by === undefined ? 10 : by) }
    get secret() { return 'derived ' + super.secret }
  }
  const base = new Base(1), derived = new Derived(2)
  say(base.secret, base.bump().bump(5).secret, derived.bump().secret, derived.hidden(3), derived.target, Base.made(), Base.peek(base), Base.peek({}))
  for (const f of [() => Base.force({}), () => Base.store({}, 1), () => base.raising, () => base.self.self.raising, () => null.x, () => undefined.y(), () => base.nothing(), () => Base(), () => (0)(), () => { let z = 1; z(); }]) {
    try { f(); say('nothing') } catch (error) { say(error instanceof TypeError, error instanceof Error) }
  }
  class Lazy extends Base { constructor(when) { if (when) super(7) } }
  class Never extends Base { constructor() {} }
  class Instead extends Base { constructor() { return { instead: 1 } } }
  class Twice extends Base { constructor() { super(1); super(2) } }
  class Arrow extends Base { constructor() { const f = () => super(8); f() } }
  class Early extends Base { constructor() { try { this.x = 1 } catch (error) { super(9); this.y = error instanceof ReferenceError } } }
  for (const f of [() => new Lazy(true).x, () => new Lazy(false), () => new Never(), () => new Instead().instead, () => new Twice(), () => new Arrow().x, () => new Early().y]) {
    try { say('made', f()) } catch (error) { say('made', error instanceof ReferenceError, error instanceof Error) }
  }
  const deep = (n) => n === 0 ? 0 : 1 + deep(n - 1)
  say(deep(10), deep(500), deep(3000))
  const tail = (n, sum) => n === 0 ? sum : tail(n - 1, sum + n)
  say(tail(2000, 0))
  let overflowed = false
  const forever = () => { return 1 + forever() }
  try { forever() } catch { overflowed = true }
  say(overflowed, deep(100))
  const thrower = (n) => { const kept = { n }; if (n === 0) throw new Error('deep'); try { return thrower(n - 1) + kept.n } finally { out.length += 0; kept.n++ } }
  try { thrower(20) } catch (error) { say(error.message) }
  const catcher = (n) => { try { if (n === 0) throw n; return catcher(n - 1) } catch (error) { if (n % 3 !== 0) throw error + 1; return [n, error] } }
  say(catcher(1 + 3 * 4), catcher(0), catcher(3))
  function* counting(n) { for (let i = 0; i < n; i++) { const got = yield few(i); if (got) say('got', got) } return 'end' }
  const g = counting(3); say([...counting(2)], g.next(), g.next('a'), g.return(7), g.next())
  function* outer() { const r = yield* counting(2); try { yield r } finally { say('closed') } }
  for (const x of outer()) { say(x); if (x === 'end') break }
  const closures = []
  for (let i = 0; i < 3; i++) { let j = i * 2; closures.push({ get: () => [i, j], set: (to) => { j = to } }) }
  closures[1].set(9); say(closures.map((c) => c.get()))
  const makeArgument = (a, b) => ({ inc: () => ++a, both: () => [a, b], set(to) { b = to } })
  const m = makeArgument(1); m.inc(); m.set('x'); say(m.both(), m.inc())
  say([3, 1, 2].sort((a, b) => a - b), [1, 2, 3].map(String), [1, 2, 3].reduce((s, x) => s + x, 0), 'abc'.replace(/./g, (c) => c + c))
  say(Reflect.apply(few, null, [1]), few.call(null, 1, 2), few.bind(null, 5)(6), Math.max(...[1, 2, 3]), Reflect.construct(Base, [4], Derived) instanceof Derived)
  const proxy = new Proxy({ a: 1 }, { get: (of, name) => name === 'b' ? 'trapped' : of[name], apply() { return 0 } })
  say(proxy.a, proxy.b)
  const getters = { get a() { return { get b() { return [1, { get c() { return this.d }, d: 'd' }] } } }, set e(to) { this.f = to } }
  getters.e = 5; say(getters.a.b[1].c, getters.f, getters.a.b.length)
  const readerOf = (object) => object.value
  say([{ value: 1 }, { other: 0, value: 2 }, { get value() { return 3 } }, Object.create({ value: 4 }), Object.create({ get value() { return this.own }, }, { own: { value: 5 } }), [], 'text', { value: undefined }].map(readerOf))
  const big = {}; for (let i = 0; i < 600; i++) big['p' + i] = i
  const last = (object) => object.p599 + object.p300
  say(last(big), last({ p599: 1, p300: 2 })); delete big.p300; say(last(big))
  const there = (o) => o.k; const first = { k: 1, l: 2 }; say(there(first)); delete first.k; say(there(first)); first.k = 3; say(there(first), Object.keys(first))
  say(!0, !1, !2, 2 ** 10, 2 ** 31, 2 ** 32, 2 ** 53, 2 ** 0, -(2 ** 32))
  const compare = (a, b) => { let s = ''; if (a < b) s += '<'; if (a <= b) s += '<='; if (a === b) s += '==='; if (a == b) s += '=='; if (a !== b) s += '!=='; if (a > b) s += '>'; return s + (a >= b) + (a !== b) }
  const values = [0, 1, -1, 1.5, NaN, '', 'a', 'b', 'a' + String.fromCharCode(98), 'ab', null, undefined, true, false, 2 ** 40, 10n]
  for (const a of values) say(values.map((b) => compare(a, b)).join(' '))
  for (const a of values) { say([a ?? 'n', a || 'o', a && 'p', a ? 1 : 2, !a, a === undefined, a === null, a == null, a?.length].map(String).join()) ; if (a ?? false) out.push('c'); if (a || false) out.push('d'); if (a && true) out.push('e'); if (!(a ?? null)) out.push('f') }
  const words = new Uint32Array(3), bytes = new Uint8Array(3), list = [1, 2, 3], ints = new Int32Array(2), floats = new Float64Array(2)
  const store = (into, at, value) => { into[at] = value; return into[at] }
  for (const into of [words, bytes, list, ints, floats]) say([[0, 1], [1, -1], [2, 300], [3, 4], [1, 1.5], [0, 2 ** 31], [-1, 6], [1, '7'], [7, 8]].map(([at, value]) => String(store(into, at, value))).join(), [...into].map(String).join())
  const frozen = Object.freeze([1, 2]); try { store(frozen, 0, 5); say('stored') } catch { say('frozen') }
  const sw = (x) => { switch (x) { case 1: let a = 1; return a; case 2: a = 2; return a; default: return typeof x } }
  say(sw(1), sw('x')); try { sw(2) } catch (error) { say(error instanceof ReferenceError) }
  try { tdz; let tdz = 1 } catch (error) { say(error instanceof ReferenceError) }
  const looping = () => { const all = []; for (let i = 0; i < 4; i++) { let x; if (i === 2) x = i; all.push(x) } return all }
  say(looping())
  for (let round = 0; round < 2000; round++) { const o = { a: round, b: { c: round } }; const keys = 'k' + round; const p = { [keys]: o, get q() { return o.a } }; if (p.q !== round || p[keys].b.c !== round) say('shape', round) }
  class Shape { constructor(n) { this.a = n; if (n % 2) this.b = n; this.c = n } sum() { return this.a + (this.b ?? 0) + this.c } }
  let sum = 0; for (let i = 0; i < 3000; i++) sum += new Shape(i).sum(); say(sum)
  const later = async (n) => { if (n === 0) throw new Error('late'); await null; return n + (n > 1 ? await later(n - 1) : 0) }
  async function* many() { for (let i = 0; i < 3; i++) { await null; yield few(i) } }
  const jobs = async () => { say(await later(5)); try { await later(0) } catch (error) { say(error.message) } for await (const x of many()) say(x); say(await Promise.all([later(1), later(2)])) }
  jobs().then(() => { const text = out.join('\n'); (typeof print === 'function' ? print : console.log)(text) })
})()
`
