/** On the metal: hostile guests, and beside them one that minds its own business; says what the first found, and whether the other noticed. */
import type { Native } from '../../src/native.ts'
import { metalHost } from '../../src/host.ts'
import { hardwareRiscv } from '../../src/vcpu/spec.ts'
import { hostileMachine } from '../hostile/machine.ts'
import { deeds, findings, program } from '../hostile/program.ts'
import { bystander, watch } from '../hostile/bystander.ts'

declare const native: Native

export function run(seed: number, count: number): void {
  const host = metalHost(native, { entropy: { fill: (into) => { into.fill(7) } }, wallClock: { now: () => 0n } })
  const cpu = hardwareRiscv(native)
  const list = deeds(seed, count)
  const other = hostileMachine(cpu, host, bystander, 'bystander')
  const machine = hostileMachine(cpu, host, program(list))
  other.start()
  machine.start()
  for (const end = native.now() + 60e9; machine.state === 'running' && native.now() < end;) {
    host.loop.turn()
    native.jobs()
  }
  for (const line of findings(list, (address, into) => machine.memory.read(address, into))) native.print(`${line}\n`)
  native.print(`${machine.state}\n`)
  const before = watch(other)
  for (const end = native.now() + 1e9; native.now() < end && watch(other) === before;) host.loop.turn()
  native.print(watch(other) > before && before > 0 ? 'the other goes on\n' : `the other is ${other.state}, at ${before}\n`)
  native.powerOff(0)
}
