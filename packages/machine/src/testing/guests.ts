import { defineMachine, part } from '../definition/define.ts'
import type { MachineDefinition } from '../definition/definition.ts'
import { assemble, constant, fakeCpu, op } from './fake-cpu.ts'
import { gadget, hub } from './fake-devices.ts'

const RAM = 0x8000_0000
const GADGET = 0x1000_0000

/** Writes `value` to a register of the gadget of {@link testMachine}. Takes five instructions, and registers 6 and 7. */
export const poke = (offset: number, value: number): number[] => [...constant(7, GADGET + offset), ...constant(6, value), op.store(6, 7)]

/** Says something at the console. */
export const say = (text: string): number[] => [...text].flatMap((letter) => poke(0, letter.charCodeAt(0)))

/** Switches the machine off. */
export const switchOff = (status: number = 0): number[] => poke(4, status)

/** Guests for {@link testMachine}: one that computes, one that sleeps, one that computes for 2 ms and sleeps for 8 where an instruction takes a microsecond, and one that says more than anybody can hear. */
export const testGuests: Readonly<Record<'busy' | 'sleeping' | 'halves' | 'flood', readonly number[]>> = {
  busy: [op.nop(), op.nop(), op.li(1, 1), op.branch(1, -3)],
  sleeping: [op.wait(), op.stop()],
  halves: [...constant(1, 8_000_000), op.li(2, 500), op.li(3, 1), op.sub(2, 3), op.nop(), op.nop(), op.branch(2, -3), op.timer(1), op.wait(), op.li(4, 1), op.branch(4, -9)],
  flood: [...poke(0, 120), op.li(1, 1), op.branch(1, -6)],
}

/** A machine of 1 MiB with a {@link gadget}, whose console is the backend `'console'`, that runs a program of {@link fakeCpu}. */
export function testMachine(words: readonly number[]): MachineDefinition {
  return defineMachine({
    name: 'test',
    memory: { base: RAM, size: 1 << 20 },
    cpu: part(fakeCpu),
    devices: { hub: part(hub, { at: 0xc00_0000 }), gadget: part(gadget, { at: GADGET, backends: { console: 'console' } }) },
    boot: { protocol: 'raw', images: [{ name: 'code', at: RAM, bytes: assemble(words) }], entry: RAM },
  }).definition
}
