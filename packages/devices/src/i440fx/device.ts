import type { Device, DeviceContext, Width } from '@machinist/api'
import { plainData, RegisterBlock, type RegisterState } from '@machinist/registers'
import { FIRST, i440fxRegisters, READ_RAM, segments, Smram, TURBO_RESET } from './registers.ts'
import { ShadowRam } from './shadow.ts'
import type { I440fxBackends } from './spec.ts'

/** Saved state of the host bridge. */
export interface I440fxState {
  readonly registers: RegisterState
  /** RAM of segments that is not seen; null where it is seen, or all zeros. */
  readonly shadow: readonly (Uint8Array | null)[]
}

/** The registers of the host bridge, of which the attributes of memory below 1 MiB do something. */
export class I440fx implements Device<I440fxState> {
  readonly #context: DeviceContext<never, I440fxBackends>
  readonly #registers: RegisterBlock<typeof i440fxRegisters>
  readonly #shadow: ShadowRam

  constructor(context: DeviceContext<never, I440fxBackends>) {
    this.#context = context
    this.#shadow = new ShadowRam(context.dma)
    this.#registers = new RegisterBlock(i440fxRegisters, {
      name: context.name, trace: context.trace,
      write: {
        PAM: () => { this.#show() },
        SMRAM: (value, old) => { this.#registers.set('SMRAM', smramAfter(value, old)) },
        TRC: (value, old) => { if ((value & ~old & TURBO_RESET) !== 0) context.backends.power.reset() },
      },
    })
  }

  read(_region: number, offset: number, width: Width): number {
    return known(FIRST + offset, width) ? this.#registers.read(FIRST + offset, width) : 0
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    if (known(FIRST + offset, width)) this.#registers.write(FIRST + offset, width, value)
  }

  firmware(): void {
    this.#shadow.begin()
  }

  reset(): void {
    this.#registers.reset()
    this.#shadow.reset()
  }

  save(): I440fxState {
    return { registers: this.#registers.save(), shadow: this.#shadow.save() }
  }

  restore(state: I440fxState): void {
    const { name } = this.#context
    const data = plainData(name, state, 'state')
    const registers = data.unknown('registers')
    const shadow = this.#shadow.check(name, data.unknown('shadow'))
    data.done()
    this.#registers.restore(registers)
    for (const pam of i440fxPams) this.#registers.set('PAM', this.#registers.get('PAM', pam) & i440fxRegisters.PAM.writable, pam)
    this.#registers.set('SMRAM', smramAfter(this.#registers.get('SMRAM'), 0))
    this.#shadow.restore(shadow, (index) => this.#seen(index))
  }

  #seen(index: number): boolean {
    const segment = segments[index]
    return segment !== undefined && (this.#registers.get('PAM', segment.pam) >>> segment.shift & READ_RAM) !== 0
  }

  #show(): void {
    for (const index of segments.keys()) this.#shadow.show(index, this.#seen(index))
  }
}

const i440fxPams: readonly number[] = [0, 1, 2, 3, 4, 5, 6]

/** SMRAM after a write: nothing changes once it is locked, and what is locked is not open. */
function smramAfter(value: number, old: number): number {
  if ((old & Smram.locked) !== 0) return old
  const kept = (value & Smram.all) | Smram.fixed
  return (kept & Smram.locked) !== 0 ? kept & ~Smram.open : kept
}

/** Software that sizes and lists functions reads all of configuration space: what is not there is nothing to warn of. */
function known(offset: number, width: number): boolean {
  return Object.values(i440fxRegisters).some((register) => {
    const { offset: from, width: size } = register
    const count = 'count' in register ? register.count : 1
    return offset < from + size * count && from < offset + width
  })
}
