import { HsmState, SbiError, SbiExtension } from './numbers.ts'
import type { HartPmu } from './pmu.ts'
import { ipi, legacyCall, rfence, setTimer } from './remote.ts'

/** Where a suspended hart starts over, and what is in a1 then. */
export interface ResumePoint {
  readonly pc: bigint
  readonly opaque: bigint
}

/** What the SBI needs of a hart, of whatever kind. */
export interface SbiHart {
  readonly index: number
  /** HSM state. */
  hsm: number
  /** Integer register as an unsigned 64-bit value. */
  getX(index: number): bigint
  /** @param value - modulo 2^64: errors are negative */
  setX(index: number, value: bigint): void
  /** Programs the supervisor timer. */
  setTimer(time: bigint): void
  raiseSoftwareInterrupt(): void
  /** Whether one was pending. */
  clearSoftwareInterrupt(): boolean
  /** 64 bits at a virtual address, as S-mode sees it now; null where there is no RAM. */
  readVirtual(address: bigint): bigint | null
  /** Null, for all harts of a machine, where the PMU extension is not to be there. */
  readonly pmu: HartPmu | null
  /** SFENCE.VMA of everything, before it executes another instruction: one that runs elsewhere has done it when this returns (8.3). */
  requestFlush(): void
  /** FENCE.I in the same way. A hart that sees stores to code at once does not have it. */
  fenceInstructions?(): void
  /** Begins in S-mode at `pc`, translation off, with a0 = hart id and a1 = `opaque`. */
  start(pc: bigint, opaque: bigint): void
  /** Stops; the current run ends. */
  stop(): void
  /** Waits for an interrupt. With `resume`, it then starts over there, as `start` does. */
  suspend(resume: ResumePoint | null): void
}

/** What the SBI needs of the machine. */
export interface SbiPlatform {
  readonly harts: readonly SbiHart[]
  readonly memory: { read(address: number, into: Uint8Array): boolean; write(address: number, from: Uint8Array): boolean }
  /** `send` takes all: a hart that says more than the host takes goes on when it has been taken, as it would below firmware. */
  readonly console: { send(bytes: Uint8Array): void; read(into: Uint8Array): number }
  powerOff(status: number): void
  reset(): void
}

/** Most bytes a debug-console call moves at once; the guest calls again for the rest. */
const CONSOLE_CHUNK = 65536

const SPEC_VERSION = 2n << 24n
/** No registered implementation id; Machinist has none yet. */
const IMPLEMENTATION_ID = 0x4d41_4348n
const IMPLEMENTATION_VERSION = 1n

/**
 * The Supervisor Binary Interface, version 2.0, as a machine without M-mode firmware offers it: BASE, TIME, IPI,
 * RFENCE, HSM, SRST, DBCN, SUSP and PMU, and the calls of version 0.1.
 */
export class Sbi {
  readonly #platform: SbiPlatform

  constructor(platform: SbiPlatform) {
    this.#platform = platform
  }

  /** Serves the ECALL that `hart` has made: registers a0 to a7 hold the call, a0 and a1 get the answer. */
  call(hart: SbiHart): void {
    const extension = hart.getX(17)
    const number = Number(BigInt.asUintN(32, extension))
    if (extension <= BigInt(SbiExtension.legacyShutdown)) {
      this.#legacy(hart, number)
      return
    }
    const handler = extension >> 32n === 0n ? this.#extensions[number] : undefined
    const answer = handler ? handler(hart, Number(BigInt.asUintN(32, hart.getX(16)))) : SbiError.notSupported
    if (answer === null) return
    const [error, value] = typeof answer === 'bigint' ? [answer, 0n] : answer
    hart.setX(10, error)
    hart.setX(11, value)
  }

  #legacy(hart: SbiHart, number: number): void {
    const { console } = this.#platform
    if (number === SbiExtension.legacyPutchar) {
      console.send(Uint8Array.of(Number(hart.getX(10) & 0xffn)))
      hart.setX(10, 0n)
    } else if (number === SbiExtension.legacyGetchar) {
      const byte = new Uint8Array(1)
      hart.setX(10, console.read(byte) === 1 ? BigInt(byte[0] ?? 0) : -1n)
    } else if (number === SbiExtension.legacyShutdown) this.#platform.powerOff(0)
    else hart.setX(10, legacyCall(hart, this.#platform.harts, number))
  }

  /** `null`: the hart does not go on after the call. */
  readonly #extensions: Readonly<Record<number, (hart: SbiHart, id: number) => bigint | readonly [bigint, bigint] | null>> = {
    [SbiExtension.base]: (hart, id) => this.#base(hart, id),
    [SbiExtension.time]: (hart, id) => id === 0 ? setTimer(hart) : SbiError.notSupported,
    [SbiExtension.ipi]: (hart, id) => ipi(hart, this.#platform.harts, id),
    [SbiExtension.rfence]: (hart, id) => rfence(hart, this.#platform.harts, id),
    [SbiExtension.hsm]: (hart, id) => this.#hsm(hart, id),
    [SbiExtension.srst]: (hart, id) => this.#systemReset(hart, id),
    [SbiExtension.dbcn]: (hart, id) => this.#debugConsole(hart, id),
    [SbiExtension.susp]: (hart, id) => this.#systemSuspend(hart, id),
    [SbiExtension.pmu]: (hart, id) => hart.pmu?.call(hart, id) ?? SbiError.notSupported,
  }

  #base(hart: SbiHart, id: number): bigint | readonly [bigint, bigint] {
    switch (id) {
      case 0:
        return [SbiError.success, SPEC_VERSION]
      case 1:
        return [SbiError.success, IMPLEMENTATION_ID]
      case 2:
        return [SbiError.success, IMPLEMENTATION_VERSION]
      case 3: {
        const wanted = hart.getX(10)
        const there = wanted >> 32n === 0n && Number(wanted) in this.#extensions && (Number(wanted) !== SbiExtension.pmu || hart.pmu !== null)
        const known = wanted <= BigInt(SbiExtension.legacyShutdown) || there
        return [SbiError.success, known ? 1n : 0n]
      }
      case 4: // mvendorid, marchid and mimpid are all zero
      case 5:
      case 6:
        return [SbiError.success, 0n]
      default:
        return SbiError.notSupported
    }
  }

  #hsm(hart: SbiHart, id: number): bigint | readonly [bigint, bigint] | null {
    const { harts } = this.#platform
    const target = harts[Number(BigInt.asUintN(32, hart.getX(10)))]
    switch (id) {
      case 0:
        if (!target || hart.getX(10) >> 32n !== 0n) return SbiError.invalidParam
        if (target.hsm !== HsmState.stopped) return SbiError.alreadyAvailable
        if (!this.#executable(hart.getX(11))) return SbiError.invalidAddress
        target.start(hart.getX(11), hart.getX(12))
        return SbiError.success
      case 1:
        hart.stop()
        return null
      case 2:
        if (!target || hart.getX(10) >> 32n !== 0n) return SbiError.invalidParam
        return [SbiError.success, BigInt(target.hsm)]
      case 3: {
        const type = Number(BigInt.asUintN(32, hart.getX(10)))
        if (type === 0) hart.setX(10, SbiError.success)
        else if (type !== 0x8000_0000) return SbiError.invalidParam
        else if (!this.#executable(hart.getX(11))) return SbiError.invalidAddress
        if (type === 0) {
          hart.setX(11, 0n)
          hart.suspend(null)
        } else hart.suspend({ pc: hart.getX(11), opaque: hart.getX(12) })
        return null
      }
      default:
        return SbiError.notSupported
    }
  }

  /** A plausible place to begin: RAM, and aligned for an instruction. */
  #executable(address: bigint): boolean {
    return (address & 1n) === 0n && address < 1n << 53n && this.#platform.memory.read(Number(address), new Uint8Array(2))
  }

  #systemReset(hart: SbiHart, id: number): bigint | null {
    if (id !== 0) return SbiError.notSupported
    const type = Number(BigInt.asUintN(32, hart.getX(10)))
    const reason = Number(BigInt.asUintN(32, hart.getX(11)))
    if (type > 2 || reason > 1) return SbiError.invalidParam
    if (type === 0) this.#platform.powerOff(reason === 0 ? 0 : 1)
    else this.#platform.reset()
    return null
  }

  #debugConsole(hart: SbiHart, id: number): bigint | readonly [bigint, bigint] {
    const { console, memory } = this.#platform
    if (id > 2) return SbiError.notSupported
    if (id === 2) {
      console.send(Uint8Array.of(Number(hart.getX(10) & 0xffn)))
      return SbiError.success
    }
    const bytes = hart.getX(10)
    const address = hart.getX(11)
    if (hart.getX(12) !== 0n || address >= 1n << 53n) return SbiError.invalidParam
    const buffer = new Uint8Array(Number(bytes < BigInt(CONSOLE_CHUNK) ? bytes : BigInt(CONSOLE_CHUNK)))
    if (id === 0) {
      if (!memory.read(Number(address), buffer)) return SbiError.invalidParam
      console.send(buffer)
      return [SbiError.success, BigInt(buffer.length)]
    }
    // Checked before input is taken, so that none is lost.
    if (!memory.read(Number(address), buffer)) return SbiError.invalidParam
    const taken = console.read(buffer)
    memory.write(Number(address), buffer.subarray(0, taken))
    return [SbiError.success, BigInt(taken)]
  }

  #systemSuspend(hart: SbiHart, id: number): bigint | null {
    if (id !== 0) return SbiError.notSupported
    if (BigInt.asUintN(32, hart.getX(10)) !== 0n) return SbiError.invalidParam
    if (!this.#executable(hart.getX(11))) return SbiError.invalidAddress
    // Suspend to RAM is for the last hart that runs.
    if (this.#platform.harts.some((other) => other !== hart && other.hsm !== HsmState.stopped)) return SbiError.denied
    hart.suspend({ pc: hart.getX(11), opaque: hart.getX(12) })
    return null
  }
}
