import { machinistError } from '@machinist/api'
import { type BackendDescriptor, CPU_PART, type MachineDefinition } from '@machinist/machine'

/** What options give each part, for what is to be done about a mismatch. */
const OPTIONS: readonly (readonly [part: RegExp, option: string])[] = [
  [/^disk\d+$/, '--disk'], [/^nvme\d+$/, '--disk PATH,bus=nvme'], [/^pmem\d+$/, '--pmem'], [/^net\d+$/, '--net'], [/^share\d+$/, '--share'], [/^vsock$/, '--vsock'], [/^balloon$/, '--balloon'],
]

function optionOf(part: string): string | undefined {
  return OPTIONS.find(([form]) => form.test(part))?.[1]
}

/** The machine itself presses its power button: one that was saved has it, or not. */
export const isOwn = (descriptor: BackendDescriptor): boolean => descriptor === 'power-button'

/** The parts of a machine that are connected to something outside, by name, with their kinds. */
function connected({ devices }: MachineDefinition): ReadonlyMap<string, string> {
  return new Map(Object.entries(devices).flatMap(([name, { kind, backends = {} }]) => (Object.values(backends).some((each) => !isOwn(each)) ? [[name, kind] as const] : [])))
}

/**
 * Compares what a machine that was saved is connected to with what is there for it now.
 *
 * @throws a typed error `'restore-parts'` that names the first part which is missing, is too many, or is of another kind
 */
export function checkSameParts(saved: MachineDefinition, given: MachineDefinition): void {
  const [before, now] = [connected(saved), connected(given)]
  const refuse = (part: string, problem: string, value: string, remedy: string): never => { throw machinistError({ code: 'restore-parts', part, value, remedy }, problem) }
  const many = (part: string): string => {
    const option = optionOf(part)
    if (part === 'ide') return 'Give the drives that it had, with --cdrom, and with --disk and bus=ide.'
    if (option === undefined) return 'Give the machine what it had.'
    const count = [...before.keys()].filter((name) => optionOf(name) === option).length
    return count === 0 ? `Leave out ${option}.` : `Give ${count} with ${option}, or leave ${option} out.`
  }
  for (const [name, kind] of before) if (!now.has(name)) refuse(name, 'the machine that was saved has it, and there is nothing for it now', kind, many(name))
  for (const [name, kind] of now) {
    const other = before.get(name)
    if (other === undefined) refuse(name, 'the machine that was saved has no such part', kind, many(name))
    else if (other !== kind) refuse(name, `the machine that was saved has another kind of part, ${other}`, kind, 'Start it as it was when it was saved.')
  }
  const [cpu, other] = [saved.cpu.kind, given.cpu.kind]
  if (cpu !== other) refuse(CPU_PART, `the machine that was saved has another kind of part, ${cpu}`, other, 'Start it as it was when it was saved.')
}
