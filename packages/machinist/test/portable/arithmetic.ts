/** A script that prints what operators make of all pairs of numbers that are special, or random, of other values and of properties: for each engine the same. */
export const arithmetic = `(function () {
  const show = typeof print === 'function' ? print : console.log
  let numbers = [0, -0, 1, -1, 2, 3, 31, 32, 33, 4095, -4096, 65535, 0.5, -0.5, 1.5, 2147483647, -2147483648, 2147483648, -2147483649, 4294967295, 4294967296, -4294967297, 9007199254740991, -9007199254740993, 4.611686018427388e18, -4.611686018427388e18, 9.3e18, 1e300, -1e300, 5e-324, Infinity, -Infinity, NaN, 0x80000fff, 0x80201000, 12345678901]
  let seed = 12345
  function random() { seed = (Math.imul(seed, 1103515245) + 12345) >>> 0; return seed }
  for (var i = 0; i < 60; i++) numbers.push(i % 3 === 0 ? random() : i % 3 === 1 ? random() - 2 ** 31 : (random() * 2 ** 32 + random()) / 2 ** (random() % 40))
  function text(x) { return Object.is(x, -0) ? '-0' : String(x) }
  numbers.forEach(function (a) {
    numbers.forEach(function (b) {
      let sum = a; sum += b
      let local = 0; local = a; local += b; local -= b
      show([a + b, a - b, a * b, sum, local, a & b, a | b, a ^ b, a << b, a >> b, a >>> b, a < b, a <= b, a > b, a >= b, a == b, a != b, a === b, a !== b, (a - b) / 2, 1 / (a - b), 1 / (a + b), a / b, a % b, Object.is(a - b, b - a)].map(text).join(' '))
    })
  })
  // Mixed with what is no number.
  let others = ['5', '', 'x', null, undefined, true, [7], { valueOf: function () { return 2147483648.5 } }]
  numbers.slice(0, 36).forEach(function (a) { others.forEach(function (b) { show([a + b, b + a, a - b, a * b, a & b, a | b, a << b, a >> b, a >>> b, a < b, a >= b, a == b, a === b].map(text).join(' ')) }) })
  // Counted up and down, in a variable, a property and an element, with the value before wanted or not.
  numbers.concat(others, [5n, -(2n ** 70n)]).forEach(function (a) {
    let up = a, down = a, has = { up: a, down: a }, list = [a, a]
    let before = [up++, down--, has.up++, has.down--, list[0]++, list[1]--]
    show(before.concat([up, down, has.up, has.down], list).map(text).join(' '))
    up++, down--, has.up++, has.down--, list[0]++, list[1]--
    show([up, down, has.up, has.down].concat(list, [++up, --down, up++ + up, down-- - down]).map(text).join(' '))
  })
  let bigs = [5n, -5n, 2n ** 40n, -(2n ** 70n)]
  bigs.forEach(function (a) { bigs.forEach(function (b) { show([a + b, a - b, a * b, a & b, a | b, a ^ b, a < b, a >= b, a === b].map(text).join(' ')) }) })
  numbers.slice(0, 36).forEach(function (a) { bigs.forEach(function (b) { show([a < b, a <= b, a > b, a >= b, a == b, a === b, b < a].map(text).join(' ')) }) })
  // Properties.
  class Base { get got() { return this.kept + 1 } plain() { return 'base' } }
  class Derived extends Base { constructor() { super(); this.kept = 41 } plain() { return super.plain() + '+' } }
  let thrown = ''
  try { ({}).missing.more } catch (error) { thrown = error.constructor.name }
  let getter = { get x() { throw new RangeError('thrown') } }, caught = ''
  try { getter.x } catch (error) { caught = error.message }
  let proxy = new Proxy(Object.create({ deep: 1 }), { get: function (target, name) { return 'proxy ' + String(name) } })
  let below = Object.create(proxy)
  let words = new Uint32Array(4); words.extra = 9
  show([new Derived().got, new Derived().plain(), thrown, caught, proxy.any, below.any, words.length, words.extra, words.missing, words.fill === Uint32Array.prototype.fill, 'abc'.length, typeof (5).toFixed, [1, 2].length, [1, 2].push === Array.prototype.push, Object.create(null).x, (function () { return arguments.length })(1, 2), { set only(v) {} }.only, Math.PI, globalThis.undefined].map(String).join(' '))
})()
`
