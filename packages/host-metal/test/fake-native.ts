import { createFdt } from '@machinist/boot'
import type { Hart } from '@machinist/cpu-riscv'
import { type Arena, lzCodec, pageHash } from '@machinist/memory'
import { Access } from '@machinist/mmu'
import { createMemory, type WasmMemory } from '@machinist/wasm'
import { Answer, type Native, type PhysicalRange, VcpuAccess, VcpuExit, vcpuRecord } from '@machinist/host-metal'
import { VcpuRegisters } from '../src/vcpu/registers.ts'
import { restoreFile, saveFile } from '../src/vcpu/saved-file.ts'
import { type DecodedAccess, decodeAccess } from './decode.ts'
import { FakeShortcuts } from './fake-shortcuts.ts'
import { FakeVm, type Miss } from './fake-vm.ts'

/** Where the fake's physical memory begins. */
const BASE = 0x9000_0000
const STEP = 65536
/** How the software core's run is ended (`Leave` there). */
const LEAVE = { halt: 2, debug: 4 } as const
/** Flags of its record's `debug`: fetches and accesses that its TLBs lack are asked for. */
const ASK = 3
const SSTATUS = 0x3_000d_e762n
const XL_64 = (2n << 32n) | (2n << 34n)
/** What M-mode firmware leaves behind. */
const FIRMWARE = { medeleg: 0xb3ffn, mideleg: 0x222n, mcounteren: 0xffff_ffffn, menvcfg: (1n << 63n) | (1n << 61n) | 0xf0n } as const
/** Registers by their names in the software core and in the record. */
const registers = [
  ['stvec', 'vstvec'], ['sscratch', 'vsscratch'], ['sepc', 'vsepc'], ['scause', 'vscause'], ['stval', 'vstval'], ['satp', 'vsatp'], ['mie', 'vsie'], ['scounteren', 'scounteren'], ['senvcfg', 'senvcfg'],
] as const
const HVIP = { software: 4, external: 1 << 10 } as const
const MISSED = new Error('missed')

interface FakeVcpu {
  readonly vm: FakeVm
  readonly index: number
  readonly registers: VcpuRegisters
  /** The access that it exited for. */
  asked: { readonly decoded: DecodedAccess | null; readonly miss: Miss; readonly va: bigint } | null
  missed: { readonly miss: Miss; readonly va: bigint } | null
  called: boolean
  fresh: boolean
}

/** What a fake may be told. */
export interface FakeOptions {
  /** MiB of physical memory. */
  readonly ram?: number
  readonly harts?: number
}

/**
 * The hardware and its microkernel, in a test: guests are executed by the software core in S-mode, whose accesses leave as soon as something is not mapped. Time is the instructions that were executed, a nanosecond each, and what nobody had anything to do.
 * Code that devices write to where the guest executed code before is not noticed.
 */
export class FakeNative implements Native {
  readonly fdt: ArrayBuffer
  readonly files: ArrayBuffer = new ArrayBuffer(0)
  readonly frequency: number = 10_000_000
  readonly harts: number
  readonly bootHart: number = 0
  readonly identities: number = 0
  readonly guestIdentities: number = 0
  readonly printed: string[] = []
  /** Each call by its name, for tests that count. */
  readonly calls: Map<string, number> = new Map<string, number>()
  offStatus: number | null = null
  readonly #ram: PhysicalRange
  readonly #memory: WasmMemory
  readonly #vms = new Map<number, FakeVm>()
  readonly #shortcuts = new Map<FakeVm, FakeShortcuts>()
  readonly #vcpus = new Map<number, FakeVcpu>()
  #core: Arena | null = null
  #time = 0
  #running: { readonly hart: Hart; readonly from: number } | null = null
  #next = 1
  readonly #exited: number[] = []
  /** Somebody may be to go on. */
  #attention = false

  constructor({ ram = 256, harts = 1 }: FakeOptions = {}) {
    this.#ram = { base: BASE, length: ram * 2 ** 20 }
    this.#memory = createMemory({ initial: 1, maximum: 65536 })
    this.harts = harts
    const fdt = createFdt()
    fdt.root.child('cpus').child('cpu@0').set('device_type', 'cpu').set('riscv,isa', 'rv64imafdch_zicbom_zicboz_zicsr_zifencei_zba_zbb_zbs_sstc_svinval').set('mmu-type', 'riscv,sv57')
    const bytes = fdt.toBytes()
    this.fdt = bytes.slice().buffer
  }

  /** Gives the core its structures in the arena that machines are in: it must be in the same memory. To be called before machines are made. */
  use(arena: Arena): this {
    const memory = this.#memory
    this.#core = new Proxy(arena, {
      get(target, key) {
        if (key === 'memory') return memory
        const value: unknown = Reflect.get(target, key, target)
        return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
      },
    })
    return this
  }

  ram(): readonly PhysicalRange[] {
    return [this.#ram]
  }

  window(address: number, length: number): ArrayBuffer {
    if (address !== BASE) throw new RangeError('the fake has one window')
    const missing = Math.ceil(length / STEP) - this.#memory.buffer.byteLength / STEP
    if (missing > 0) this.#memory.grow(missing)
    return this.#memory.buffer as ArrayBuffer
  }

  zero(address: number, length: number): void {
    const bytes = new Uint8Array(this.#memory.buffer)
    // What is beyond is zeros still.
    bytes.fill(0, address - BASE, Math.min(bytes.length, address - BASE + length))
  }

  copy(to: number, from: number, length: number): void {
    new Uint8Array(this.#memory.buffer).copyWithin(to - BASE, from - BASE, from - BASE + length)
  }

  hash(page: number): number {
    return pageHash(new Uint32Array(this.#memory.buffer), (page - BASE) / 4)
  }

  same(page: number, other: number): boolean {
    const bytes = new Uint8Array(this.#memory.buffer)
    return bytes.subarray(page - BASE, page - BASE + 4096).every((byte, index) => byte === bytes[other - BASE + index])
  }

  compress(page: Uint8Array, into: Uint8Array): number {
    return lzCodec.compress(page, into)
  }

  decompress(packed: Uint8Array, into: Uint8Array): void {
    lzCodec.decompress(packed, into)
  }

  heap(): { readonly size: number; readonly taken: number; readonly used: number } {
    return { size: 64 * 2 ** 20, taken: 2 ** 20, used: 2 ** 19 }
  }

  mappings(vm: number): ArrayBuffer {
    return Float64Array.from([...this.vm(vm).mappings()].flatMap(({ guest, offset, writable }) => [guest, BASE + offset, 4096, writable ? 1 : 0])).buffer
  }

  read(): number {
    return 0
  }

  write(): void {}

  fence(): void {}

  createVm(): number {
    if (this.#core === null) throw new RangeError('the fake has no arena: use()')
    const id = this.#next++
    this.#vms.set(id, new FakeVm(this.#core, () => this.now()))
    return id
  }

  destroyVm(id: number): void {
    this.vm(id).dispose()
    this.#vms.delete(id)
  }

  vm(id: number): FakeVm {
    const vm = this.#vms.get(id)
    if (vm === undefined) throw new RangeError(`no machine ${id}`)
    return vm
  }

  get vms(): readonly FakeVm[] {
    return [...this.#vms.values()]
  }

  map(vm: number, guest: number, host: number, length: number, writable: boolean): void {
    this.#count('map')
    for (const value of [guest, host, length]) if (!Number.isSafeInteger(value) || value % 4096 !== 0) throw new RangeError(`not a page: ${value}`)
    if (host < BASE || host + length > BASE + this.#ram.length) throw new RangeError(`not memory for guests: ${host}`)
    this.vm(vm).map(guest, host - BASE, length, writable)
  }

  unmap(vm: number, guest: number, length: number): void {
    this.#count('unmap')
    this.vm(vm).unmap(guest, length)
  }

  quickMemory(): null {
    return null
  }

  shortcuts(id: number): ArrayBuffer {
    const vm = this.vm(id)
    const shortcuts = this.#shortcuts.get(vm) ?? new FakeShortcuts()
    this.#shortcuts.set(vm, shortcuts)
    return shortcuts.page
  }

  createVcpu(vm: number, index: number): { readonly id: number; readonly page: ArrayBuffer } {
    const id = this.#next++
    const page = new ArrayBuffer(vcpuRecord.size)
    this.vm(vm).harts++
    this.#vcpus.set(id, { vm: this.vm(vm), index, registers: new VcpuRegisters(page), asked: null, missed: null, called: false, fresh: true })
    return { id, page }
  }

  destroyVcpu(id: number): void {
    this.#vcpus.delete(id)
  }

  #vcpu(id: number): FakeVcpu {
    const vcpu = this.#vcpus.get(id)
    if (vcpu === undefined) throw new RangeError(`no hart ${id}`)
    return vcpu
  }

  enter(id: number, until: number): void {
    this.#count('enter')
    do this.#run(id, until)
    while (this.#served(id, true))
  }

  /** Whether what it left for is one of the machine's shortcuts, and done. */
  #served(id: number, here: boolean): boolean {
    const { vm, registers: page } = this.#vcpu(id)
    const [access, width, address] = [page.low('access'), page.low('width'), page.number('address')]
    if (page.low('exit') !== VcpuExit.access || access === VcpuAccess.execute || ![1, 2, 4].includes(width) || address % width !== 0) return false
    const stored = access === VcpuAccess.write ? page.low('value') % 2 ** (8 * width) : undefined
    const value = this.#shortcuts.get(vm)?.serve(address, width, stored, here) ?? -1
    if (value < 0) return false
    this.#count('served')
    if (stored === undefined) page.set('value', BigInt(value))
    page.setLow('answer', Answer.done)
    return true
  }

  #hartOf({ vm, index, registers: page }: FakeVcpu): Hart {
    vm.identities = page.low('identities')
    return vm.hart(index)
  }

  #run(id: number, until: number): void {
    const vcpu = this.#vcpu(id)
    const hart = this.#hartOf(vcpu)
    complete(vcpu)
    if (until <= this.now()) {
      vcpu.registers.setLow('exit', VcpuExit.time)
      return
    }
    this.#load(vcpu, hart)
    const { record } = hart
    vcpu.called = false
    vcpu.missed = null
    const from = hart.steps
    this.#running = { hart, from }
    let halted = false
    try {
      // Another look at what it waited for before: whether it goes on is not the core's to remember.
      record.set('waiting', 0)
      halted = hart.run(Math.max(1, Math.min(2 ** 30, Math.ceil(until - this.now()))), false) === 'halt'
    } catch (error) {
      if (error !== MISSED) throw error
      // The steps of the pass that was left are counted where it was to end.
      record.set64('steps', record.get64('steps') + BigInt((record.get('budgetStart') - record.get('budget')) | 0))
    } finally {
      record.set('budgetStart', 0)
      record.set('budget', 0)
      this.#time += Math.max(1, hart.steps - from)
      this.#running = null
    }
    this.#store(vcpu, hart)
    vcpu.registers.set('retired', vcpu.registers.get('retired') + BigInt(hart.steps - from))
    vcpu.registers.set('ran', vcpu.registers.get('retired') / BigInt(1e9 / this.frequency))
    vcpu.registers.setLow('exit', this.#exit(vcpu, hart, halted))
  }

  #exit(vcpu: FakeVcpu, hart: Hart, halted: boolean): number {
    if (vcpu.called) return VcpuExit.ecall
    const { missed, registers: page } = vcpu
    if (missed === null) return halted ? VcpuExit.wait : VcpuExit.time
    const { miss, va } = missed
    const decoded = miss.implicit || miss.access === Access.fetch ? null : decodeAccess(vcpu.vm.instruction(hart, hart.record.get64('pc')))
    vcpu.asked = { decoded, miss, va }
    page.set('address', BigInt(miss.address))
    page.setLow('access', miss.access === Access.write ? VcpuAccess.write : miss.access === Access.fetch ? VcpuAccess.execute : VcpuAccess.read)
    page.setLow('width', decoded?.width ?? 0)
    page.setLow('answer', Answer.fault)
    page.set('value', decoded?.write === true ? page.get(decoded.floating ? 'f' : 'x', decoded.register) : 0n)
    return VcpuExit.access
  }

  #load(vcpu: FakeVcpu, hart: Hart): void {
    const { registers: page } = vcpu
    const { record } = hart
    for (let i = 1; i < 32; i++) record.set64('x', page.get('x', i), i)
    for (let i = 0; i < 32; i++) record.set64('f', page.get('f', i), i)
    record.set64('pc', page.get('pc'))
    record.set('fflags', page.low('fcsr') & 31)
    record.set('frm', page.low('fcsr') >> 5)
    let stale = vcpu.fresh
    const put = (field: Parameters<typeof record.set64>[0], value: bigint): void => {
      if (record.get64(field) === value) return
      record.set64(field, value)
      stale = true
    }
    for (const [name, field] of registers) put(name, page.get(field))
    put('mstatus', (record.get64('mstatus') & ~SSTATUS) | (page.get('vsstatus') & SSTATUS) | XL_64)
    put('stimecmp', page.get('vstimecmp'))
    if (record.get('mode') !== page.low('mode')) {
      record.set('mode', page.low('mode'))
      stale = true
    }
    if (vcpu.fresh) {
      for (const [name, value] of Object.entries(FIRMWARE)) record.set64(name as keyof typeof FIRMWARE, value)
      record.set64('pmpaddr', (1n << 54n) - 1n)
      record.set('pmpcfg', 0x1f)
      record.set('builtinSbi', 1)
      record.set('debug', ASK)
      this.#hook(vcpu, hart)
      vcpu.fresh = false
    }
    vcpu.vm.setTimeOffset(page.get('timeOffset'))
    const hvip = page.low('hvip')
    record.set64('mip', (hvip & HVIP.software) === 0 ? 0n : 2n)
    if (hart.file === null) hart.setLine(9, (hvip & HVIP.external) !== 0)
    else fileOf(hart, page)
    if (stale) hart.refresh()
  }

  #store(vcpu: FakeVcpu, hart: Hart): void {
    const { registers: page } = vcpu
    const { record } = hart
    for (let i = 0; i < 32; i++) {
      page.set('x', record.get64('x', i), i)
      page.set('f', record.get64('f', i), i)
    }
    page.set('pc', record.get64('pc'))
    page.setLow('fcsr', record.get('fflags') | (record.get('frm') << 5))
    for (const [name, field] of registers) page.set(field, record.get64(name))
    page.set('vsstatus', record.get64('mstatus') & SSTATUS)
    page.set('vstimecmp', record.get64('stimecmp'))
    page.setLow('mode', record.get('mode'))
    page.setLow('hvip', (page.low('hvip') & HVIP.external) | ((record.get64('mip') & 2n) === 0n ? 0 : HVIP.software))
    keepFile(hart, page)
  }

  /** Has the core ask for what its TLBs lack, and hand over ECALLs. */
  #hook(vcpu: FakeVcpu, hart: Hart): void {
    const { record } = hart
    Object.assign(hart, {
      debugFetch: () => {
        const va = record.get64('pc')
        const miss = vcpu.vm.look(hart, va, Access.fetch)
        if (miss === null) return false
        vcpu.missed = { miss, va }
        record.set('leave', LEAVE.debug)
        return true
      },
      debugAccess: (low: number, high: number, bytes: number, access: number) => {
        const va = (BigInt(high >>> 0) << 32n) | BigInt(low >>> 0)
        const miss = vcpu.vm.look(hart, va, access)
        if (miss === null) return false
        // It will be asked for again, one step at a time: then the instruction has done nothing yet.
        if (bytes === 0) return true
        vcpu.missed = { miss, va }
        throw MISSED
      },
      sbiCall: () => {
        vcpu.called = true
        record.set('leave', LEAVE.halt)
      },
    })
  }

  /** At once, and to its end: what happens side by side on hardware happens one after the other. */
  dispatch(id: number, hart: number, until: number): void {
    if (!(hart > 0 && hart < this.harts)) throw new RangeError(`no hart ${hart}`)
    this.#count('dispatch')
    do this.#run(id, until)
    while (this.#served(id, false))
    this.#exited.push(id)
  }

  kick(): void {}

  raise(id: number): void {
    const { registers: page } = this.#vcpu(id)
    page.setLow('hvip', page.low('hvip') | HVIP.software)
    this.#attention = true
  }

  message(id: number, identity: number): void {
    this.#count('message')
    const vcpu = this.#vcpu(id)
    const hart = this.#hartOf(vcpu)
    fileOf(hart, vcpu.registers)
    hart.file?.message(identity)
    keepFile(hart, vcpu.registers)
  }

  flush(id: number): void {
    this.#vcpu(id).fresh = true
  }

  exited(): number {
    return this.#exited.shift() ?? -1
  }

  now(): number {
    return this.#time + (this.#running === null ? 0 : this.#running.hart.steps - this.#running.from)
  }

  idle(until: number): void {
    this.#count('idle')
    if (this.#exited.length > 0 || this.#attention) {
      this.#attention = false
      return
    }
    if (until === Infinity) throw new Error('nobody would ever wake')
    this.#time = Math.max(this.#time, Math.ceil(until))
  }

  claim(): number {
    return 0
  }

  complete(): void {}

  enable(): void {}

  jobs(): void {}

  print(text: string): void {
    this.printed.push(text)
  }

  powerOff(status: number): never {
    this.offStatus = status
    throw new Error('off')
  }

  #count(name: string): void {
    this.calls.set(name, (this.calls.get(name) ?? 0) + 1)
  }
}

/** Gives the core's hart the interrupt file of a record. */
function fileOf(hart: Hart, page: VcpuRegisters): void {
  if (hart.file !== null) hart.record.set64('siselect', BigInt(hart.file.restore('file', saveFile(page))))
}

function keepFile(hart: Hart, page: VcpuRegisters): void {
  if (hart.file === null) return
  const state = hart.file.save(hart.record.getNumber('siselect'))
  restoreFile(page, state)
  page.setLow('external', state.delivery === 1 && hart.file.top !== 0 ? 1 : 0)
}

/** What the microkernel does about an access that was answered. */
function complete(vcpu: FakeVcpu): void {
  const { asked, registers: page } = vcpu
  vcpu.asked = null
  if (asked === null || page.low('answer') === Answer.retry) return
  const { decoded, miss, va } = asked
  if (page.low('answer') === Answer.done && decoded !== null) {
    if (!decoded.write && decoded.floating) page.set('f', decoded.width === 4 ? page.get('value') | 0xffff_ffff_0000_0000n : page.get('value'), decoded.register)
    else if (!decoded.write && decoded.register !== 0) {
      const bits = 8 * decoded.width
      page.set('x', decoded.signed ? BigInt.asUintN(64, BigInt.asIntN(bits, page.get('value'))) : BigInt.asUintN(bits, page.get('value')), decoded.register)
    }
    page.set('pc', page.get('pc') + BigInt(decoded.length))
    return
  }
  const status = page.get('vsstatus')
  page.set('vsepc', page.get('pc'))
  page.set('vscause', miss.access === Access.fetch ? 1n : miss.access === Access.write ? 7n : 5n)
  page.set('vstval', va)
  page.set('vsstatus', (status & ~0x122n) | ((status & 2n) << 4n) | (page.low('mode') === 1 ? 0x100n : 0n))
  page.set('pc', page.get('vstvec') & ~3n)
  page.setLow('mode', 1)
}
