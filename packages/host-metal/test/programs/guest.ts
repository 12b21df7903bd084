// A guest of a few instructions, entered once or twice.
import type { Native } from '../../src/native.ts'
import { Answer, VcpuAccess, VcpuExit, vcpuRecord } from '../../src/vcpu-record.ts'

declare const native: Native

const { base } = native.ram()[0] ?? { base: 0 }
const vm = native.createVm()
const { id, page } = native.createVcpu(vm, 0)
const words = new Uint32Array(page)
const code = new Uint32Array(native.window(base, 4096))
native.zero(base, 4096)
const at = (field: keyof typeof vcpuRecord.offset): number => vcpuRecord.offset[field] / 4
const names = Object.keys(VcpuExit)
const show = (): void => native.print(`${names[words[at('exit')] ?? 9]} pc=${(words[at('pc')] ?? 0).toString(16)} address=${(words[at('address')] ?? 0).toString(16)} width=${words[at('width')]} access=${words[at('access')]} value=${(words[at('value')] ?? 0).toString(16)} cause=${words[at('cause')]} a0=${(words[at('x') + 20] ?? 0).toString(16)}:${(words[at('x') + 21] ?? 0).toString(16)}\n`)

code.set([
  0x100002b7, // lui t0, 0x10000
  0x00528023, // sb t0, 0(t0)   with t0 = 0x10000000: stores 0
  0x0002a503, // lw a0, 0(t0)
  0x00000073, // ecall
  0x10500073, // wfi
  0x0000006f, // j .
])
words[at('pc')] = 0x80000000
words[at('pc') + 1] = 0
words[at('mode')] = 1
words[at('vstimecmp')] = 0xffffffff
words[at('vstimecmp') + 1] = 0xffffffff
words[at('x') + 34] = 0x1234567
const enter = (): void => {
  native.enter(id, native.now() + 2e8)
  show()
}
enter() // fetch
if (words[at('access')] !== VcpuAccess.execute) throw new Error('a fetch was expected')
native.map(vm, 0x80000000, base, 4096, true)
words[at('answer')] = Answer.retry
enter() // store
words[at('answer')] = Answer.done
enter() // load
words[at('value')] = 0x80000001
words[at('answer')] = Answer.done
enter() // ecall
enter() // wfi
enter() // time
native.powerOff(0)
