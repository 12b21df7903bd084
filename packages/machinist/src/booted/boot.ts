import { readFile } from 'node:fs/promises'
import { machinistError } from '@machinist/api'
import type { VirtOptions } from '@machinist/boards'
import { concatInitrds } from '@machinist/boot'
import { nodeHost } from '@machinist/host-node'
import { createMachine, type Machine, part } from '@machinist/machine'
import { consoleWith, virtioMmio, virtioPci } from '@machinist/virtio'
import { board, virtioOf } from '../architecture.ts'
import { guestCommandLine, prepareGuest, type PrepareGuestOptions } from '../guest/index.ts'
import { agentInitrd, agentPort, AGENTS } from './agent.ts'
import { AgentLine } from './agent-line.ts'
import { ConsoleView } from './console.ts'
import { BootedGuest, type Guest } from './guest.ts'
import { AGENT_PART, networkBackend } from './network.ts'

/** Milliseconds, on a busy machine. */
const DEFAULT_TIMEOUT = 120_000
const PROMPT = '# '

/** The machine of a guest: what of the options of `virt` the guest itself does not need. `interrupts` is for RISC-V. */
export type GuestMachineOptions = Pick<VirtOptions, 'memory' | 'harts' | 'disks' | 'devices' | 'time' | 'randomness' | 'wallClock' | 'interrupts'>

/** What {@link bootGuest} may be given. */
export interface BootGuestOptions {
  /** For errors and reports; `'guest'` unless given. */
  readonly name?: string | undefined
  /** The machine; one hart and 256 MiB unless given. Copies get disks of their own, those of `@machinist/storage` and `openDisk` by themselves. */
  readonly machine?: GuestMachineOptions | undefined
  /** What it is for, which decides what machine it has; where Debian is kept, further modules of its kernel, and who is told of progress. */
  readonly prepare?: PrepareGuestOptions | undefined
  /** More of the kernel's command line. */
  readonly append?: string | undefined
  /** Milliseconds to boot in, once Debian is there; 120 000 unless given. */
  readonly timeout?: number | undefined
}

/**
 * Boots Debian's Linux with busybox, and gives it when its shell waits. It runs in this process, in the time that this process has; see {@link Guest} for what it does,
 * and dispose of it at the end.
 *
 * @throws as {@link prepareGuest} and `createMachine`; typed errors `'guest-boot'` when it did not come up in time, and `'guest-off'` when it ended on the way
 */
export async function bootGuest(options: BootGuestOptions = {}): Promise<Guest> {
  const { name = 'guest', timeout = DEFAULT_TIMEOUT } = options
  const prepared = await prepareGuest(options.prepare)
  const [kernel, initrd] = await Promise.all([readFile(prepared.kernel), readFile(prepared.initrd)])
  const console = new ConsoleView(name, '')
  const up = { lines: 0, told: (): void => {} }
  const lines: AgentLine[] = Array.from({ length: AGENTS }, () => new AgentLine(() => {
    up.lines++
    up.told()
    guest.next()
  }))
  const machine = guestMachine(options, kernel, concatInitrds([initrd, agentInitrd()]), console, lines)
  const guest = new BootedGuest(name, machine, console, lines)
  try {
    const began = performance.now()
    machine.start()
    await console.expect(PROMPT, { timeout })
    await new Promise<void>((resolve, reject) => {
      const late = setTimeout(() => { reject(machinistError({ code: 'guest-boot', part: name, remedy: `Its screen:\n${console.screen}` }, 'the guest booted, but does not listen')) }, Math.max(0, timeout - (performance.now() - began)))
      up.told = () => {
        if (up.lines < AGENTS) return
        clearTimeout(late)
        resolve()
      }
      up.told()
    })
  } catch (error) {
    guest.dispose()
    throw error
  }
  return guest
}

function guestMachine(options: BootGuestOptions, kernel: Uint8Array, initrd: Uint8Array, console: ConsoleView, lines: readonly AgentLine[]): Machine {
  const ports = lines.map((_, index) => agentPort(index))
  const backends = Object.fromEntries(lines.map((line, index) => [agentPort(index), line.backend]))
  const architecture = options.prepare?.architecture ?? 'riscv64'
  const agent = consoleWith('virtio-agent', ['console', ...ports])
  return createMachine(board(architecture, {
    ...options.machine,
    kernel, initrd, console: console.backend, nets: [networkBackend({})],
    // A panic is told by a reset. Nobody gives this network its address.
    append: guestCommandLine({ architecture, console: 'ttyS0', quiet: true, append: `panic=-1 ip=off${options.append === undefined ? '' : ` ${options.append}`}` }),
    devices: {
      ...options.machine?.devices,
      [AGENT_PART]: part(virtioOf(architecture) === 'pci' ? virtioPci(agent) : virtioMmio(agent), { backends: { console: 'null', ...backends } }),
    },
  }), nodeHost())
}
