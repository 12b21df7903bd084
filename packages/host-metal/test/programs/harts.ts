// Runs in the image: two harts of a guest on two harts of the hardware, with IPIs and fences between them, kicks, and tables that change under way.
import type { Native } from '../../src/native.ts'
import { Answer, VcpuExit, vcpuRecord } from '../../src/vcpu-record.ts'

declare const native: Native

const GUEST = 0x80000000
const SHARED = 0x80100000
const VSSIP = 4

const field = (name: keyof typeof vcpuRecord.offset): number => vcpuRecord.offset[name] / 4

interface Hart {
  readonly id: number
  readonly words: Uint32Array
}

function hart(vm: number, index: number, pc: number): Hart {
  const { id, page } = native.createVcpu(vm, index)
  const words = new Uint32Array(page)
  words[field('pc')] = pc
  words[field('mode')] = 1
  words.fill(0xffffffff, field('vstimecmp'), field('vstimecmp') + 2)
  return { id, words }
}

const is = (of: Hart, name: keyof typeof vcpuRecord.offset): number => of.words[field(name)] ?? 0
/** The extension of an SBI call, `a7`. */
const call = (of: Hart): number => of.words[field('x') + 34] ?? 0

function fail(what: string): never {
  native.print(`wrong: ${what}\n`)
  native.powerOff(1)
}

/** The guest's code, as 32-bit words. */
export function run(code: readonly number[]): void {
  const { base } = [...native.ram()].sort((one, other) => other.length - one.length)[0] ?? fail('there is no memory')
  native.zero(base, 1 << 21)
  const ram = new Uint32Array(native.window(base, 1 << 21))
  ram.set(code)
  const vm = native.createVm()
  native.map(vm, GUEST, base, 1 << 16, true)
  const [first, second] = [hart(vm, 0, GUEST), hart(vm, 1, GUEST + 0x400)]
  const data = 0x2000 / 4
  let exits = 0

  // IPIs and fences: first to a hart that waits and is dispatched anew for each, then to one that spins in the guest.
  for (const mode of [0, 1]) {
    ram[data] = 0
    ram[data + 2] = mode
    let parked = true
    native.kick(second.id)
    native.dispatch(second.id, 1, Infinity)
    parked = false
    for (let done = false; !done;) {
      native.enter(first.id, native.now() + 1e9)
      if (is(first, 'exit') === VcpuExit.ecall) {
        if (call(first) !== 100) fail(`SBI call ${call(first)} of hart 0, a0 ${first.words[field('x') + 20]}`)
        done = true
      } else if (is(first, 'exit') !== VcpuExit.time) fail(`exit ${is(first, 'exit')} of hart 0`)
      for (let id = native.exited(); id >= 0; id = native.exited()) {
        exits++
        if (is(second, 'exit') !== VcpuExit.wait && is(second, 'exit') !== VcpuExit.time) fail(`exit ${is(second, 'exit')} of hart 1`)
        parked = true
      }
      if (parked && (is(second, 'exit') === VcpuExit.time || (is(second, 'hvip') & VSSIP) !== 0)) {
        native.dispatch(second.id, 1, Infinity)
        parked = false
      }
    }
    if ((ram[data] ?? 0) < 100) fail(`${ram[data]} interrupts`)
    // A kick ends what has no end.
    if (!parked) {
      native.kick(second.id)
      while (native.exited() < 0) native.idle(native.now() + 1e9)
    }
  }
  native.print(`IPIs and fences work, with ${exits > 50 ? 'many' : 'few'} exits\n`)

  // A page is taken away and given anew, while the other hart reads it: it never sees what the old frame holds afterwards.
  const POISON = 0x600df00d
  ram[data + 4] = POISON
  ram[data + 2] = 2
  const frame = (i: number): number => base + (1 << 20) + (i % 16) * 4096
  native.map(vm, SHARED, frame(0), 4096, true)
  native.dispatch(second.id, 1, Infinity)
  let faults = 0
  // The other hart may not have its turn for a while, where the emulator's threads share a processor.
  for (let i = 0; i < 100 || (faults === 0 && i < 100_000); i++) {
    native.unmap(vm, SHARED, 4096)
    ram[(frame(i) - base) / 4] = POISON
    const until = native.now() + 5e4
    while (native.now() < until);
    ram[(frame(i + 1) - base) / 4] = 0
    native.map(vm, SHARED, frame(i + 1), 4096, i % 2 === 0)
    while (native.exited() >= 0) {
      if (is(second, 'exit') === VcpuExit.access) {
        if (is(second, 'address') !== SHARED) fail(`an access to ${is(second, 'address').toString(16)}`)
        faults++
        second.words[field('answer')] = Answer.retry
      } else fail(`exit ${is(second, 'exit')}, call ${call(second)}: a page was seen that was taken away`)
      native.dispatch(second.id, 1, Infinity)
    }
  }
  native.print(faults > 0 ? 'pages that were taken away are not seen\n' : 'wrong: no access met a page that was taken away\n')

  // A VM ends while a hart of it runs.
  native.destroyVm(vm)
  const again = native.createVm()
  if (again !== vm) fail('the number of a VM that ended is not free')
  native.print('done\n')
  native.powerOff(0)
}
