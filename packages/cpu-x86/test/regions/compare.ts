import { readExtendedState } from '../../src/extended-state.ts'
import type { TestMachine } from '../../src/test-machine.ts'
import { at, type Program, ROUNDS_AT } from '../run/programs.ts'

const BASE = Number(at.base)

/** Puts a program into a machine whose processor is about to begin it; one of 32 bits has its rounds in memory. */
export function loadProgram({ memory, hart: { record } }: TestMachine, program: Program, rounds: number): void {
  memory.write(BASE + at.code, program.code)
  memory.write(BASE + at.data, program.data)
  memory.write(BASE + ROUNDS_AT, Uint8Array.of(rounds, rounds >> 8, 0, 0))
  program.registers.forEach((value, number) => { record.set64('registers', value, number) })
}

/** In what two machines differ that have run programs. */
export function differences(a: TestMachine, b: TestMachine): string[] {
  const out: string[] = []
  const hex = (value: bigint): string => BigInt.asUintN(64, value).toString(16)
  const [x, y] = [a.hart.record, b.hart.record]
  for (let i = 0; i < 16; i++) if (x.get64('registers', i) !== y.get64('registers', i)) out.push(`register ${i}: ${hex(x.get64('registers', i))} ${hex(y.get64('registers', i))}`)
  if (x.get64('pc') !== y.get64('pc')) out.push(`rip: ${hex(x.get64('pc'))} ${hex(y.get64('pc'))}`)
  if (a.hart.steps !== b.hart.steps) out.push(`steps: ${a.hart.steps} ${b.hart.steps}`)
  const [flags, others] = [a, b].map(({ hart }) => JSON.stringify((hart.save() as { readonly flags?: unknown }).flags, (_, value: unknown) => typeof value === 'bigint' ? String(value) : value))
  if (flags !== others) out.push(`flags: ${String(flags)} ${String(others)}`)
  if (Buffer.compare(readExtendedState(x.data, x.state.float), readExtendedState(y.data, y.state.float)) !== 0) out.push('vectors')
  const [m, n] = [a, b].map(({ memory }) => {
    const bytes = new Uint8Array(at.size)
    memory.read(BASE, bytes)
    return bytes
  }) as [Uint8Array, Uint8Array]
  const place = m.findIndex((byte, i) => byte !== n[i])
  if (place >= 0) out.push(`memory at ${place.toString(16)}`)
  return out
}
