/** On the metal: what guests find in their interrupt files after a seed's deeds, with one that the hardware may have and one of another size; and whether a guest without one finds what another left in the registers of AIA. */
import type { Native } from '../../src/native.ts'
import { metalHost } from '../../src/host.ts'
import { hardwareRiscv } from '../../src/vcpu/spec.ts'
import { fileDeeds } from '../hostile/interrupt-file.ts'
import { hostileMachine } from '../hostile/machine.ts'
import { type Deed, findings, program } from '../hostile/program.ts'

declare const native: Native

const host = metalHost(native, { entropy: { fill: (into) => { into.fill(7) } }, wallClock: { now: () => 0n } })
const cpu = hardwareRiscv(native)
const [CSRW_SISELECT_A2, CSRR_A0_SISELECT, CSRR_A0_SIREG, CSRR_A0_STOPEI] = [0x1506_1073, 0x1500_2573, 0x1510_2573, 0x15c0_2573]

function found(list: readonly Deed[], name: string, identities: number): readonly string[] {
  const machine = hostileMachine(cpu, host, program(list), name, identities)
  machine.start()
  while (machine.state === 'running') {
    host.loop.turn()
    native.jobs()
  }
  return findings(list, (address, into) => machine.memory.read(address, into))
}

const leave = (value: bigint, word: number): Deed => ({ what: 'leave', arguments: [0n, 0n, value], words: [word] })
const look = (word: number): Deed => ({ what: 'look', arguments: [9n], words: [word] })

export function run(seed: number, count: number, sizes: readonly number[]): void {
  native.print(`identities ${native.identities}, of guests ${native.guestIdentities}\n`)
  for (const identities of sizes) {
    native.print(`with ${identities}\n`)
    for (const line of found(fileDeeds(seed, count), `with-${identities}`, identities)) native.print(`${line}\n`)
  }
  const plain = (list: readonly Deed[], name: string): string => found(list, name, 0).slice(0, -1).map((line) => line.replace(/ fa0=.*(cause=\S+).*/, ' $1')).join(', ')
  native.print(`${plain([leave(0x70n, CSRW_SISELECT_A2), look(CSRR_A0_SIREG), look(CSRR_A0_STOPEI)], 'one')}\n`)
  native.print(`${plain([look(CSRR_A0_SISELECT)], 'other')}\n`)
  native.powerOff(0)
}
