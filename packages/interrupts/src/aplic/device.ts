import type { Device, DeviceContext, IrqLine, Width } from '@machinist/api'
import { plainData, RegisterBlock, type RegisterState } from '@machinist/registers'
import { hartLines, type NoBackends } from '../harts.ts'
import { aplicRegisters, Domaincfg, Sourcecfg, SourceMode, Target, words } from './registers.ts'
import type { AplicConfig, AplicIrq } from './spec.ts'

/** An APLIC's saved state. The levels of its inputs are part of it. */
export interface AplicState {
  readonly registers: RegisterState
  readonly levels: readonly number[]
}

/** A domain of an APLIC, which makes a message of every interrupt (AIA 1.0, chapter 4, MSI delivery mode). */
export class Aplic implements Device<AplicState> {
  readonly #name: string
  readonly #sources: number
  readonly #harts: readonly IrqLine[]
  readonly #registers: RegisterBlock<typeof aplicRegisters>
  readonly #pending: Uint32Array
  readonly #enabled: Uint32Array
  readonly #levels = new Uint32Array(words)

  constructor(config: AplicConfig, { name, irq, trace }: DeviceContext<AplicIrq, NoBackends>) {
    this.#name = name
    this.#sources = config.sources
    this.#harts = hartLines(name, irq, config.harts, 'simsic')
    const each = (act: (source: number) => void) => (bits: number, _: number, word: number): void => {
      for (let bit = 0; bit < 32; bit++) if ((bits >>> bit & 1) === 1) act(word * 32 + bit)
    }
    const [setPending, clearPending, enable, disable] = [
      (source: number) => { this.#request(source) }, (source: number) => { setBit(this.#pending, source, false) },
      (source: number) => { this.#enable(source) }, (source: number) => { setBit(this.#enabled, source, false) },
    ]
    // An array of bits takes no number beyond it, and has no bit for what is inactive.
    const numbered = (act: (source: number) => void) => (source: number): void => { if (this.#mode(source) !== SourceMode.inactive) act(source) }
    this.#registers = new RegisterBlock(aplicRegisters, {
      name, trace,
      count: { sourcecfg: config.sources, target: config.sources },
      read: { input: (_, word) => this.#inputs(word) },
      write: {
        domaincfg: () => { this.#forwardAll() },
        sourcecfg: (value, old, index) => { this.#configure(index + 1, value, old) },
        setip: each(setPending),
        setipnum: numbered(setPending),
        setipnum_le: numbered(setPending),
        clrip: each(numbered(clearPending)),
        clripnum: numbered(clearPending),
        setie: each(enable),
        setienum: numbered(enable),
        clrie: each(numbered(disable)),
        clrienum: numbered(disable),
        genmsi: (value) => { this.#send(value) },
        target: (_, _old, index) => { if (this.#mode(index + 1) === SourceMode.inactive) this.#registers.set('target', 0, index) },
      },
    })
    this.#pending = this.#registers.words('pending')
    this.#enabled = this.#registers.words('enabled')
  }

  read(_region: number, offset: number, width: Width): number {
    return this.#registers.read(offset, width)
  }

  write(_region: number, offset: number, width: Width, value: number): void {
    this.#registers.write(offset, width, value)
  }

  /** The wire of a source changed (4.7). */
  input(source: number, level: boolean): void {
    if (source < 1 || source > this.#sources) return
    const before = this.#asserted(source)
    setBit(this.#levels, source, level)
    const after = this.#asserted(source)
    if (after && !before) {
      setBit(this.#pending, source, true)
      this.#forward(source)
    } else if (!after && levelSensitive(this.#mode(source))) setBit(this.#pending, source, false)
  }

  reset(kind: 'cold' | 'warm'): void {
    this.#registers.reset()
    if (kind === 'cold') this.#levels.fill(0)
  }

  save(): AplicState {
    return { registers: this.#registers.save(), levels: [...this.#levels] }
  }

  restore(state: AplicState): void {
    const data = plainData(this.#name, state, 'state')
    const levels = data.integers('levels', words, 0, 0xffff_ffff)
    const registers = data.unknown('registers')
    data.done()
    this.#registers.restore(registers)
    this.#levels.set(levels)
    // What a guest cannot bring about is not the state's to say.
    const domaincfg = this.#registers.get('domaincfg') & Domaincfg.interruptEnable
    this.#registers.set('domaincfg', domaincfg + Domaincfg.fixed + Domaincfg.msiMode)
    this.#registers.set('genmsi', this.#registers.get('genmsi') & Target.writable)
    for (let source = 0; source < words * 32; source++) {
      const mode = this.#mode(source)
      const active = mode !== SourceMode.inactive
      if (!active) setBit(this.#enabled, source, false)
      if (!active || (levelSensitive(mode) && !this.#asserted(source))) setBit(this.#pending, source, false)
      if (source < 1 || source > this.#sources) continue
      this.#registers.set('sourcecfg', mode, source - 1)
      this.#registers.set('target', active ? this.#registers.get('target', source - 1) & Target.writable : 0, source - 1)
    }
  }

  /** The mode of a source; inactive if there is none of that number. */
  #mode(source: number): number {
    return source < 1 || source > this.#sources ? SourceMode.inactive : legalMode(this.#registers.get('sourcecfg', source - 1))
  }

  /** The rectified input value (4.5.2). */
  #asserted(source: number): boolean {
    const mode = this.#mode(source)
    const level = bit(this.#levels, source)
    if (mode === SourceMode.risingEdge || mode === SourceMode.high) return level
    return (mode === SourceMode.fallingEdge || mode === SourceMode.low) && !level
  }

  #inputs(word: number): number {
    let bits = 0
    for (let bit = 0; bit < 32; bit++) if (this.#asserted(word * 32 + bit)) bits |= 1 << bit
    return bits
  }

  /** `sourcecfg` was written. No domain is below this one, so nothing can be delegated. */
  #configure(source: number, value: number, old: number): void {
    const mode = legalMode(value)
    this.#registers.set('sourcecfg', mode, source - 1)
    if (mode === SourceMode.inactive) {
      setBit(this.#pending, source, false)
      setBit(this.#enabled, source, false)
      this.#registers.set('target', 0, source - 1)
    } else if (levelSensitive(mode)) {
      // A level that is there already counts as one that rises, as 4.5.2 lets it; and without a level there is nothing to wait for (4.7).
      if (mode !== old) setBit(this.#pending, source, this.#asserted(source))
      this.#forward(source)
    }
  }

  /** Software asks for an interrupt. One of a level is there only with the level (4.7). */
  #request(source: number): void {
    const mode = this.#mode(source)
    if (mode === SourceMode.inactive || (levelSensitive(mode) && !this.#asserted(source))) return
    setBit(this.#pending, source, true)
    this.#forward(source)
  }

  #enable(source: number): void {
    if (this.#mode(source) === SourceMode.inactive) return
    setBit(this.#enabled, source, true)
    this.#forward(source)
  }

  /** Sends the message of a source that is pending and enabled, which then is no longer pending (4.9). */
  #forward(source: number): void {
    if ((this.#registers.get('domaincfg') & Domaincfg.interruptEnable) === 0) return
    if (!bit(this.#pending, source) || !bit(this.#enabled, source)) return
    setBit(this.#pending, source, false)
    this.#send(this.#registers.get('target', source - 1))
  }

  #forwardAll(): void {
    for (let source = 1; source <= this.#sources; source++) this.#forward(source)
  }

  /** Sends an identity to a hart; to none, if there is no such hart. */
  #send(target: number): void {
    this.#harts[target >>> Target.hartShift]?.send(target & Target.identity)
  }
}

/** What a `sourcecfg` is taken for: reserved modes and delegation are inactive (4.5.2). */
function legalMode(value: number): number {
  const mode = value & Sourcecfg.mode
  return (value & Sourcecfg.delegate) !== 0 || mode === 2 || mode === 3 ? SourceMode.inactive : mode
}

function levelSensitive(mode: number): boolean {
  return mode === SourceMode.high || mode === SourceMode.low
}

function bit(array: Uint32Array, index: number): boolean {
  return ((array[index >>> 5] ?? 0) >>> (index & 31) & 1) === 1
}

function setBit(array: Uint32Array, index: number, value: boolean): void {
  const mask = 1 << (index & 31)
  const word = array[index >>> 5] ?? 0
  array[index >>> 5] = value ? word | mask : word & ~mask
}
