import { type CpuSpec, type MachinistError, machinistError } from '@machinist/api'
import type { AddressSpace } from '@machinist/bus'
import type { GuestMemory } from '@machinist/memory'
import type { Native } from '../native.ts'
import { type HardwareConfig, HardwareCpu, type HardwareWants } from './cpu.ts'
import { describeHarts, hardwareIsa } from './describe.ts'

/** Most harts of one machine. */
const MAX_HARTS = 64
/** Most identities of an interrupt file (AIA 1.0, 3.1). */
const MAX_IDENTITIES = 2047

/** Settings of the software core that say how it is quick, and mean nothing here. */
const ignored: ReadonlySet<string> = new Set(['translate', 'hot'])

/** Inputs of a hart that end in VS-mode, by the cause of their interrupt. */
const inputs: Readonly<Record<string, number>> = { ssip: 1, seip: 9, simsic: 9 }
/** Those of M-mode, of which guests of the hardware have none: a line that is connected there raises nothing. */
const machineInputs: Readonly<Record<string, number>> = { msip: 3, mtip: 7, meip: 11 }

function bad(part: string, field: string, value: unknown, remedy: string): MachinistError {
  return machinistError({ code: 'bad-config', part, value: `${field} = ${String(value)}`, remedy }, 'a setting is not valid')
}

function notHere(part: string, field: string, value: unknown, remedy: string): MachinistError {
  return machinistError({ code: 'not-on-hardware', part, value: `${field} = ${String(value)}`, remedy }, 'the hardware cannot be such a CPU')
}

/**
 * The hardware as a CPU, in VS-mode, in the place of the software core: it has the same kind and takes the same configuration, so that definitions need not know of it.
 *
 * @throws (when it configures) typed errors `'bad-config'`, and `'not-on-hardware'` for firmware in M-mode, and hardware without the hypervisor extension
 */
export function hardwareRiscv(native: Native): CpuSpec<HardwareConfig, GuestMemory, AddressSpace, HardwareWants> {
  const isa = hardwareIsa(native.fdt)
  return {
    kind: 'riscv',
    stateVersion: 1,
    backends: { power: 'power', console: 'char' },
    configure(input, name) {
      if (!isa.hypervisor) throw notHere(name, 'riscv,isa', 'no h', 'Use hardware with the hypervisor extension.')
      if (typeof input !== 'object' || input === null) throw bad(name, 'configuration', input, 'Give an object.')
      const { harts = 1, firmware = 'sbi', identities = 0, ...rest } = input as Record<string, unknown>
      const unknown = Object.keys(rest).find((field) => !ignored.has(field))
      if (unknown !== undefined) throw bad(name, unknown, rest[unknown], 'Settings are harts, firmware and identities.')
      if (typeof harts !== 'number' || !Number.isInteger(harts) || harts < 1 || harts > MAX_HARTS) throw bad(name, 'harts', harts, `Use a whole number from 1 to ${MAX_HARTS}.`)
      if (firmware !== 'sbi') throw notHere(name, 'firmware', firmware, "Use 'sbi': guests of the hardware begin in S-mode.")
      if (typeof identities !== 'number' || !Number.isInteger(identities) || identities < 0 || identities > MAX_IDENTITIES || (identities > 0 && identities % 64 !== 63)) {
        throw bad(name, 'identities', identities, `Use one less than a multiple of 64, up to ${MAX_IDENTITIES}, or 0 for none.`)
      }
      return { harts, firmware, identities }
    },
    harts: (config) => config.harts,
    inputReference(line) {
      const [, hart, input = ''] = /^(hart\d+)\.(\w+)$/.exec(line) ?? []
      const cause = inputs[input] ?? machineInputs[input]
      return hart === undefined || cause === undefined ? null : { ref: hart, cells: [cause] }
    },
    create: (config, context) => new HardwareCpu(native, config, context),
    describe(config, at, out) {
      if (out.fdt) describeHarts(out.fdt, config, isa, at.timeFrequency)
    },
  }
}
