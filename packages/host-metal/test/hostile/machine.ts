/** Machines for hostile guests: the same on the metal and on the software core. */
import type { CpuSpec } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import { syscon, uart16550a } from '@machinist/devices'
import { aplic, clint, imsic, plic } from '@machinist/interrupts'
import { createMachine, defineMachine, type Machine, type MachineHost, part } from '@machinist/machine'
import type { GuestMemory } from '@machinist/memory'
import { APLIC, CLINT, FILES, PLIC, RAM, RAM_SIZE, TEST, UART } from './program.ts'

/** Any CPU of the kind. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
type RiscvCpu = CpuSpec<any, GuestMemory, AddressSpace, any>

/** @param identities - of the harts' interrupt files; 0: there is a PLIC instead */
export function hostileMachine(cpu: RiscvCpu, host: MachineHost, kernel: Uint8Array, name: string = 'hostile', identities: number = 0): Machine {
  return createMachine(defineMachine({
    name,
    memory: { name: 'ram', base: RAM, size: RAM_SIZE },
    cpu: part(cpu, { config: { harts: 1, ...(identities > 0 && { identities }) }, backends: { console: 'null' } }),
    devices: {
      ...(identities > 0 ? { imsic: part(imsic, { at: FILES, config: { harts: 1, identities } }), aplic: part(aplic, { at: APLIC, config: { harts: 1 } }) } : { plic: part(plic, { at: PLIC, config: { harts: 1 } }) }),
      clint: part(clint, { at: CLINT, config: { harts: 1 } }),
      test: part(syscon, { at: TEST }),
      uart0: part(uart16550a, { at: UART, irq: 10, backends: { console: 'null' } }),
    },
    interruptController: identities > 0 ? 'aplic' : 'plic',
    boot: { protocol: 'riscv', kernel },
  }), host)
}
