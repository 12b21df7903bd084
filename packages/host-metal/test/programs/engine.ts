// Runs in the image: the engine's known defects are mended, and what exceptions and rejections show.
import type { Native } from '../../src/native.ts'

declare const native: Native

function check(what: string, have: unknown, want: unknown): void {
  if (have !== want) native.print(`wrong: ${what} is ${String(have)}, not ${String(want)}\n`)
}

const values = [2n ** 63n, 2n ** 64n - 1n, 2n ** 127n, 2n ** 128n - 1n, 2n ** 63n + 5n, 255n, 0n, 1n, -1n, -255n, -(2n ** 63n), -(2n ** 64n), -(2n ** 130n) + 3n]
for (const value of values) {
  for (const bits of [1, 2, 31, 32, 63, 64, 65, 100, 127, 128, 129, 200]) {
    const modulus = 1n << BigInt(bits)
    const unsigned = ((value % modulus) + modulus) % modulus
    check(`asUintN(${bits}, ${value})`, BigInt.asUintN(bits, value), unsigned)
    check(`asIntN(${bits}, ${value})`, BigInt.asIntN(bits, value), unsigned >= modulus / 2n ? unsigned - modulus : unsigned)
  }
  for (const radix of [2, 4, 8, 16, 32, 7]) {
    const text = value.toString(radix).replace('-', '')
    if (text.length > 1 && text.startsWith('0')) native.print(`wrong: ${text} begins with 0\n`)
    let back = 0n
    for (const digit of text) back = back * BigInt(radix) + BigInt(parseInt(digit, radix))
    check(`${value}.toString(${radix})`, back, value < 0n ? -value : value)
  }
}
check('0.1 + 0.2', `${0.1 + 0.2}`, '0.30000000000000004')
check('2^53 % 1000', 2 ** 53 % 1000, 992)
check('a regular expression', /^(\w+)-(?<n>\d+)$/.exec('metal-42')?.groups?.['n'], '42')

// Jobs run when they are asked for, and not before.
let turns = 0
void Promise.resolve().then(() => { turns++ })
check('turns', turns, 0)
native.jobs()
check('turns', turns, 1)
const late = Promise.reject(new Error('handled in time'))
late.catch(() => undefined)
void Promise.reject(new Error('nobody cared'))
native.jobs()

// What the kernel is given is checked.
const refused = (what: string, call: () => unknown): void => {
  try {
    call()
    native.print(`wrong: ${what} was not refused\n`)
  } catch (error) {
    if (!(error instanceof RangeError)) native.print(`wrong: ${what} threw ${String(error)}\n`)
  }
}
const [{ base, length } = { base: 0, length: 0 }] = native.ram()
const kernel = 0x80200000
refused('a window of the kernel', () => native.window(kernel, 4096))
refused('a window past the end', () => native.window(base, 2 ** 40))
refused('a window across the end', () => native.window(base + length - 4096, 8192))
refused('a negative address', () => native.zero(-4096, 4096))
refused('a fraction', () => native.zero(base + 0.5, 1))
refused('NaN', () => native.copy(base, Number.NaN, 1))
refused('a register in memory', () => native.read(base, 4))
refused('a register in the kernel', () => { native.write(kernel, 4, 0) })
refused('a register that is not aligned', () => native.read(0x10000001, 2))
for (const width of [1, 2, 4] as const) {
  refused('a register where nothing is', () => native.read(0x18000000, width))
  refused('a register where nothing is', () => { native.write(0x18000000, width, 0) })
}
check('a register that is there', native.read(0x10001000, 4), 0x74726976)
refused('a source beyond the last', () => { native.complete(100000) })
const vm = native.createVm()
refused('the kernel as guest memory', () => { native.map(vm, 0, kernel, 4096, true) })
refused('the tables as guest memory', () => { native.map(vm, 0, base + length, 4096, true) })
refused('half a page', () => { native.map(vm, 0, base, 2048, true) })
refused('a guest address of 42 bits', () => { native.map(vm, 2 ** 41, base, 4096, true) })
refused('another vm', () => { native.map(vm + 1, 0, base, 4096, true) })
refused('a vcpu that is not there', () => { native.enter(200, 0) })
refused('hart 0', () => { native.dispatch(native.createVcpu(vm, 0).id, 0, 0) })
refused('an index of a hart twice', () => native.createVcpu(vm, 0))
native.destroyVm(vm)

const before = native.now()
native.idle(before + 2e6)
if (native.now() < before + 2e6) native.print('wrong: idle came back too early\n')
native.print('checked\n')

class Deep {
  #depth = 0
  fall(): never {
    if (this.#depth++ < 2) this.fall()
    throw new TypeError('the end')
  }
}
new Deep().fall()
