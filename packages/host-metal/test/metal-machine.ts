import { type CharPort, type Backend } from '@machinist/api'
import { syscon, uart16550a } from '@machinist/devices'
import { clint, plic } from '@machinist/interrupts'
import { createMachine, defineMachine, type Machine, part } from '@machinist/machine'
import { hardwareRiscv, type MetalHost, metalHost } from '@machinist/host-metal'
import { FakeNative, type FakeOptions } from './fake-native.ts'

export const RAM = 0x8000_0000
export const TEST = 0x10_0000
export const CLINT = 0x200_0000
export const PLIC = 0xc00_0000
export const UART = 0x1000_0000
/** What the syscon wants to be told to switch off. */
export const OFF = 0x5555

/** What a machine of a test has besides. */
export interface MetalMachineOptions {
  readonly harts?: number
  readonly name?: string
  readonly memory?: number
  /** Bytes that its console is sure to take. */
  readonly room?: number
  readonly devices?: Parameters<typeof defineMachine>[0]['devices']
}

/** Bare metal as a test has it: machines of programs, on the fake. */
export interface Metal {
  readonly native: FakeNative
  readonly host: MetalHost
  readonly cpu: ReturnType<typeof hardwareRiscv>
  /** A machine whose program is at the beginning of RAM; it runs when the event loop turns. */
  machine(words: readonly number[], options?: MetalMachineOptions): { readonly machine: Machine; readonly output: number[] }
  /** Turns the event loop until it has nothing to do, or a machine is not running any more. */
  run(machine: Machine, most?: number): void
}

export function metal(options: FakeOptions = {}): Metal {
  const native = new FakeNative(options)
  const host = metalHost(native, {
    entropy: { fill: (into) => { into.fill(7) } },
    wallClock: { now: () => 1_767_225_600_000_000_000n },
  })
  native.use(host.arena())
  const cpu = hardwareRiscv(native)
  return {
    native, host, cpu,
    machine(words, { harts = 1, name = 'guest', memory = 8 * 2 ** 20, room = 0, devices = {} } = {}) {
      const output: number[] = []
      const console: Backend<CharPort> = {
        kind: 'char',
        connect: () => ({ get room() { return Math.max(0, room - output.length) }, write: (bytes) => output.push(...bytes) && bytes.length, more: () => undefined, read: () => 0, listen: () => undefined }),
      }
      const machine = createMachine(defineMachine({
        name,
        memory: { name: 'ram', base: RAM, size: memory },
        cpu: part(cpu, { config: { harts }, backends: { console: 'null' } }),
        devices: {
          plic: part(plic, { at: PLIC, config: { harts } }),
          clint: part(clint, { at: CLINT, config: { harts } }),
          test: part(syscon, { at: TEST }),
          uart0: part(uart16550a, { at: UART, irq: 10, backends: { console } }),
          ...devices,
        },
        interruptController: 'plic',
        boot: { protocol: 'riscv', kernel: new Uint8Array(Uint32Array.from(words).buffer) },
      }), host)
      return { machine, output }
    },
    run(machine, most = 20_000) {
      for (let turn = 0; turn < most && machine.state === 'running'; turn++) host.loop.turn()
    },
  }
}
